"""The ablation: what each step leaves out, that it leaves out nothing else, and what is told of the difference.

In a buffer `¦` is the cursor.
"""

import gzip
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock

import pytest

from flash_ls.config import Config
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot
from flash_ls.engine.decode import GenerationParams, Step
from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.local import load_completer
from flash_ls.postprocess import AnswerRule, LineRule
from scripts import ablation, answers, predictions
from scripts import eval as evaluation
from scripts.cases import Case, load_suite
from scripts.predictions import Record
from scripts.project import Project
from scripts.scores import Scores
from tests.scripted_model import ScriptedModel
from tests.toy_model import FORM, write_artifact, write_tokenizer

METRICS = """
def em(said, true): return said.split() == true.split()
def es(said, true): return 100.0 * em(said, true)
def id_f1(said, true): return 1.0 * em(said, true)
def saved(said, true): return len(said) / 100
def perfect_lines(said, true): return 1.0 * em(said, true)
def cut(said, case): return said
"""
"""Of the same form as metrics.py of the data sets, so that the tests need none of them."""
NAMES = [step.name for step in ablation.STEPS]
CONFIG = Config(prefix_tokens=300, suffix_tokens=60, context_tokens=100)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small data sets: three lines, two of which need another file, a body, and three lines with tests."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "metrics.py").write_text(METRICS, encoding="utf-8")
    row = {
        "repo": "owner/name",
        "path": "m.py",
        "prefix": "def f(n):\n    ret",
        "middle": "urn 1",
        "suffix": "\nz = 2\n",
    }
    fresh = [row | {"id": f"c{number}", "kind": "line", "cross_file": number > 0} for number in range(3)]
    write_rows(folder / "fresh_dev.jsonl.gz", [*fresh, row | {"id": "b", "kind": "block", "cross_file": True}])
    write_rows(
        folder / "fresh_dev_files.jsonl.gz", [{"repo": "owner/name", "path": "o.py", "text": "def f(n): pass\n"}]
    )
    task = {"entry_point": "f", "prompt": "def f():\n", "canonical_solution": "    a = 1\n", "suffix": "    return a\n"}
    tasks = [task | {"task_id": f"S/{number}", "test": "def check(f): pass"} for number in range(3)]
    write_rows(folder / "HumanEval-SingleLineInfilling.jsonl.gz", tasks)
    return folder


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path: Path = tmp_path_factory.mktemp("toy") / "tokenizer.json"
    write_tokenizer(path)
    return Tokenizer(path)


class Said(NamedTuple):
    """What one step made of a case."""

    record: Record
    shown: str
    """What the model saw before the text it continues."""
    passes: int
    """How often the model was run."""

    @property
    def text(self) -> str:
        return self.record.completion


class Desk:
    """One case and one model that says one thing, or if that will not do another."""

    def __init__(self, tokenizer: Tokenizer, bench: Path) -> None:
        self._tokenizer, self._bench = tokenizer, bench

    def ask(self, buffer: str, says: str, instead: str | None = None, files: Mapping[str, str] = {}) -> dict[str, Said]:
        """What each step says, one after the other on one engine."""
        before, after = buffer.split("¦")
        case = Case("1", "a.py", before, after, "x", "mid-line", repo="owner/name")
        model = ScriptedModel(self._tokenizer, before + says, None if instead is None else before + instead)
        forward = Mock(side_effect=model.forward)
        model.forward = forward  # type: ignore[method-assign]
        engine, said = ablation.Remembering(model, self._tokenizer), {}
        for step in ablation.STEPS:
            completer = ablation.Ablated(step, engine, FORM, CONFIG)
            made = answers.record(completer, case, Project(files, case.repo), self._bench)
            said[step.name] = Said(made, model.prompt_text, forward.call_count)
            forward.reset_mock()
        return said


@pytest.fixture
def desk(tokenizer: Tokenizer, bench: Path) -> Desk:
    return Desk(tokenizer, bench)


# --- what each step leaves out ---


