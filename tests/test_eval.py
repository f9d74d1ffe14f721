"""The evaluation: what it asks, what it scores, and that a run can be stopped, compared and read again.

The data sets are small ones of the same form, made here; in `edit` the cursor is `¦`.
"""

import gzip
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_ls.completer import Completer, Completion
from flash_ls.confidence import Evidence, probability
from flash_ls.config import Config
from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.language import language_of
from scripts import answers, cases, comparison, faults, holes, predictions, report, scores
from scripts import eval as evaluation
from scripts.cases import Case
from scripts.faults import Edit
from scripts.predictions import Record
from scripts.program import passes
from scripts.project import Project, projects
from tests.scripted_model import ScriptedModel
from tests.toy_model import FORM, write_artifact, write_tokenizer

METRICS = """
def em(said, true): return said.split() == true.split()
def es(said, true): return 100.0 * em(said, true)
def id_f1(said, true): return 1.0 * em(said, true)
def saved(said, true): return len(said) / 100
def perfect_lines(said, true): return 1.0 * em(said, true)
def cut(said, case): return said if case["kind"] == "block" else said.split("\\n", 1)[0]
"""
"""Of the same form as metrics.py of the data sets, so that the tests need none of them."""
SIZES = {"context_tokens": 60, "prefix_tokens": 200, "suffix_tokens": 40, "max_line_tokens": 6, "max_block_tokens": 6}
SETTINGS = [f"--set={key}={value}" for key, value in SIZES.items()]


def fresh_row(number: int, **fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"id": f"c{number}", "repo": "owner/name", "path": f"src/m{number % 2}.py", "kind": "line"}
    row |= {"prefix": f"x = {number}\n", "middle": "y = 1", "suffix": "\nz = 2\n", "cross_file": number % 2 == 0}
    return row | fields


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small data sets."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "metrics.py").write_text(METRICS, encoding="utf-8")
    rows = [*(fresh_row(number) for number in range(4)), fresh_row(4, kind="block", path="src/b.go")]
    write_rows(folder / "fresh_dev.jsonl.gz", rows)
    files = [{"repo": "owner/name", "path": f"src/m{number}.py", "text": f"# {number}"} for number in range(3)]
    write_rows(folder / "fresh_dev_files.jsonl.gz", [*files, {"repo": "other/one", "path": "src/m1.py", "text": "o"}])
    task = {"task_id": "S/0", "entry_point": "f", "prompt": "def f():\n", "suffix": "    return a\n"}
    task |= {"canonical_solution": "    a = 1\n", "test": "def check(f):\n    assert f() == 1"}
    write_rows(folder / "HumanEval-SingleLineInfilling.jsonl.gz", [task])
    span = task | {"prompt": "def f():\n    a =", "canonical_solution": " 0\n    a = 1\n"}
    write_rows(folder / "HumanEval-RandomSpanInfillingLight.jsonl.gz", [span])
    return folder


# --- cases ---


def test_suites_are_what_their_names_say(bench: Path) -> None:
    kinds = {name: [case.kind for case in cases.load_cases(name, bench)] for name in cases.SUITES}
    lines, blocks = ["line"] * 4, ["block"]
    fresh = {"fresh": lines, "fresh-blocks": blocks, "fresh-all": lines + blocks}
    assert kinds == {"humaneval-single": ["line"], "humaneval-span": ["span"], **fresh}


def test_the_blank_line_of_humaneval_keeps_its_end_and_a_span_is_as_cut(bench: Path) -> None:
    (line,), (span,) = (cases.load_cases(name, bench) for name in ("humaneval-single", "humaneval-span"))
    assert (line.middle, line.after) == ("    a = 1", "\n    return a\n")
    assert (span.middle, span.after) == (" 0\n    a = 1\n", "    return a\n")
    for case in (line, span):
        assert passes(f"{case.before}{case.middle}{case.after}\n{case.test}")


def test_files_of_cases_may_be_plain_or_gzipped(tmp_path: Path) -> None:
    rows, files = [fresh_row(1, cross_file=True)], [{"repo": "owner/name", "path": "a.py", "text": "a"}]
    read = [
        cases.load_files(write_rows(tmp_path / f"mine.jsonl{end}", rows), write_rows(tmp_path / f"f{end}", files))
        for end in ("", ".gz")
    ]
    assert read[0] == read[1]
    assert read[0].name == "mine"
    assert read[0].files == {"owner/name": {"a.py": "a"}}
    assert read[0].cases[0].cross_file


