"""The real weights through our own graph: against an independent export, and where the answer is plain."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flash_ls.artifact.catalog import catalog, find
from flash_ls.artifact.store import ensure
from flash_ls.artifact.vocabulary import Vocabulary
from flash_ls.completer import Completer, load_completer
from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot
from flash_ls.engine import manifest
from flash_ls.engine.model import OnnxModel
from flash_ls.engine.tokenizer import Tokenizer

pytestmark = pytest.mark.model
ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "tests" / "fixtures" / "reference_logits.npz"


@pytest.fixture(scope="module", params=catalog())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def artifact(name: str) -> Path:
    return ensure(name, lambda label, done: None)


@pytest.fixture(scope="module")
def kept(name: str, artifact: Path) -> Vocabulary:
    return find(name).kept(manifest.read(artifact).shape.vocabulary)


@pytest.fixture(scope="module")
def model(artifact: Path) -> OnnxModel:
    return OnnxModel(artifact, manifest.read(artifact).shape)


@pytest.fixture(scope="module")
def completer(artifact: Path) -> Completer:
    return load_completer(artifact, Config())


def served(kept: Vocabulary, upstream: np.ndarray) -> list[int]:
    """Our ids of upstream's, all of which must be kept."""
    return [kept.served_id(token) for token in upstream.tolist()]


def logits_of(model: OnnxModel, ids: list[int]) -> np.ndarray:
    return model.forward(ids, model.new_cache(), len(ids), Deadline())


@pytest.mark.parametrize("index", range(3))
def test_logits_agree_with_the_optimum_export(model: OnnxModel, kept: Vocabulary, index: int) -> None:
    """The 8-bit graph against float32. The same graph in float32 differs by less than 2e-5 (models/LOG.md)."""
    with np.load(REFERENCE) as reference:
        ids, columns = served(kept, reference[f"ids.{index}"]), reference[f"columns.{index}"]
        shared = np.isin(columns, kept.ids)
        expected, likeliest = reference[f"logits.{index}"][:, shared], reference[f"argmax.{index}"]
    logits = logits_of(model, ids)
    difference = np.abs(logits[-len(expected) :, served(kept, columns[shared])] - expected)
    assert difference.mean() < 0.03 * expected.std()
    assert difference.max() < 0.2 * expected.std()
    assert (kept.ids[logits.argmax(axis=1)] == likeliest).mean() > 0.9


def test_the_tokenizer_is_the_one_of_the_checkpoint(artifact: Path, kept: Vocabulary) -> None:
    with np.load(REFERENCE) as reference:
        text, ids = json.loads(str(reference["prompts"]))[2], served(kept, reference["ids.2"])
    assert Tokenizer(artifact / manifest.TOKENIZER_FILE).encode(text)[0] == ids


def test_every_text_comes_back(artifact: Path, kept: Vocabulary) -> None:
    tokenizer = Tokenizer(artifact / manifest.TOKENIZER_FILE)
    text = "größer, 数, 😀, контекст, unverzüglich\r\n\x0c"
    ids, _ = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert max(ids) < len(kept.ids)


PLAIN = [
    ("a.py", "def add(a, b):\n    ret¦\n", "urn a + b"),
    ("a.py", 'import json\n\nwith open("x.json") as f:\n    data = json.l¦\nprint(data)\n', "oad(f)"),
    ("a.js", "for (let i = 0; i < items.length; i++) {\n  total += items[i¦];\n}\n", ""),
    ("a.go", "func add(a int, b int) int {\n\tre¦\n}\n", "turn a + b"),
    ("a.rs", "fn add(a: i32, b: i32) -> i32 {\n    a¦\n}\n", " + b"),
    ("A.java", "class A {\n    int add(int a, int b) {\n        retu¦\n    }\n}\n", "rn a + b;"),
    ("a.c", "int add(int a, int b) {\n    return a¦\n}\n", " + b;"),
]


@pytest.mark.parametrize(("path", "buffer", "expected"), PLAIN)
def test_a_plain_answer(completer: Completer, path: str, buffer: str, expected: str) -> None:
    before, after = buffer.split("¦")
    snapshot = Snapshot(f"file:///{path}", "", 1, before + after, len(before))
    assert completer.complete(snapshot, Deadline()).text == expected


def test_the_command_line_shows_the_completion_in_its_place() -> None:
    command = [sys.executable, "-m", "flash_ls", "complete", "examples/bank.py:30:17"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "other.de⟦posit(amount)⟧" in run.stdout
    assert "finish: rule" in run.stdout
    as_json = json.loads(subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True).stdout)
    assert as_json["text"] == "posit(amount)"
    assert as_json["stats"]["prompt_tokens"] > 100


def test_the_doctor_finds_and_times_the_model() -> None:
    run = subprocess.run([sys.executable, "-m", "flash_ls", "doctor"], cwd=ROOT, capture_output=True, text=True)
    assert "revision" in run.stdout
    assert "tokens/s" in run.stdout