def test_only_the_first_step_is_fed_the_word_at_the_cursor(desk: Desk, tokenizer: Tokenizer) -> None:
    before, after = "def f(n):\n    ret", "\nz = 2\n"
    said = desk.ask(f"{before}¦{after}", "urn 1\n")
    marks, fed = 3, len(tokenizer.encode(after)[0] + tokenizer.encode(before)[0])
    assert said["raw"].record.prompt_tokens == fed + marks
    assert said["healed"].record.prompt_tokens == fed + marks - tokenizer.encode(before)[1]
    assert {step.text for step in said.values()} == {"urn 1"}


def test_the_usual_prompt_has_the_prefix_first(tokenizer: Tokenizer) -> None:
    snapshot = Snapshot("file:///a.py", "python", 1, "a = f(b\nc = 1\n", 7)
    asked = []
    for step in (ablation.USUAL, ablation.STEPS[0]):
        engine = Mock(wraps=ablation.Remembering(ScriptedModel(tokenizer, "a = f(b)"), tokenizer), tokenizer=tokenizer)
        ablation.Ablated(step, engine, FORM, CONFIG).candidates(snapshot, Deadline(), 1)
        asked.append(engine.generate.call_args.args[0])
    before, after = tokenizer.encode("a = f(b")[0], tokenizer.encode("\nc = 1\n")[0]
    assert asked[0] == [FORM.fim_prefix, *before, FORM.fim_suffix, *after, FORM.fim_middle]
    assert asked[1] == [FORM.fim_prefix, FORM.fim_suffix, *after, FORM.fim_middle, *before]


def test_a_step_can_be_asked_for_alone(script: Any) -> None:
    code, out, _ = script("--steps", "usual", "--single", 0)
    said = json.loads(out.splitlines()[-1])
    assert code == 0
    assert list(said) == ["fresh-all"]
    assert said["fresh-all"]["all"]["usual"]["n"] == 4
    assert out.count("| usual |") == 4


def test_the_project_is_shown_from_its_step_on(desk: Desk) -> None:
    said = desk.ask("total = compute(¦\n", "amount)\n", files={"b.py": "subtotal = compute(amount, rate)\n"})
    assert ["subtotal" in said[name].shown for name in NAMES[:3]] == [False, False, True]
    assert len({said[name].record.prompt_tokens for name in NAMES[2:]}) == 1


FITS: dict[str, tuple[str, str, str, str]] = {
    "what stands there is not said again": ("f(¦, b)\n", "a, b)\n", "a, b)", "a"),
    "the next line is not said again": ("a = 1\n¦\nreturn total\n", "return total\n", "return total", ""),
    "what does not parse is shortened": ("a = ¦\n", "f(1) + g(2))\n", "f(1) + g(2))", "f(1) + g(2)"),
    "a comment that nobody asked for": ("a = 1\n¦\n", "# two\n", "# two", ""),
    "tabs are made what the buffer has": ("if a:\n    b()\n¦\n", "\tc()\n", "\tc()", "    c()"),
}


@pytest.mark.parametrize("name", FITS)
def test_an_answer_is_cut_alone_until_it_has_to_fit(name: str, desk: Desk) -> None:
    buffer, says, bare, fitted = FITS[name]
    said = desk.ask(buffer, says)
    assert [said[step].text for step in NAMES[:4]] == [bare, bare, bare, fitted]


def test_an_empty_answer_says_so(desk: Desk) -> None:
    said = desk.ask("a = 1¦\n", "\nb = 2\n")
    assert {(said[name].text, said[name].record.reason) for name in NAMES[:4]} == {("", "empty")}


def test_all_steps_cut_where_the_line_or_the_block_ends(desk: Desk) -> None:
    lines = desk.ask("a = ¦\n", "1\nb = 2\n")
    body = desk.ask("def f(n):\n    ¦\n\nz = 1\n", "if n:\n        return 1\n    return 2\n\nb = 2\n")
    assert {step.text for step in lines.values()} == {"1"}
    assert {step.text for step in body.values()} == {"if n:\n        return 1\n    return 2"}


def test_a_bracket_that_an_editor_closed_is_hidden_with_what_makes_room_for_it(desk: Desk) -> None:
    said = desk.ask("def f(n¦)\nnext()\n", "):\n")
    assert said["raw"].shown.endswith(")\nnext()\n")
    assert not said["sound"].shown.endswith(")\nnext()\n")