def test_a_snapshot_has_the_hole_empty_and_the_name_of_the_repository() -> None:
    snapshot = Case("1", "src/a b.py", "x = ", "\n", "1", "line", repo="owner/name").snapshot
    assert (snapshot.text, snapshot.cursor) == ("x = \n", 4)
    assert (snapshot.uri, snapshot.path) == ("file:///name/src/a%20b.py", "/name/src/a b.py")


def test_a_digest_is_of_the_hole_and_the_buffer_around_it() -> None:
    case = Case("1", "a.py", "x = ", "\n", "1", "line")
    others = [replace(case, before="y = "), replace(case, after=";\n"), replace(case, middle="2")]
    assert len({one.digest for one in (case, *others)}) == 4
    assert replace(case, id="2").digest == case.digest


@given(st.integers(1, 50), st.integers(1, 60))
def test_a_limit_is_spread_evenly(count: int, limit: int) -> None:
    every = [Case(str(number), "a.py", "", "", "", "line") for number in range(count)]
    places = [int(case.id) for case in cases.spread(every, limit)]
    assert len(places) == min(count, limit)
    steps = np.diff([*places, count])
    assert places[0] == 0
    assert steps.max() - steps.min() <= 1


# --- the project ---


@pytest.mark.parametrize("spelling", ["src/m1.py", "/src/m1.py", "./src/m1.py", "src\\m1.py", "src/x/../m1.py"])
def test_the_own_file_is_never_in_the_project(spelling: str) -> None:
    project = Project({"src/m0.py": "0", "src/m1.py": "answer"})
    assert project.others(Case("1", spelling, "", "", "answer", "line")) == {"src/m0.py": "0"}
    assert Project({spelling: "answer"}).others(Case("1", "src/m1.py", "", "", "answer", "line")) == {}


def test_a_project_has_the_files_of_its_repository_alone(bench: Path) -> None:
    suite = cases.load_suite("fresh", bench)
    case = suite.cases[0]
    assert projects(suite).keys() == {"owner/name"}
    assert projects(suite)["owner/name"].others(case) == {"src/m1.py": "# 1", "src/m2.py": "# 2"}
    assert projects(cases.load_suite("humaneval-single", bench))[""].others(case) == {}


# --- holes in any source code ---

DOCSTRING = '"""What it is."""'
PYTHON = f'''{DOCSTRING}
import os
from a import (
    b,
)

# a comment = here
TEXT = """
value = nothing(here)
"""


class Account:
    def deposit(self, amount):
        """Add to it."""
        checked = self.check(amount)
        self.balance += checked
        return checked

    def check(self, amount):
        if amount < 0:
            log.warning("negative = %s", amount)
            raise ValueError(amount)
        audit(amount)
        return max(
            amount,
            0,
        )
'''
GO = """package bank

import "fmt"

// Deposit adds = it.
func (a *Account) Deposit(amount int) int {
\tchecked := a.check(amount)
\tif checked > 0 {
\t\ta.balance += checked
\t\tfmt.Println(checked)
\t}
\treturn checked
}
"""
SOURCES = {"bank.py": PYTHON, "bank.go": GO, "win.py": PYTHON.replace("\n", "\r\n")}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "bank"
    (folder / "node_modules").mkdir(parents=True)
    for path, text in SOURCES.items():
        (folder / path).write_bytes(text.encode())
    (folder / "node_modules" / "x.js").write_text("let a = 1", encoding="utf-8")
    (folder / "README.md").write_text("# Not code (it = prose)", encoding="utf-8")
    (folder / "broken.py").write_bytes(b"\xff\xfe a = 1\n")
    (folder / "link.py").symlink_to("bank.py")
    return folder


def test_holes_are_the_same_for_the_same_seed(repo: Path) -> None:
    first, again, other = (holes.load_repo(repo, 30, seed) for seed in (0, 0, 1))
    assert first == again
    assert [case.id for case in first.cases] != [case.id for case in other.cases]
    cases.check(first)


def test_the_text_put_back_is_the_file(repo: Path) -> None:
    suite = holes.load_repo(repo, 1000)
    assert suite.files == {"bank": SOURCES}
    assert {case.path for case in suite.cases} == SOURCES.keys()
    for case in suite.cases:
        assert case.before + case.middle + case.after == SOURCES[case.path]
        assert case.middle == case.middle.strip() != ""


def all_holes(text: str, path: str = "bank.py") -> dict[tuple[str, str], list[str]]:
    """Missing texts by kind and trigger, in order."""
    source = holes.Source(path, text, Random(0))
    found: dict[tuple[str, str], list[holes.Hole]] = {}
    for kind in holes.quotas(1):
        while hole := source.take(kind):
            found.setdefault((kind, hole.trigger), []).append(hole)
    return {key: [text[hole.start : hole.end] for hole in sorted(places)] for key, places in found.items()}


