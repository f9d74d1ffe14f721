"""The architecture in one place: who may import whom, and which module alone knows which library."""

import ast
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "flash_ls"
LAYERS = [
    "__init__ errors uri process timer private_file trace",
    "config deadline language credential",
    "frames engine document grammar brackets window postprocess requests secrets index confidence pace"
    " journal calibration presence crash",
    "syntax indentation context workspace outcomes status status_text log",
    "soundness statistics",
    "artifact prompt place source_file project statistics_page",
    "tuning",
    "completer",
    "loading suggestion completion_cache protocol progress_bar",
    "pro",
    "suggester bookkeeping",
    "local shared answering",
    "team",
    "session",
    "server doctor",
    "cli",
    "__main__",
]
"""From the bottom up; a module imports from lower layers and from its own package only."""
OWNERS = {
    "pygls": {"server", "session", "protocol", "progress_bar"},
    "lsprotocol": {"server", "session", "protocol", "progress_bar"},
    "tree_sitter": {"grammar"},
    "onnxruntime": {"engine.onnx_model", "engine.draft_model"},
    "tokenizers": {"engine.tokenizer"},
    "msgspec": {"shared.messages", "shared.channel", "team.frames", "team.gate"},
    "ray": {"team.deployment"},
    "starlette": {"team.deployment"},
    "pathspec": {"workspace"},
    "onnx": {"artifact.graph", "artifact.draft"},
    "gguf": {"artifact.gguf_file"},
    "huggingface_hub": {"artifact.source"},
    "http": {"pro.api", "team.client", "team.gate", "team.site"},
    "keyring": {"credential"},
}
LONGEST_FUNCTION = 40
SAMPLES = PACKAGE / "artifact" / "calibration"
"""Text for the model to read, no modules."""
FILES = [path for path in PACKAGE.rglob("*.py") if path.parent != SAMPLES]
MODULES = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in FILES)
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names.split()}


def imports(module: str) -> set[str]:
    """Everything the module imports, at its top or later, except for type checkers alone."""
    tree = ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in set(ast.walk(tree)) - skipped:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part(module: str) -> str:
    """The file or sub-package right under flash_ls."""
    return module.split(".")[0]


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    ours = {name.removeprefix("flash_ls.") for name in imports(module) if name.startswith("flash_ls")}
    others = {part(name) for name in ours if part(name) in HEIGHT} - {part(module)}
    assert not {name for name in others if HEIGHT[name] >= HEIGHT[part(module)]}


def test_the_engine_knows_only_errors_and_deadlines() -> None:
    engine = [module for module in MODULES if part(module) == "engine"]
    ours = {part(name.removeprefix("flash_ls.")) for module in engine for name in imports(module) if "flash_ls" in name}
    assert ours == {"engine", "errors", "deadline"}


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_has_one_owner(library: str) -> None:
    users = {module for module in MODULES for name in imports(module) if name.split(".")[0] == library}
    assert users == OWNERS[library]


def test_every_module_has_a_layer() -> None:
    assert {part(module) for module in MODULES} == set(HEIGHT)


@pytest.mark.parametrize("module", MODULES)
def test_functions_can_be_read_at_a_glance(module: str) -> None:
    tree = ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert not [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION]


@pytest.mark.parametrize("folder", ["scripts", "models"])
def test_what_begins_like_a_program_can_be_started(folder: str) -> None:
    files = [path for path in (ROOT / folder).iterdir() if path.is_file() and path.suffix in ("", ".py")]
    programs = {path.name for path in files if path.read_bytes().startswith(b"#!")}
    assert programs == {path.name for path in files if os.access(path, os.X_OK)} != set()