SECOND = {
    "the first does not parse": ("a = ¦\n", "1)\n", "f(1)\n"),
    "the first is a comment": ("a = 1\n¦\n", "# two\n", "b = 2\n"),
    "the first is there already": ("a = 1\n¦\nreturn total\n", "return total\n", "b = 2\n"),
}


@pytest.mark.parametrize("name", SECOND)
def test_only_the_last_step_tries_another_answer(name: str, desk: Desk) -> None:
    buffer, says, instead = SECOND[name]
    said = desk.ask(buffer, says, instead)
    assert said["retried"].text == instead.rstrip()
    assert all(said[step].text != instead.rstrip() for step in NAMES[:-1])
    assert said["sound"].passes == 0
    assert said["retried"].passes > 0


def test_only_the_last_step_lets_an_answer_go_on(desk: Desk) -> None:
    said = desk.ask("import a\n¦\nx = 1\n", "\nimport b\n")
    assert [said[name].text.strip() for name in NAMES] == ["", "", "", "", "import b"]


def test_the_same_question_is_asked_once(desk: Desk) -> None:
    said = desk.ask("a = f¦\n", "(1)\n")
    assert [said[name].passes > 0 for name in NAMES] == [True, True, False, False, False]


QUESTIONS: dict[str, dict[str, Any]] = {
    "the same": {},
    "another rule": {"complete": AnswerRule("y = 2").complete},
    "fewer tokens": {"max_tokens": 3},
    "a word to spell again": {"healed": b"a"},
    "another beginning": {"forced": (Step(0, 0.0),)},
}


def test_what_is_remembered_is_the_answer_to_the_same_question(tokenizer: Tokenizer) -> None:
    prompt = [FORM.fim_middle, *tokenizer.encode("a = ")[0]]
    model = ScriptedModel(tokenizer, "a = 1\nb = 2\ny = 2\nz = 3")
    engines = [kind(model, tokenizer) for kind in (ablation.Remembering, LocalEngine)]
    for changes in (*QUESTIONS.values(), *QUESTIONS.values()):
        params = replace(GenerationParams(40, frozenset(FORM.stop_ids), complete=LineRule().complete), **changes)
        ours, theirs = (engine.generate(prompt, params, Deadline()) for engine in engines)
        assert (ours.tokens, ours.finish) == (theirs.tokens, theirs.finish)


# --- what is told ---


def made(number: int, exact: bool, **fields: Any) -> Record:
    scores = Scores(exact, 50.0, 0.5, 0.25, 0.0, True, True)
    told: dict[str, Any] = {"kind": "line", "language": "python", "cross_file": False, "passed": None}
    told |= {"completion": "x", "replaces": 0, "latency_ms": 1.0, "reason": "rule", "prompt_tokens": 9}
    told |= {"cached_tokens": 0, "evidence": None, "probability": 0.9 if number < 2 else 0.1}
    return Record(id=str(number), digest="d", scores=scores, **told | fields)


def runs(**fields: Callable[[int], Any]) -> dict[str, list[Record]]:
    """Six cases, of which each step has one right that the one before has not; the last has lost the first."""
    kept = {name: range(index + 1) if name != "retried" else range(1, 6) for index, name in enumerate(NAMES)}
    return {
        name: [made(n, n in right, **{key: tell(n) for key, tell in fields.items()}) for n in range(6)]
        for name, right in kept.items()
    }


def test_a_step_is_compared_with_the_one_before() -> None:
    said = ablation.summary(runs())["all"]
    assert "against" not in said["raw"]
    paired = [said[name]["against"]["exact_match"] for name in NAMES[1:]]
    assert [(one["wins"], one["losses"]) for one in paired] == [(1, 0), (1, 0), (1, 0), (2, 1)]
    assert [said[name]["exact_match"] for name in NAMES] == [0.1667, 0.3333, 0.5, 0.6667, 0.8333]


def test_what_is_shown_unasked_is_of_the_last_step() -> None:
    silent = ablation.summary(runs())["all"]["silent"]
    assert (silent["threshold"], silent["shown"], silent["precision"], silent["kept"]) == (0.3, 0.3333, 0.5, 0.2)


def test_slices_are_told_where_they_are_not_all() -> None:
    said = ablation.summary(runs(kind=lambda n: "block" if n < 2 else "line", cross_file=lambda n: n % 2 == 0))
    counts = {name: part["raw"]["n"] for name, part in said.items()}
    assert counts == {"all": 6, "one line": 4, "one line, other file needed": 2, "bodies": 2}
    assert ablation.summary(runs()).keys() == {"all"}