def test_holes_of_every_kind_stand_where_a_developer_would() -> None:
    found = all_holes(PYTHON)
    assert found["line", "line"][:4] == ["class Account:", "def deposit(self, amount):", *found["line", "line"][2:4]]
    assert "checked = self.check(amount)" in found["line", "line"]
    assert found["mid-line", "assign"] == ["self.check(amount)", "checked"]
    assert found["mid-line", "return"] == ["checked", "max("]
    assert "check(amount)" in found["mid-line", "member"]
    assert "amount)" in found["mid-line", "paren"]
    assert any(len(text) < len("checked") and "checked".endswith(text) for text in found["mid-line", "word"])
    assert found["api-call", "call"] == ["check(amount)", 'warning("negative = %s", amount)', "ValueError(amount)"]
    deposit = "checked = self.check(amount)\n        self.balance += checked\n        return checked"
    assert found["block", "body"][0] == deposit
    assert all_holes(GO, "bank.go")["block", "body"][1] == "a.balance += checked\n\t\tfmt.Println(checked)"


SILENT = [
    "import os",
    "b,",
    "# a comment = here",
    "here",
    "value = nothing(here)",
    "nothing(here)",
    ")",
    DOCSTRING,
]


@pytest.mark.parametrize("text", SILENT)
def test_comments_imports_texts_and_brackets_are_left_alone(text: str) -> None:
    assert text not in [missing for texts in all_holes(PYTHON).values() for missing in texts]


def test_there_is_no_cursor_within_a_string() -> None:
    assert '%s", amount)' not in all_holes(PYTHON)["mid-line", "assign"]
    assert not [missing for texts in all_holes(PYTHON).values() for missing in texts if missing.startswith("tive =")]


def test_a_call_that_is_a_line_of_its_own_is_left_to_lines() -> None:
    found = all_holes(PYTHON)
    assert "audit(amount)" in found["line", "line"]
    assert "audit(amount)" not in found["api-call", "call"]


BODIES = {
    "of two lines": ("a.js", "if (a) {\n  b();\n  c();\n}\n", ["b();\n  c();"]),
    "begun beside its header": ("a.js", "if (a) { b();\n  c();\n}\n", []),
    "of one line": ("a.js", "if (a) {\n  b();\n}\n", []),
    "of many lines": ("a.js", "if (a) {\n" + "  b();\n" * 40 + "}\n", []),
    "of a class": ("a.py", "class A:\n    a = 1\n    b = 2\n", []),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_some_lines_of_statements(name: str) -> None:
    path, text, expected = BODIES[name]
    assert all_holes(text, path).get(("block", "body"), []) == expected


def test_the_seed_chooses_the_files_too() -> None:
    files = {f"m{number}.py": "value = compute(amount)\n" for number in range(40)}
    chosen = [{case.path for case in holes.make_cases(files, "r", 4, seed)} for seed in range(3)]
    assert chosen[0] != chosen[1] != chosen[2]


def test_kinds_have_their_shares() -> None:
    assert holes.quotas(200) == {"line": 50, "mid-line": 80, "api-call": 35, "block": 35}
    assert all(sum(holes.quotas(limit).values()) == limit for limit in range(1, 60))


def test_triggers_take_turns(repo: Path) -> None:
    (repo / "bank.py").write_text(PYTHON * 3, encoding="utf-8")
    source = holes.Source("bank.py", PYTHON * 3, Random(0))
    taken = [source.take("mid-line") for _ in range(5)]
    assert {hole.trigger for hole in taken if hole} == {"assign", "paren", "return", "member", "word"}


@pytest.mark.skipif(not any(Path(folder, "git").exists() for folder in os.get_exec_path()), reason="needs git")
def test_of_a_checkout_ignored_files_are_left_out(repo: Path) -> None:
    (repo / ".gitignore").write_text("win.py\nnode_modules\n", encoding="utf-8")
    subprocess.run(["git", "init", "-q", str(repo)], check=True)
    assert dict(holes.read_sources(repo)).keys() == {"bank.py", "bank.go"}


# --- faults ---


def edit(buffer: str, true: str, said: str, path: str = "a.py", replaces: int = 0) -> Edit:
    before, after = buffer.split("¦")
    return Edit(before, after, true, said, replaces, language_of(path))


FAR = "\n" * (faults.NEAR_LINES + 1)
SYNTAX = [
    (edit("x = ¦\n", "1", "2"), True),
    (edit("x = ¦\n", "1", "(2"), False),
    (edit("f(¦)\n", "x", "y)", replaces=1), True),
    (edit("f(¦)\n", "x", "y)"), False),
    (edit("x = ¦\ny = ((\n", "1", "2"), None),
    (edit("y = ))" + FAR + "x = ¦\n", "1", "2"), True),
    (edit("y = ))" + FAR + "x = ¦\n", "1", "2))"), False),
    (edit("func f() {¦\n" + FAR + "}\n", "", " {", "a.go"), False),
    (edit("x = ¦\n", "1", "(2", "a.unknown"), None),
]


@pytest.mark.parametrize(("change", "expected"), SYNTAX)
def test_syntax_is_valid_if_the_file_parses_as_it_did(change: Edit, expected: bool | None) -> None:
    assert faults.keeps_syntax(change) is expected


REPEATS = [
    (edit("a = 1\n¦\n\nreturn a\n", "b = 2", "return a"), True),
    (edit("a = 1\n¦\nreturn a\n", "b = 2", "b = 2\nreturn a"), True),
    (edit("a = 1\n¦\nreturn a\n", "b = 2", "b = 2"), False),
    (edit("a = 1\n¦\nreturn a\n", "return a", "return a"), False),
    (edit("if a {\n\t\t¦\n}\n", "b()", "if b {\n\t\t}", "a.go"), False),
    (edit("f(¦, b);\n", "a", "a, b);", "a.js"), True),
    (edit("f(¦, b);\n", "a", "a", "a.js"), False),
    (edit("f(¦)\n", "x", "g(x)"), False),
    (edit("f(¦)\n", "x", "x)"), True),
    (edit("f(¦)\n", "x", "x)", replaces=1), False),
    (edit("x = ¦;\n", "1", "2;", "a.c"), True),
    (edit("¦", "a", "b"), False),
]


@pytest.mark.parametrize(("change", "expected"), REPEATS)
def test_a_suffix_is_repeated_if_the_truth_does_not(change: Edit, expected: bool) -> None:
    assert faults.repeats_suffix(change) is expected


INDENTS = [
    (edit("def f():\n    ¦\n", "return 1", "return 2"), False),
    (edit("def f():\n¦\n", "    return 1", "    return 2"), False),
    (edit("def f():\n¦\n", "    return 1", "  return 2"), True),
    (edit("def f():\n    ¦\n", "return 1", "  return 2"), True),
    (edit("def f():\n    ¦\n", "return 1", "a = 1\n      return a"), True),
    (edit("def f():\n    ¦\n", "return 1", "a = 1\n  return a"), True),
    (edit("def f():\n    ¦\n    return b\n", "b = 1", "if a:"), False),
    (edit("def f():\n    ¦\n        b = 1\n", "if a:", "a = 1"), True),
    (edit("def f():\n    ¦\n        b = 1\n", "if a:", "for a in b:"), False),
    (edit("x = 1\n  y = 2\ndef f():\n    ¦\n", "return 1", "return 2"), False),
    (edit("x = ¦\n", "1", "2"), None),
    (edit("void f() {\n    a();\n    ¦\n}\n", "b();", "b();\n\tc();", "a.c"), True),
    (edit("void f() {\n\ta();\n\t¦\n}\n", "b();", "b();\n    c();", "a.c"), True),
    (edit("void f() {\n\ta();\n\t¦\n}\n", "b();", "b();\n\tc();", "a.c"), False),
    (edit("/**\n * x\n */\nvoid f() {\n\ta();\n¦\n}\n", "\tb();", "    b();", "a.c"), True),
    (edit("    a();\n\tb();\n\t¦\n", "b();", "b();\n    c();", "a.c"), False),
    (edit("void f() {\n    ¦\n}\n", "b();", "  b();", "a.c"), False),
]


@pytest.mark.parametrize(("change", "expected"), INDENTS)
def test_indentation_is_wrong(change: Edit, expected: bool | None) -> None:
    assert faults.indents_wrongly(change) is expected


BALANCE = [
    (edit("f(¦\n", "a)", "b)"), False),
    (edit("f(¦\n", "a)", "g(b)"), True),
    (edit("f(¦)\n", "a", "b)"), True),
    (edit("f(¦)\n", "a", "b)", replaces=1), False),
    (edit("¦\n", "if (a) {", "while (b) {", "a.js"), False),
    (edit("¦\n", "if (a) {", "b();", "a.js"), True),
    (edit("¦\n", "if (a) {", "if (a) {\n}", "a.js"), True),
    (edit("f(¦\n", "')')", "b)"), False),
    (edit("f(¦\n", "a)", "'b)"), True),
    (edit("¦\n", "a", "'b"), True),
    (edit('f("¦")\n', "a", "(b"), False),
    (edit('f("¦")\n', "a", 'b"'), True),
    (edit("¦\n", "a", "b  # :("), False),
    (edit("¦\n", "]", ")"), True),
    (edit("¦\n", "1", '"("', "a.unknown"), False),
]


@pytest.mark.parametrize(("change", "expected"), BALANCE)
def test_balance_is_that_of_the_truth(change: Edit, expected: bool) -> None:
    assert faults.is_unbalanced(change) is expected


CODE = st.text("ab \n\t()[]{}'\"#/:=é\\", max_size=40)


@given(CODE, CODE, CODE, CODE, st.sampled_from(["a.py", "a.js", "a.rs", "a.rb", "a.txt"]))
def test_faults_of_any_text_are_told_and_the_truth_has_none(
    before: str, after: str, true: str, said: str, path: str
) -> None:
    language = language_of(path)
    for text in (said, true):
        change = Edit(before, after, true, text, 0, language)
        told = [faults.keeps_syntax(change), faults.repeats_suffix(change), faults.is_unbalanced(change)]
        told.append(faults.indents_wrongly(change))
    assert told[0] is not False
    assert told[1:3] == [False, False]


# --- scores ---


def test_a_line_is_scored_on_the_first_line_and_a_span_whole(bench: Path) -> None:
    metrics = scores.load_metrics(bench)
    line = Case("1", "a.py", "", "\n", "a = 1", "line")
    span = replace(line, kind="span", middle="a = 1\nb = 2")
    assert scores.score(line, "a = 1\nb = 2", 0, metrics).exact_match
    assert scores.score(span, "a = 1\nb = 2", 0, metrics).exact_match
    assert not scores.score(span, "a = 1", 0, metrics).exact_match


def test_of_nothing_no_fault_is_told(bench: Path) -> None:
    said = scores.score(Case("1", "a.py", "", "\n", "a", "line"), "  ", 0, scores.load_metrics(bench))
    assert not said.shown
    assert {said.syntax_valid, said.repeated_suffix, said.wrong_indent, said.unbalanced} == {None}


def test_faults_are_of_all_that_is_shown(bench: Path) -> None:
    said = scores.score(Case("1", "a.py", "", "\n", "a = 1", "line"), "a = 1\nb = (", 0, scores.load_metrics(bench))
    assert said.exact_match
    assert (said.syntax_valid, said.unbalanced) == (False, True)


def test_faults_are_told_where_the_first_line_is_blank(bench: Path) -> None:
    said = scores.score(Case("1", "a.py", "", "\n", "a = 1", "line"), "\nb = (", 0, scores.load_metrics(bench))
    assert (said.shown, said.characters_saved, said.unbalanced) == (True, 0.0, True)


# --- answers of the completer ---


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path: Path = tmp_path_factory.mktemp("toy") / "tokenizer.json"
    write_tokenizer(path)
    return Tokenizer(path)


@pytest.fixture
def says(tokenizer: Tokenizer) -> Callable[[Case, str], Completer]:
    """A completer whose model continues a case as told."""

    def completer(case: Case, text: str) -> Completer:
        engine = LocalEngine(ScriptedModel(tokenizer, case.before + text), tokenizer)
        return Completer(engine, FORM, Config(prefix_tokens=300, suffix_tokens=60))

    return completer


def test_the_tests_run_on_the_completed_program(bench: Path, says: Callable[[Case, str], Completer]) -> None:
    (case,) = cases.load_cases("humaneval-single", bench)
    passed = [
        answers.record(says(case, text), case, Project({}), bench).passed
        for text in ("    a = 0 + 1\n", "    a = 2\n", "    a = (\n")
    ]
    assert passed == [True, False, False]


def saying(text: str, case: Case, evidence: Evidence | None = None) -> Any:
    """What stands for a completer that says one thing."""
    completion = Completion(text, len(case.before), len(case.before), "stop", None, evidence)
    return SimpleNamespace(complete=lambda snapshot, deadline: completion)


def test_the_tests_run_on_what_is_shown(bench: Path) -> None:
    (case,) = cases.load_cases("humaneval-single", bench)
    assert answers.record(saying("    a = 1", case), case, Project({}), bench).passed
    made = answers.record(saying("    a = 1\n    return 2", case), case, Project({}), bench)
    assert not made.passed
    assert made.completion == "    a = 1\n    return 2"


def test_a_program_has_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.program.TEST_SECONDS", 1)
    assert not passes("import time\ntime.sleep(5)")


def test_an_answer_has_its_text_and_what_it_cost(bench: Path, says: Callable[[Case, str], Completer]) -> None:
    case = Case("1", "a.py", "x = ", "\ny = 3\n", "1 + 2", "mid-line")
    made = answers.record(says(case, "1 + 2\ny"), case, Project({}), bench)
    assert (made.completion, made.replaces, made.reason, made.passed) == ("1 + 2", 0, "rule", None)
    assert made.scores.exact_match
    assert made.prompt_tokens
    assert made.prompt_tokens > 0
    assert made.cached_tokens == 0
    assert made.latency_ms > 0


def test_a_silent_answer_has_no_cost(bench: Path, says: Callable[[Case, str], Completer]) -> None:
    case = Case("1", "a.py", "x = 1  # why ", "\n", "not", "mid-line")
    completer = says(case, "not")
    completer.config = replace(completer.config, complete_comments=False)
    made = answers.record(completer, case, Project({}), bench)
    assert (made.completion, made.prompt_tokens, made.reason) == ("", None, "comment")


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [("x)", 3, ("x", 0)), ("x):", 3, ("x):", 1)), ("x", 2, ("x", 0)), ("", 2, ("", 0))],
)
def test_what_an_answer_replaces_is_not_in_it(text: str, end: int, expected: tuple[str, int]) -> None:
    case = Case("1", "a.py", "f(", ")\n", "x", "mid-line")
    assert answers.inserted(case, Completion(text, 2, end, "stop")) == expected