def test_a_table_has_a_row_for_each_step() -> None:
    said = ablation.table(ablation.summary(runs(passed=lambda n: n != 3))["all"])
    heading, _, *rows = (line.strip("|").split("|") for line in said.splitlines() if line.startswith("|"))
    assert [cell.strip() for cell in heading][:6] == ["step", "exact", "gained", "lost", "p", "pass@1"]
    assert {len(row) for row in rows} == {len(heading)}
    assert [row[0].strip() for row in rows] == NAMES
    assert [cell.strip() for cell in rows[-1]][:6] == ["retried", "0.833", "2", "1", "1.0", "0.833"]
    assert "precision 0.5" in said.splitlines()[-1]
    assert "pass@1" not in ablation.table(ablation.summary(runs())["all"])


# --- the script ---


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("toy") / "artifact"
    write_artifact(folder)
    return folder


@pytest.fixture
def script(bench: Path, artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The script with the toy model; returns its exit code, its output and what it said to stderr."""

    def run(*given: object) -> tuple[int, str, str]:
        known = ["--bench", str(bench), "--model", str(artifact)]
        monkeypatch.setattr(sys, "argv", ["ablation.py", *known, *map(str, given)])
        code: int | str | None = 0
        try:
            ablation.main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        assert isinstance(code, int)
        return code, said.out, said.err

    return run


def test_the_last_line_has_both_suites(script: Any) -> None:
    code, out, _ = script("--single", 2)
    said = json.loads(out.splitlines()[-1])
    assert code == 0
    counts = {suite: {name: part["raw"]["n"] for name, part in parts.items()} for suite, parts in said.items()}
    slices = {"all": 4, "one line": 3, "one line, other file needed": 2, "bodies": 1}
    assert counts == {"fresh-all": slices, "humaneval-single": {"all": 2}}
    assert said["humaneval-single"]["all"]["raw"]["pass_at_1"] is not None
    assert out.count("| step |") == 5


def test_the_last_step_is_the_completer_as_it_is(bench: Path, artifact: Path) -> None:
    suite, config = load_suite("fresh-all", bench), Config(model=str(artifact))
    product = evaluation.run(load_completer(artifact, config), suite, bench, None, [])
    ours = evaluation.run(ablation.load_completers(artifact, config)["retried"], suite, bench, None, [])
    assert [(one.completion, one.replaces, one.reason) for one in ours] == [
        (one.completion, one.replaces, one.reason) for one in product
    ]


def test_a_run_goes_on_where_it_was_killed(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole, _ = script("--predictions", tmp_path)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == sorted(f"{suite}-{name}.jsonl" for suite in ("fresh-all", "humaneval-single") for name in NAMES)
    (tmp_path / "humaneval-single-sound.jsonl").unlink()
    cut = tmp_path / "fresh-all-raw.jsonl"
    cut.write_bytes(cut.read_bytes()[:-40])
    asked: list[str] = []
    record = answers.record
    monkeypatch.setattr(evaluation, "record", lambda *given: asked.append(given[1].id) or record(*given))  # type: ignore[func-returns-value]
    code, again, _ = script("--predictions", tmp_path)
    assert (code, asked) == (0, ["b", "S/0", "S/1", "S/2"])
    assert again == whole
    settings = predictions.read(cut).settings
    assert (settings["step"], settings["context_tokens"]) == ("raw", 0)


MISUSES = {
    "no data sets": (["--bench", "{tmp}"], "--bench"),
    "no such model": (["--model", "nonsense"], "nonsense"),
    "no such folder": (["--predictions", "{tmp}/none"], "Cannot write"),
    "predictions of other cases": (["--predictions", "{done}", "--single", "1"], "another run"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_one_sentence(name: str, script: Any, tmp_path: Path) -> None:
    given, told = MISUSES[name]
    (done := tmp_path / "done").mkdir()
    if "{done}" in given:
        script("--predictions", done)
    code, _, err = script(*(word.format(tmp=tmp_path, done=done) for word in given))
    assert (code, told in err.strip().splitlines()[-1], "Traceback" in err) == (2, True, False)