def test_the_evidence_is_told_if_there_is_any(bench: Path) -> None:
    case = Case("1", "a.py", "x = ", "\n", "1", "mid-line")
    evidence = Evidence(mean=-2.0, least=-3.0, first=-1.0)
    made = answers.record(saying("1", case, evidence), case, Project({}), bench)
    assert made.evidence == asdict(evidence)
    assert made.probability == probability(evidence)
    made = answers.record(saying("1", case, None), case, Project({}), bench)
    assert (made.evidence, made.probability) == (None, 0.0)


# --- comparisons and reports ---


def record(number: int, exact: bool = True, **fields: Any) -> Record:
    said = scores.Scores(exact, 50.0, 0.5, 0.25, 0.0, True, fields.pop("syntax_valid", None))
    known: dict[str, Any] = {
        "kind": "line",
        "language": "python",
        "cross_file": False,
        "latency_ms": 10.0 * number,
        "passed": None,
    }
    told = {"completion": "x", "replaces": 0, "reason": "rule", "prompt_tokens": 9, "cached_tokens": 0}
    sure = {"evidence": None, "probability": 0.5}
    return Record(id=str(number), digest="d", scores=said, **known | told | sure | fields)


@pytest.mark.parametrize(("wins", "losses", "p"), [(0, 0, 1.0), (3, 3, 1.0), (5, 0, 1 / 16), (8, 1, 20 / 512)])
def test_mcnemar_by_hand(wins: int, losses: int, p: float) -> None:
    assert comparison.mcnemar(wins, losses) == pytest.approx(p)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_two_sided_binomial_test(wins: int, losses: int) -> None:
    count = wins + losses
    odds = [math.comb(count, k) / 2**count for k in range(count + 1)]
    as_extreme = sum(odd for odd in odds if odd <= odds[wins] * (1 + 1e-9))
    assert comparison.mcnemar(wins, losses) == pytest.approx(as_extreme)


def test_what_a_threshold_would_show() -> None:
    said = [record(n, exact=n in (1, 2, 7), probability=0.9 if n < 4 else 0.1) for n in range(8)]
    shown = {"threshold": 0.5, "shown": 0.5, "precision": 0.5, "gain": 1.333, "kept": 0.6667}
    assert report.automatic(said, 0.5) == shown
    assert report.automatic(said, 0.95) is None


def test_a_comparison_is_paired() -> None:
    ours = [record(n, exact=n < 6, passed=n != 9) for n in range(10)]
    theirs = [record(n, exact=n in (0, 8), passed=True) for n in range(10)]
    said = comparison.compare(comparison.pairs(ours, [*theirs[::-1], record(11)]))
    exact = {"ours": 0.6, "theirs": 0.2, "difference": 0.4, "wins": 5, "losses": 1, "p": 0.2188}
    assert (said["n"], said["exact_match"]) == (10, exact)
    assert said["passed"] == {"ours": 0.9, "theirs": 1.0, "difference": -0.1, "wins": 0, "losses": 1, "p": 1.0}
    assert comparison.pairs(ours, [replace(one, digest="other") for one in theirs]) == []
    assert comparison.compare(comparison.pairs([record(1)], [record(1)]))["passed"] is None


def test_a_summary_has_every_figure() -> None:
    records = [
        record(1, True, syntax_valid=True, cross_file=True, passed=True),
        record(2, False, syntax_valid=False, language="go", passed=False),
        record(3, False, kind="block", cross_file=True, passed=False),
        record(4, False, kind="block", passed=False),
    ]
    said = json.loads(json.dumps(report.summary("fresh", records)))
    wanted = "suite n exact_match pass_at_1 characters_saved edit_similarity identifier_f1 perfect_lines shown"
    wanted += " syntax_valid repeated_suffix wrong_indent unbalanced latency_ms by_kind by_language cross_file"
    assert set(wanted.split()) <= said.keys()
    assert (said["n"], said["exact_match"], said["pass_at_1"]) == (4, 0.25, 0.25)
    assert (said["syntax_valid"], said["unbalanced"]) == (0.5, None)
    assert said["checked"]["syntax_valid"] == 2
    assert said["latency_ms"] == {"p50": 25, "p90": 37, "p95": 38, "p99": 40}
    assert said["by_kind"]["line"]["exact_match"] == 0.5
    assert said["by_language"]["go"]["n"] == 1
    assert (said["cross_file"]["n"], said["cross_file"]["exact_match"]) == (1, 1.0)


def test_tables_are_aligned_and_have_all_slices() -> None:
    said = report.summary("fresh", [record(1), record(2, kind="block", language="go", cross_file=True)])
    *rows, latency = report.score_table(said).splitlines()
    assert len({len(row) for row in rows}) == 1
    assert [row.split()[0] for row in rows[1:]] == ["all", "block", "line", "go", "python"]
    assert "p50 15" in latency
    against = {"name": "before", **comparison.compare([(record(1), record(1, exact=False))])}
    heading, exact, *_ = report.comparison_table(against).splitlines()
    assert "before" in heading
    assert exact.split() == ["exact", "match", "1.0", "0.0", "+1.0", "1", "0", "1.0"]


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
        known = ["--bench", str(bench), "--model", str(artifact), *SETTINGS]
        monkeypatch.setattr(sys, "argv", ["eval.py", *known, *map(str, given)])
        code: int | str | None = 0
        try:
            evaluation.main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        assert isinstance(code, int)
        return code, said.out, said.err

    return run


def test_the_last_line_is_the_summary(script: Any, repo: Path) -> None:
    place = str(repo)
    asked = {"fresh-all": 5, "fresh-all --limit 2": 2, "humaneval-span": 1, f"repo {place} --limit 4": 4}
    for words, count in asked.items():
        code, out, _ = script("--suite", *words.split())
        said = json.loads(out.splitlines()[-1])
        assert (code, said["n"], said["suite"]) == (0, count, words.split()[0])
        assert (said["pass_at_1"] is not None) == ("humaneval" in words)


def timeless(path: Path) -> list[dict[str, Any]]:
    """The lines of a file without what differs from run to run."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [{key: value for key, value in row.items() if key not in ("latency_ms", "cached_tokens")} for row in rows]


@pytest.fixture
def whole(script: Any, tmp_path: Path) -> Path:
    """The predictions of a whole run."""
    path = tmp_path / "whole.jsonl"
    script("--suite", "fresh-all", "--predictions", path)
    return path


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.8, 1.0])
def test_a_run_goes_on_where_it_was_killed(
    kept: float, whole: Path, script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = whole.read_bytes()
    path = tmp_path / "killed.jsonl"
    path.write_bytes(data[: int(len(data) * kept)])
    asked: list[str] = []

    def counted(completer: Completer, case: Case, project: Project, bench: Path) -> Record:
        asked.append(case.id)
        return answers.record(completer, case, project, bench)

    monkeypatch.setattr(evaluation, "record", counted)
    code, _, _ = script("--suite", "fresh-all", "--predictions", path)
    left = path.read_bytes()[: int(len(data) * kept)].count(b"\n")
    assert code == 0
    assert timeless(path) == timeless(whole)
    assert len(asked) == 5 - max(0, left - 1)


def test_a_prediction_is_written_as_soon_as_it_is_made(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.jsonl"
    written: list[int] = []

    def watched(*given: Any) -> Record:
        written.append(len(predictions.read(path).records))
        return answers.record(*given)

    monkeypatch.setattr(evaluation, "record", watched)
    script("--suite", "fresh", "--predictions", path)
    assert written == [0, 1, 2, 3]


def test_predictions_have_an_id_in_every_line(whole: Path) -> None:
    rows = timeless(whole)
    assert [row["id"] for row in rows] == [predictions.HEADER, "c0", "c1", "c2", "c3", "c4"]
    assert rows[0]["settings"]["prefix_tokens"] == 200


def test_a_report_needs_no_model(whole: Path, script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "load_completer", None)
    other = tmp_path / "other.jsonl"
    other.write_bytes(whole.read_bytes())
    plot = tmp_path / "plot.png"
    code, out, _ = script("--report", whole, other, "--against", other, "--plot", plot)
    runs = json.loads(out.splitlines()[-1])["runs"]
    assert code == 0
    assert runs.keys() == {"whole", "other"}
    assert runs["whole"]["n"] == 5
    assert runs["whole"]["against"]["exact_match"]["p"] == 1.0
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_two_runs_are_compared_on_the_cases_both_have(whole: Path, script: Any) -> None:
    code, out, _ = script("--suite", "fresh", "--limit", "2", "--against", whole, "--set=max_line_tokens=2")
    said = json.loads(out.splitlines()[-1])["against"]
    assert (code, said["name"], said["n"]) == (0, "whole", 2)


MISUSES: dict[str, tuple[list[str], str]] = {
    "nothing asked": ([], "--suite"),
    "unknown suite": (["--suite", "nonsense"], "nonsense"),
    "a place for a suite that has none": (["--suite", "fresh", "."], "--suite"),
    "two suites": (["--suite", "fresh", "--cases", "x"], "--suite"),
    "no such file of cases": (["--cases", "{tmp}/none.jsonl"], "none.jsonl"),
    "no such folder": (["--suite", "repo", "{tmp}/none"], "git checkout"),
    "a folder without source": (["--suite", "repo", "{tmp}/empty"], "no source files"),
    "no data sets": (["--suite", "fresh", "--bench", "{tmp}/empty"], "--bench"),
    "no JSON": (["--cases", "{tmp}/text"], "JSON"),
    "no object": (["--cases", "{tmp}/list"], "JSON"),
    "no UTF-8": (["--cases", "{tmp}/bytes"], "UTF-8"),
    "torn gzip": (["--cases", "{tmp}/torn.gz"], "gzip"),
    "a row without a field": (["--cases", "{tmp}/row"], "`id`"),
    "an empty file of cases": (["--cases", "{tmp}/nothing"], "no cases"),
    "two cases of one id": (["--cases", "{tmp}/twice"], "c1"),
    "a setting that is none": (["--suite", "fresh", "--set", "nonsense=1"], "nonsense"),
    "a setting that is no JSON": (["--suite", "fresh", "--set", "prefix_tokens"], "KEY=JSON"),
    "a setting of another type": (["--suite", "fresh", "--set", "prefix_tokens=true"], "prefix_tokens"),
    "no such model": (["--suite", "fresh", "--model", "nonsense"], "nonsense"),
    "no such predictions": (["--report", "{tmp}/none.jsonl"], "none.jsonl"),
    "a report of something else": (["--report", "{tmp}/text"], "no predictions"),
    "a comparison with something else": (["--suite", "fresh", "--against", "{tmp}/row"], "no predictions"),
    "predictions of another run": (
        ["--suite", "fresh", "--predictions", "{whole}"],
        "another run (cases, n",
    ),
    "compared with another run": (["--suite", "humaneval-single", "--against", "{whole}"], "shares no case"),
    "predictions over another file": (["--suite", "fresh", "--predictions", "{tmp}/text"], "no predictions"),
    "predictions nowhere": (["--suite", "fresh", "--predictions", "{tmp}/no/where"], "Cannot write"),
    "a plot nowhere": (["--suite", "fresh", "--plot", "{tmp}/no/where.png"], ".png"),
}


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A folder of files that are not what is asked for."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("some words", encoding="utf-8")
    (tmp_path / "list").write_text("[1]\n", encoding="utf-8")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "torn.gz").write_bytes(gzip.compress(b"{}" * 100)[:20])
    (tmp_path / "row").write_text("{}\n", encoding="utf-8")
    (tmp_path / "nothing").write_bytes(b"")
    write_rows(tmp_path / "twice", [fresh_row(1), fresh_row(1)])
    return tmp_path


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_one_sentence(name: str, wrong: Path, whole: Path, script: Any) -> None:
    given_, told = MISUSES[name]
    before = (wrong / "text").read_bytes(), whole.read_bytes()
    code, _, err = script(*(word.format(tmp=wrong, whole=whole) for word in given_))
    last = err.strip().splitlines()[-1]
    assert code == 2
    assert told in last
    assert "Traceback" not in err
    assert ((wrong / "text").read_bytes(), whole.read_bytes()) == before


def test_a_comparison_that_cannot_be_made_is_refused_before_the_run(
    whole: Path, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "load_completer", None)
    code, _, err = script("--suite", "humaneval-single", "--against", whole)
    assert (code, "shares no case" in err) == (2, True)


def test_without_matplotlib_a_plot_is_refused_first(
    script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    code, _, err = script("--suite", "fresh", "--plot", tmp_path / "plot.png")
    assert (code, "flash-ls[bench]" in err) == (2, True)
