"""Sessions are typed as planned whatever the server says, and what it says is counted as it was."""

import json
import queue
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.replaying import figures, history, plot
from scripts.replaying.buffer import Buffer
from scripts.replaying.clock import Clock, FastClock, HumanClock
from scripts.replaying.commits import Commit, commits, files_at
from scripts.replaying.editor import Editor, Keystroke
from scripts.replaying.keyboard import Goal, Key, Keyboard, key
from scripts.replaying.llama_model import Answer, Chunk, Infill, LlamaModel, dedent
from scripts.replaying.llama_vim import LlamaVim, Ring, local, shown
from scripts.replaying.pace import FASTEST_S, NOTICE_S, SLOWEST_S, Pace
from scripts.replaying.process import cpu_s, memory_mb
from scripts.replaying.server import Contender, Played, Server
from scripts.replaying.sessions import Edit, Session, edits, merged, session, shortened, varied
from scripts.replaying.source import is_source, is_typed
from scripts.replaying.suggestion import Suggestion, Wish
from scripts.replaying.typist import Habits, NotAsPlanned, Typist
from scripts.replaying.workspace import check_out
from scripts.replaying.writing import Writing, keys_alone
from tests.lsp_client import LspProcess, python_module

REPLAY = Path(__file__).parents[1] / "scripts" / "replay.py"
CODE = st.text(st.sampled_from("ab_ (){}[]\"'`\n\t;:,/#é😀"), max_size=60)
LINES = st.lists(st.sampled_from(["a = 1\n", "b(c)\n", "\n", "    d[0]\n", "if x: {\n", "}\n", "last"]), max_size=12)


def a_session(*made: Edit, **files: str) -> Session:
    texts = {name.replace("_", "."): text for name, text in files.items()}
    return Session(Commit(Path("/repo"), "c0ffee", "c0de"), texts, made)


def written(edit: Edit, text: str, closing: bool, seed: str = "0") -> tuple[str, list[Key]]:
    """The text after the keys of an edit, from when what it replaces is gone."""
    text = text[: edit.start] + text[edit.end :]
    writing, cursor, keys = Writing(edit, text, Pace(seed), closing), edit.start, []
    while step := writing.next(text, cursor):
        text, cursor = step.key.applied(text), step.key.cursor
        keys.append(step.key)
        assert len(keys) < 20 * (len(edit.text) + 20)
    return text, keys


# Sessions


@given(LINES, LINES)
def test_the_edits_of_a_file_make_the_new_text_of_the_old(old: list[str], new: list[str]) -> None:
    text, wanted = "".join(old), "".join(new)
    for edit in edits("a.py", text, wanted):
        text = edit.applied(text)
    assert text == wanted


def test_edits_are_small_and_in_whole_words() -> None:
    old, new = "first = alpha(1)\nsame\n", "first = album(1)\nsame\nadded(2)\n"
    assert edits("a.py", old, new) == [
        Edit("a.py", 8, 13, "album"),
        Edit("a.py", 21, 21, "\nadded(2)"),
    ]


def test_files_are_edited_in_turn_and_in_order() -> None:
    queues = {name: [Edit(name, place, place, "x") for place in range(20)] for name in ("a.py", "b.py", "c.py")}
    order = list(merged(queues, random.Random(0)))
    assert {name: [edit for edit in order if edit.path == name] for name in queues} == queues
    assert sum(one.path != other.path for one, other in pairwise(order)) > 6


def test_a_session_ends_with_a_line_once_enough_is_typed() -> None:
    made = [Edit("a.py", 0, 0, "x" * 30), Edit("a.py", 0, 3, "first\nsecond\nthird"), Edit("a.py", 0, 0, "y")]
    assert [edit.text for edit in shortened(iter(made), 45)] == ["x" * 30, "first\nsecond"]
    assert list(shortened(iter(made), 1000)) == made


def test_sessions_come_from_each_language_first_and_always_in_the_same_order() -> None:
    texts = {"py": 5, "ts": 2, "rs": 1}
    made = [
        Session(Commit(Path(f"/{ext}{number % 2}"), f"{ext}{number}", ""), {}, [Edit(f"a.{ext}", 0, 0, "x")])
        for ext, count in texts.items()
        for number in range(count)
    ]
    order = varied(made, 1)
    assert {one.language for one in order[:3]} == {"python", "typescript", "rust"}
    assert sorted(one.id for one in order) == sorted(one.id for one in made)
    assert order == varied(list(reversed(made)), 1) != varied(made, 2)
    python = [one.commit.repo.name for one in order if one.language == "python"]
    assert python[0] != python[1]


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("src/a.py", True),
        ("a.scss", True),
        ("README.md", False),
        ("data.json", False),
        ("node_modules/a/index.js", False),
        ("dist/a.js", False),
        ("a.min.js", False),
        ("types.d.ts", False),
        ("notes.txt", False),
    ],
)
def test_what_counts_as_source(path: str, counts: bool) -> None:
    assert is_source(path) == counts


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("def a():\n    pass\n", True),
        ("// Code generated by protoc. DO NOT EDIT.\n", False),
        ("x" * 600, False),
        ("a\r\n", False),
        ("a\0", False),
        ("a\n" * 200_000, False),
        ("a();\n//# sourceMappingURL=a.js.map\n", False),
    ],
)
def test_what_looks_typed(text: str, typed: bool) -> None:
    assert is_typed(text) == typed


# From git


class Repo:
    """A repository in the making."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q")

    def git(self, *arguments: str) -> None:
        history.git(self.folder, *arguments)

    def commit(self, files: dict[str, str | None]) -> None:
        for path, text in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                (self.folder / path).unlink()
            else:
                (self.folder / path).write_text(text)
        self.git("add", "--all")
        self.git("commit", "-q", "-m", "x")

    def sessions(self) -> list[Session]:
        return [one for found in commits(self.folder) if (one := session(found, found.texts(), 400))]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "tiny")


OLD = "def first():\n    return 1\n"
NEW = "def first():\n    return 1\n\n\ndef second(values):\n    return [first() for _ in values]\n"


def test_commits_become_sessions_the_newest_first(repo: Repo) -> None:
    repo.commit({"a.py": OLD, "b.js": "let x;\n"})
    repo.commit({"a.py": NEW})
    repo.commit({"b.js": "let x;\nfunction add(one, other) { return one + other; }\n"})
    newest, older = repo.sessions()
    assert newest.files == {"b.js": "let x;\n"}
    assert older.files == {"a.py": OLD}
    assert older.edits[0].applied(OLD) == NEW
    assert repo.sessions() == [newest, older]
    assert files_at(repo.folder, older.commit.parent) == {"a.py": OLD.encode(), "b.js": b"let x;\n"}


def test_what_is_renamed_is_left_out(repo: Repo) -> None:
    repo.commit({"a.py": OLD, "b.py": "x = 1\n"})
    repo.commit({"a.py": None, "aa.py": OLD, "b.py": NEW})
    assert [list(one.files) for one in repo.sessions()] == [["b.py"]]


def test_what_nobody_typed_is_no_session(repo: Repo) -> None:
    repo.commit({"a.py": OLD, "gen.py": "# Generated by a tool\n", "long.py": ""})
    repo.commit({"moved.py": OLD, "a.py": None})
    repo.commit({"moved.py": "def first():\n"})
    repo.commit({"gen.py": "# Generated by a tool\nvalues = [first, second, third]\n"})
    repo.commit({"long.py": "call(one, two)\n" * 201})
    repo.commit({"README.md": "Many words that are no code at all.\n"})
    repo.git("checkout", "-q", "-b", "side")
    repo.commit({"side.py": "a\n"})
    repo.git("checkout", "-q", "-")
    repo.commit({"other.py": "b\n"})
    repo.git("merge", "-q", "--no-edit", "side")
    assert repo.sessions() == []


def release(tmp_path: Path, name: str, files: dict[str, str]) -> None:
    """Put an archive of a package where the faked index has it."""
    for path, text in files.items():
        (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / path).write_text(text)


def test_releases_become_commits_always_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release(tmp_path, "1.0", {"tiny-1.0/a.py": OLD, "tiny-1.0/gone.py": "x = 1\n", "tiny-1.0/PKG-INFO": "Version: 1.0"})
    release(tmp_path, "1.1", {"tiny-1.1/a.py": NEW, "tiny-1.1/dist/a.js": "x"})
    monkeypatch.setitem(
        history.INDEXES, "sdist", lambda name, version, folder, target: (tmp_path / version).rename(target)
    )
    listed = tmp_path / "list.txt"
    listed.write_text("# a list\nsdist tiny 1.0 1.1\n")
    (releases,) = history.read_list(listed)
    history.build(releases, tmp_path)
    (made,) = history.repositories(tmp_path, [releases])
    (newer,) = commits(made)
    assert files_at(made, newer.parent) == {"a.py": OLD.encode(), "gone.py": b"x = 1\n"}
    assert files_at(made, newer.id) == {"a.py": NEW.encode()}
    assert newer.id == "ea437dffd1b06c8c857775c34357b5af7a1dda49"
    history.build(releases, tmp_path)  # is there already


def test_a_list_of_another_form_is_told(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("cran tiny 1.0 1.1\n")
    with pytest.raises(ValueError, match="cran tiny"):
        history.read_list(listed)


def test_a_folder_becomes_that_of_another_commit(tmp_path: Path) -> None:
    check_out(tmp_path, {"a/one.py": b"1", "two.py": b"2", "same.py": b"="})
    said = check_out(tmp_path, {"a/three.py": b"3", "two.py": b"22", "same.py": b"="})
    assert {path.name for path in tmp_path.rglob("*.py")} == {"three.py", "two.py", "same.py"}
    assert (tmp_path / "two.py").read_bytes() == b"22"
    assert {str(one["uri"]).rpartition("/")[2]: one["type"] for one in said} == {
        "one.py": 3,
        "three.py": 1,
        "two.py": 2,
    }


# The keyboard


@settings(max_examples=400, deadline=None)
@given(CODE, CODE, CODE, st.booleans(), st.sampled_from(["a.py", "a.ts", "a.rs", "a.css"]), st.integers(0, 9))
def test_whatever_is_typed_stands_there_in_the_end(
    before: str, typed: str, after: str, closing: bool, path: str, seed: int
) -> None:
    edit = Edit(path, len(before), len(before), typed)
    text, _ = written(edit, before + after, closing, str(seed))
    assert text == before + typed + after


def typed_along(wanted: str, closing: bool = True, path: str = "a.js", after: str = "\n") -> list[str]:
    """The buffers after each key, with the cursor as ¦."""
    text, cursor, goal, seen = after, 0, Goal(wanted, after), []
    keyboard = Keyboard(path, "if (a) {\n  b\n}\n", closing)
    while pressed := keyboard.next_key(text, cursor, goal):
        text, cursor = pressed.applied(text), pressed.cursor
        seen.append(f"{text[:cursor]}¦{text[cursor:].removesuffix(after)}")
    return seen


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        ("f(x)", ["f¦", "f(¦)", "f(x¦)", "f(x)¦"]),
        ("a['b']", ["a¦", "a[¦]", "a['¦']", "a['b¦']", "a['b'¦]", "a['b']¦"]),
        ("{\n  a\n}", ["{¦}", "{\n  ¦\n}", "{\n  a¦\n}", "{\n  a\n}¦"]),
        ("(a", ["(¦)", "(a¦)", "(a¦"]),
        ("it's", ["i¦", "it¦", "it'¦", "it's¦"]),
        ("// '", ["/¦", "//¦", "// ¦", "// '¦"]),
        ("  a\n  b", ["  ¦", "  a¦", "  a\n  ¦", "  a\n  b¦"]),
        ("  a\n\n  b", ["  ¦", "  a¦", "  a\n  ¦", "  a\n\n  ¦", "  a\n\n  b¦"]),
        ("  a\nb", ["  ¦", "  a¦", "  a\n  ¦", "  a\n¦", "  a\nb¦"]),
        ("a\n    b", ["a¦", "a\n¦", "a\n    ¦", "a\n    b¦"]),
    ],
)
def test_an_editor_indents_and_closes_brackets(wanted: str, seen: list[str]) -> None:
    assert typed_along(wanted) == seen


def test_an_editor_closes_nothing_before_a_word_or_if_it_shall_not() -> None:
    assert typed_along("f(", after="x\n") == ["f¦", "f(¦"]
    assert typed_along("f(x)", closing=False) == ["f¦", "f(¦", "f(x¦", "f(x)¦"]
    assert typed_along("{\na", closing=False)[1] == "{\n¦"
    assert typed_along("&'a", path="a.rs") == ["&¦", "&'¦", "&'a¦"]


def test_the_pace_is_that_of_a_human_and_always_the_same() -> None:
    text = "def function(argument):\n    return argument_of(another, value)\n" * 40
    paces = [[Pace("seed").interval_s(text, place) for place in range(len(text))] for _ in range(2)]
    within = [gap for place, gap in enumerate(paces[0]) if text[:place].rpartition("\n")[2].strip()]
    assert paces[0] == paces[1] != [Pace("other").interval_s(text, place) for place in range(len(text))]
    assert FASTEST_S <= min(within) < max(within) <= SLOWEST_S
    assert 0.14 < sorted(within)[len(within) // 2] < 0.18
    assert 0.4 < max(paces[0]) <= 1.5
    slips = [place for place in range(len(text)) if Pace("seed").slip(text, place)]
    assert 0.005 < len(slips) / len(text) < 0.03
    assert all(text[place].isalpha() for place in slips)


def test_slips_are_typed_noticed_and_taken_back() -> None:
    words = "alphabetical " * 40
    text, keys = written(Edit("a.py", 0, 0, words), "", True)
    taken_back = sum(one.kind == "backspace" for one in keys)
    slips = [place for place in range(len(words)) if Pace("0").slip(words, place)]
    assert text == words
    assert 2 * len(slips) <= taken_back <= 3 * len(slips)
    assert len(keys) == len(words) + 2 * taken_back
    assert slips


def test_a_slip_that_was_mended_otherwise_is_forgotten_at_the_end() -> None:
    words = "alphabetical " * 40
    writing, text, unplanned = Writing(Edit("a.py", 0, 0, words), "", Pace("0"), True), "", False
    while not unplanned:
        step = writing.next(text, len(text))
        assert step
        text, unplanned = step.key.applied(text), not words.startswith(step.key.applied(text))
    taken_back = writing.next(f"{words})", len(words) + 1)
    assert taken_back
    assert taken_back.key.kind == "backspace"


def test_the_keys_of_a_session_are_counted_before_it() -> None:
    made = a_session(
        Edit("a.js", 0, 3, "f(x)"), Edit("b.js", 0, 0, "{\n}"), Edit("a.js", 4, 4, ";"), a_js="abc\n", b_js="\n"
    )
    assert keys_alone(made, closing=True) == 1 + 4 + 5 + 1
    assert keys_alone(made, closing=False) == 1 + 4 + 3 + 1


@given(st.text(st.sampled_from("ab\né😀"), max_size=20), st.data())
def test_places_are_those_of_lsp(text: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(text)))
    buffer = Buffer("", text)
    place = buffer.place(offset)
    lines = text[:offset].split("\n")
    assert place == {"line": len(lines) - 1, "character": len(lines[-1].encode("utf-16-le")) // 2}
    assert buffer.offset(place) == offset
    assert buffer.offset({"line": text.count("\n") + 1, "character": 0}) is None
    assert buffer.offset({"line": 0, "character": 999}) is None


# What is shown


@pytest.mark.parametrize(
    ("text", "cursor", "item", "fits"),
    [
        ("f(", 2, Suggestion(2, 2, "x)"), True),
        ("f()", 2, Suggestion(2, 3, "x)"), True),
        ("f()", 2, Suggestion(0, 3, "f(x)"), True),
        ("f()", 2, Suggestion(0, 3, "g(x)"), False),
        ("f()", 2, Suggestion(2, 3, "x"), False),
        ("f()", 2, Suggestion(3, 3, "x"), False),
        ("f()\n", 2, Suggestion(2, 4, ")\n"), False),
        ("f()", 2, Suggestion(-1, 2, "x"), False),
    ],
)
def test_what_can_be_shown(text: str, cursor: int, item: Suggestion, fits: bool) -> None:
    assert item.fits(text, cursor) == fits


@pytest.mark.parametrize(
    ("item", "pressed", "text", "left"),
    [
        (Suggestion(2, 2, "x)"), key("type", 2, 2, "x"), "f(x", ")"),
        (Suggestion(2, 2, "x)"), key("type", 2, 2, "y"), "f(y", None),
        (Suggestion(2, 3, "g(x))"), Key("type", 3, 3, "()", 4), "f(g())", "x))"),
        (Suggestion(2, 3, "(x))"), Key("type", 2, 2, "()", 3), "f(())", "x))"),
        (Suggestion(0, 2, "f(x)"), key("backspace", 1, 2), "f", "(x)"),
        (Suggestion(2, 2, "x"), key("type", 2, 2, "x"), "f(x", None),
        (Suggestion(2, 2, "x"), key("backspace", 1, 2), "f", None),
        (Suggestion(1, 1, "\n  a\n}"), Key("enter", 1, 1, "\n  \n", 4), "{\n  \n}", "a\n}"),
    ],
)
def test_what_is_left_of_it_after_a_key(item: Suggestion, pressed: Key, text: str, left: str | None) -> None:
    kept = item.after(pressed, text)
    assert (kept.ghost(pressed.cursor) if kept else None) == left


@pytest.mark.parametrize(
    ("buffer", "goal", "item", "accepted"),
    [
        ("ret¦\n", "return value¦\n", "urn value", "return value¦\n"),
        ("ret¦\n", "return value¦\n", "urn value\nmore", "return value¦\n"),
        ("ret = ¦\n", "ret = value()¦\n", "value[0]", "ret = value¦\n"),
        ("ret¦\n", "return value¦\n", "ire", None),
        ("re¦\n", "rex¦\n", "x", None),
        ("f(¦)\n", "f(one, two)¦\n", "one, two", "f(one, two¦)\n"),
        ("f(¦x\n", "f(first¦x\n", "firstx", None),
        ("a¦\nb\n", "a¦\nb\n", "\nb", None),
        ("¦\n", "wrong¦\n", "right", None),
        ("slpi¦\n", "slip of¦\n", " of", None),
    ],
)
def test_how_much_is_accepted(buffer: str, goal: str, item: str, accepted: str | None) -> None:
    before, behind = buffer.split("¦")
    wish = Wish(before + behind, len(before), Goal(*goal.split("¦")))
    pressed = wish.acceptance(Suggestion(len(before), len(before), item), words=True)
    after = pressed and pressed.applied(before + behind)
    assert (after and pressed and f"{after[: pressed.cursor]}¦{after[pressed.cursor :]}") == accepted


def test_words_are_accepted_only_if_wanted_and_closers_behind_the_cursor_are_replaced() -> None:
    wish, some = Wish("x = \n", 4, Goal("x = value", "\n")), Suggestion(4, 4, "value or none")
    assert wish.acceptance(some, words=False) is None
    assert wish.acceptance(some, words=True) == key("accept", 4, 4, "value")
    inside = Wish("f()\n", 2, Goal("f(value)", "\n"))
    whole = inside.acceptance(Suggestion(2, 3, "value)"), words=True)
    assert whole
    assert whole.applied("f()\n") == "f(value)\n"


def test_a_suggestion_is_right_if_its_first_line_is() -> None:
    wish = Wish("a = \n", 4, Goal("a = one(", ")\n"))
    assert wish.agrees(Suggestion(4, 4, "one(\nother"))
    assert not wish.agrees(Suggestion(4, 4, "two("))
    assert not Wish("x", 1, Goal("a = one", "")).agrees(Suggestion(1, 1, ""))


# The editor and the typist, at a server that says what it is told

SCRIPTED = """
import json, sys, threading, time
answers = json.loads(open(sys.argv[1]).read())
texts, calls, lock = {}, 0, threading.Lock()
def send(message):
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    with lock:
        sys.stdout.buffer.write(b"Content-Length: %d\\r\\n\\r\\n%s" % (len(body), body)); sys.stdout.buffer.flush()
def log(line): print(line, file=sys.stderr, flush=True)
def offset(text, place):
    lines = text.split("\\n")
    return sum(len(line) + 1 for line in lines[: place["line"]]) + place["character"]
def prophecy(text, place):
    cursor = offset(text, place)
    for known in answers["known"]:
        if known.startswith(text[:cursor]) and known != text:
            return {"text": known[cursor : cursor + 24].split("\\n")[0]}
    return {}
def answer(id, place, said, version):
    time.sleep(said.get("delay", 0))
    item = {"insertText": said.get("text"), "range": said.get("range") or {"start": place, "end": place}}
    log(f"complete file=x version={version} reason={said.get('reason', 'done')} ms=1 prompt_tokens=10 cached_tokens=4")
    send({"id": id, "result": [item] if said.get("text") else None})
def take(m):
    global calls
    p, method = m.get("params") or {}, m.get("method")
    uri = p.get("textDocument", {}).get("uri") if isinstance(p, dict) else None
    if method == "textDocument/didOpen": texts[uri] = [p["textDocument"]["text"], p["textDocument"]["version"]]
    elif method == "textDocument/didChange":
        text = texts[uri][0]
        for c in p["contentChanges"]:
            text = text[: offset(text, c["range"]["start"])] + c["text"] + text[offset(text, c["range"]["end"]) :]
        texts[uri] = [text, p["textDocument"]["version"]]
    elif method == "textDocument/inlineCompletion":
        list_ = answers.get("list")
        said = prophecy(texts[uri][0], p["position"]) if list_ is None else list_[calls] if calls < len(list_) else {}
        calls += 1
        threading.Thread(target=answer, args=(m["id"], p["position"], said, texts[uri][1])).start()
    elif method == "exit": sys.exit(0)
    elif "id" in m and method: send({"id": m["id"], "result": {"capabilities": {}}})
log("load reason=ready"); log("index files=0 ms=0")
while header := sys.stdin.buffer.readline():
    length = int(header.split(b":")[1]); sys.stdin.buffer.readline()
    take(json.loads(sys.stdin.buffer.read(length)))
"""


@pytest.fixture
def scripted(tmp_path: Path) -> Callable[[dict[str, Any]], list[str]]:
    """The command of a server that gives these answers."""

    def command(answers: dict[str, Any]) -> list[str]:
        (tmp_path / "server.py").write_text(SCRIPTED)
        (tmp_path / "answers.json").write_text(json.dumps(answers))
        return [sys.executable, str(tmp_path / "server.py"), str(tmp_path / "answers.json")]

    return command


@pytest.fixture
def editing(scripted: Callable[[dict[str, Any]], list[str]], tmp_path: Path) -> Iterator[Callable[..., Editor]]:
    """An editor with `a.py` open at its end, and a server that gives these answers."""
    processes = []

    def make(*answers: dict[str, Any], text: str = "", clock: Clock | None = None) -> Editor:
        processes.append(LspProcess(scripted({"list": answers})))
        editor = Editor(processes[-1], tmp_path, clock or FastClock())
        editor.show("a.py", text)
        editor.move(len(text))
        return editor

    yield make
    for process in processes:
        process.close()


def press(editor: Editor, text: str) -> Keystroke:
    """Type it and wait for the answer, if the clock does."""
    stroke = editor.press(key("type", editor.cursor, editor.cursor, text))
    while editor.listen(editor.clock.now() + 0.01):
        pass
    return stroke


Editing = Callable[..., Editor]


def test_what_is_shown_and_how_long_it_took(editing: Editing) -> None:
    editor = editing({"text": "port os", "delay": 0.05}, {})
    first = press(editor, "i")
    assert (first.shown, first.moment, first.version) == (True, "jump", 2)
    assert 50 <= (first.answered_ms or 0) < 500
    assert editor.shown == Suggestion(1, 1, "port os")
    assert editor.press(key("enter", 1, 1, "\n")).moment == "enter"
    editor.move(0)
    assert editor.press(key("enter", 0, 0, "\n")).moment == "jump"
    second = press(editor, "x")
    assert (second.shown, second.flicker, second.moment) == (False, False, "other")
    assert second.answered_ms is not None
    assert editor.shown is None


def test_typing_along_keeps_what_is_shown_and_tells_flicker(editing: Editing) -> None:
    editor = editing({"text": "abcd"}, {"text": "bcd"}, {"text": "cde"}, {"text": "xyz"}, {"text": "yzyz"}, {})
    strokes = [press(editor, letter) for letter in "_abcxy"]
    assert [stroke.flicker for stroke in strokes] == [False, False, False, True, False, True]
    assert editor.counts["stale_shown"] == 0


def test_a_suggestion_that_stands_is_seen_from_its_first_moment_on(editing: Editing) -> None:
    editor = editing({"text": "abcd"}, {"text": "bcd"}, {"text": "xyz"})
    press(editor, "_")
    since = editor.shown_since
    press(editor, "a")
    assert editor.shown_since == since
    press(editor, "b")
    assert editor.shown_since > since


def test_an_answer_made_for_the_text_before_is_told(editing: Editing) -> None:
    editor = editing({"text": "abcd"}, {"text": "abcd"}, {"text": "====", "delay": 0}, {"text": "===="})
    for letter in "_a_=":
        press(editor, letter)
    assert editor.counts["stale_shown"] == 1


def test_an_answer_after_the_next_key_is_overtaken_and_never_shown(editing: Editing) -> None:
    editor = editing({"text": "old", "delay": 0.1}, {"text": "new", "delay": 0.2}, clock=HumanClock())
    slow, fast = (editor.press(key("type", place, place, "x")) for place in range(2))
    end = editor.clock.now() + 1
    while editor.shown is None and editor.clock.now() < end:
        editor.listen(end)
    assert slow.answered_ms is None
    assert fast.answered_ms is not None
    assert editor.shown == Suggestion(2, 2, "new")
    assert editor.counts["stale_answers"] == 1


def test_an_answer_after_a_jump_is_not_shown(editing: Editing) -> None:
    editor = editing({"text": "old", "delay": 0.05}, clock=HumanClock())
    editor.press(key("type", 0, 0, "x"))
    editor.move(0)
    editor.listen(editor.clock.now() + 1)
    assert editor.shown is None


def test_an_answer_that_cannot_be_shown_is_told(editing: Editing) -> None:
    beyond = {"start": {"line": 9, "character": 0}, "end": {"line": 9, "character": 0}}
    before = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 2}}
    editor = editing(
        {"text": "x", "range": beyond}, {"text": "other", "range": before}, {"text": "aaay", "range": before}
    )
    strokes = [press(editor, "a") for _ in range(2)]
    assert [stroke.shown for stroke in strokes] == [False, False]
    assert editor.counts["unfit"] == 2


def test_keys_that_only_move_ask_nothing(editing: Editing) -> None:
    editor = editing({"text": "never"}, text="ab\n")
    editor.move(0)
    stroke = editor.press(Key("move", 0, 0, "", 2))
    assert (stroke.version, stroke.answered_ms, editor.cursor) == (None, None, 2)
    assert not editor.listen(editor.clock.now())


def known(*texts: str) -> dict[str, Any]:
    return {"known": texts}


def play(process: LspProcess, root: Path, made: Session, habits: Habits | None = None) -> list[Keystroke]:
    editor = Editor(process, root, FastClock())
    Typist(editor, habits or Habits()).play(made)
    return editor.keys


LONG = Edit("a.py", 6, 6, "\nfrom collections import defaultdict\nresult = defaultdict(list)\nprint(result['key'])")
OTHER = Edit("b.py", 0, 3, "value = [first_thing, second_thing]")


@pytest.fixture
def long_session() -> Session:
    return a_session(LONG, OTHER, a_py="import\n", b_py="abc\n")


def test_right_text_is_accepted_when_it_has_been_seen(
    scripted: Callable[[dict[str, Any]], list[str]], tmp_path: Path, long_session: Session
) -> None:
    with LspProcess(scripted(known(LONG.applied("import\n"), OTHER.applied("abc\n")))) as process:
        keys = play(process, tmp_path, long_session)
    accepts = [place for place, stroke in enumerate(keys) if stroke.kind == "accept"]
    assert len(accepts) >= 3
    assert len(keys) < keys_alone(long_session, True) / 2
    for place in accepts:
        first = place - 1
        while first and keys[first - 1].shown and not keys[first].flicker and keys[first].moment == "other":
            first -= 1
        shown_s = keys[first].pressed_s + (keys[first].answered_ms or 0) / 1e3
        assert keys[place].pressed_s - shown_s >= NOTICE_S - 0.001
    assert sum(stroke.accepted for stroke in keys) > 60
    assert all(
        stroke.right
        for stroke in keys
        if stroke.shown and stroke.kind in ("type", "accept") and stroke.right is not None
    )


def test_a_typist_who_accepts_nothing_presses_the_planned_keys_at_any_server(
    scripted: Callable[[dict[str, Any]], list[str]], tmp_path: Path, long_session: Session
) -> None:
    runs = []
    for answers in (known(LONG.applied("import\n")), known(), {"list": [{"text": "wrong"}] * 500}):
        with LspProcess(scripted(answers)) as process:
            runs.append([stroke.kind for stroke in play(process, tmp_path, long_session, Habits(accepts=False))])
    assert runs[0] == runs[1] == runs[2]
    assert len(runs[0]) == keys_alone(long_session, True)


def test_text_that_is_not_as_planned_ends_the_run(editing: Editing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Writing, "next", lambda writing, text, cursor: None)
    with pytest.raises(NotAsPlanned, match=r"b\.py"):
        Typist(editing(), Habits()).play(a_session(OTHER, b_py="abc\n"))


def test_a_server_lives_through_sessions_in_the_files_of_their_commits(
    repo: Repo, scripted: Callable[[dict[str, Any]], list[str]], tmp_path: Path
) -> None:
    repo.commit({"a.py": OLD})
    repo.commit({"a.py": NEW})
    (made,) = repo.sessions()
    root = tmp_path / "root"
    root.mkdir()
    server = Server(Contender("x", scripted(known(NEW)), {}), root, True, made)
    try:
        played = server.play(made, Habits())
    finally:
        server.close()
    assert (root / "a.py").read_text() == OLD
    assert (played.sessions, played.keys_alone) == (1, keys_alone(made, True))
    asked = [stroke for stroke in played.keys if stroke.version]
    assert {(stroke.reason, stroke.prompt_tokens, stroke.cached_tokens) for stroke in asked} == {("done", 10, 4)}
    assert {stroke.session for stroke in played.keys} == {made.id}
    assert played.rss_mb > 1
    assert played.peak_rss_mb >= played.rss_mb
    assert played.typing_s > 0


def test_the_cpu_time_of_a_process_is_its_own() -> None:
    code = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    assert 0.15 <= cpu_s(process.pid) < 2
    assert 1 < memory_mb(process.pid)[0] <= memory_mb(process.pid)[1]
    process.communicate()


# llama.vim


class FakeModel:
    """Answers with what it is told, once it may."""

    def __init__(self, text: str) -> None:
        self.text, self.asked, self.read_chunks = text, list[Infill](), list[Sequence[Chunk]]()
        self.free = threading.Event()
        self.free.set()

    def complete(self, asked: Infill) -> Answer:
        self.asked.append(asked)
        self.free.wait(5)
        return Answer(self.text, 20, 5)

    def read(self, extra: Sequence[Chunk]) -> None:
        self.read_chunks.append(extra)


def await_asked(model: FakeModel, times: int) -> None:
    end = time.monotonic() + 5
    while len(model.asked) < times:
        assert time.monotonic() < end, "the model is not asked"
        time.sleep(0.001)


class Vim:
    """The plugin with a file open, and what it answers."""

    def __init__(self, model: FakeModel, text: str) -> None:
        self.sent: queue.Queue[dict[str, Any]] = queue.Queue()
        self.plugin = LlamaVim(cast(LlamaModel, model), self.sent.put)
        self.thread = threading.Thread(target=self.plugin.run)
        self.thread.start()
        self.say("textDocument/didOpen", textDocument={"uri": "file:///a.py", "text": text, "version": 1})
        self._version = 1

    def say(self, method: str, id: int | None = None, **params: Any) -> None:
        self.plugin.put({"method": method, "params": params} | ({"id": id} if id is not None else {}))

    def type(self, text: str, line: int, column: int) -> None:
        """Insert, and ask with the version as the id."""
        self._version += 1
        document, here = {"uri": "file:///a.py", "version": self._version}, {"line": line, "character": column}
        change = {"range": {"start": here, "end": here}, "text": text}
        self.say("textDocument/didChange", textDocument=document, contentChanges=[change])
        behind = {"line": line, "character": column + len(text)}
        self.say("textDocument/inlineCompletion", self._version, textDocument=document, position=behind)

    def answer(self) -> tuple[int, str | None]:
        message = self.sent.get(timeout=5)
        return message["id"], message["result"] and message["result"][0]["insertText"]


@pytest.fixture
def vim() -> Iterator[Callable[[FakeModel, str], Vim]]:
    started = []

    def start(model: FakeModel, text: str) -> Vim:
        started.append(Vim(model, text))
        return started[-1]

    yield start
    for one in started:
        one.say("exit")
        one.thread.join(5)
        assert not one.thread.is_alive()


Started = Callable[[FakeModel, str], Vim]


def test_what_was_answered_is_shown_again_while_it_is_typed(vim: Started) -> None:
    model = FakeModel("eturn total")
    one = vim(model, "def f():\n    \nx\n")
    one.type("r", 1, 4)
    assert one.answer() == (2, "eturn total")
    one.type("e", 1, 5)
    assert one.answer() == (3, "turn total")
    asked = model.asked[0]
    assert (asked.prefix, asked.middle, asked.suffix) == ("def f():\n", "    r", "\nx\n\n")
    assert (asked.most_tokens, asked.indent, asked.most_ms) == (128, 4, 250)
    await_asked(model, 2)
    speculative = model.asked[1]
    assert (speculative.middle, speculative.most_ms) == ("    return total", 1000)


def test_a_key_stops_no_request_and_the_next_is_tried_later(vim: Started) -> None:
    model = FakeModel("")
    model.free.clear()
    one = vim(model, "\n")
    one.type("a", 0, 0)
    one.type("b", 0, 1)
    assert one.answer() == (2, None)
    one.type("c", 0, 2)
    assert one.answer() == (3, None)
    model.free.set()
    assert one.answer() == (4, None)
    assert [asked.middle for asked in model.asked] == ["a", "abc"]


def test_nothing_is_asked_far_from_the_end_of_a_line(vim: Started) -> None:
    model = FakeModel("x")
    one = vim(model, "(123456789)\n")
    one.type("a", 0, 1)
    assert one.answer() == (2, None)
    assert model.asked == []


def test_a_cancelled_request_is_answered_with_nothing(vim: Started) -> None:
    model = FakeModel("x")
    model.free.clear()
    one = vim(model, "\n")
    one.type("a", 0, 0)
    one.plugin.put({"method": "$/cancelRequest", "params": {"id": 2}})
    assert one.answer() == (2, None)
    model.free.set()


def test_the_lines_around_a_cursor_are_few() -> None:
    lines = [f"line {number}" for number in range(1000)]
    around = local(lines, 500, 4)
    assert around.prefix.splitlines() == lines[244:500]
    assert around.suffix.splitlines() == [" 500", *lines[501:565]]
    assert local(["    "], 0, 4).middle == ""


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ("one()\n", ("one()", 4)),
        ("one()\n    two()", ("one()\n    two()", 4)),
        ("    one()", ("one()", 4)),
        ("  ", None),
        ("\nnext\nlast", None),
        ("", None),
    ],
)
def test_what_llama_vim_shows_of_an_answer(answer: str, seen: tuple[str, int] | None) -> None:
    lines = ["if x:", "    ", "next", "last"] if answer.startswith(" ") else ["if x:", "    y", "next", "last"]
    assert shown(answer, lines, 1, 4) == seen


def test_an_answer_that_is_the_next_line_is_not_shown() -> None:
    assert shown("()", ["x", "call", "", "call()", "end"], 1, 4) is None
    assert shown("()\nen", ["x", "call", "", "call()", "end"], 1, 4) is None
    assert shown("()\nother", ["x", "call", "", "call()", "end"], 1, 4) == ("()\nother", 4)


def test_a_line_with_less_indentation_ends_an_answer() -> None:
    assert dedent("a\n    b\n\n  c\n", 4) == 8
    assert dedent("a\n    b\n", 4) is None


def test_chunks_are_taken_over_one_by_one_and_forgotten_if_alike() -> None:
    ring = Ring(random.Random(0))
    texts = [[f"{name} {number}" for number in range(9)] for name in "abc"]
    for lines in (*texts, texts[0], ["short"]):
        ring.pick("x.py", lines, evict=True)
    assert [ring.update() for _ in range(4)] == [True, True, True, False]
    assert [chunk.text.splitlines() for chunk in ring.chunks] == texts
    ring.forget("".join(f"{line}\n" for line in texts[1]), 0.5)
    assert [chunk.text.splitlines() for chunk in ring.chunks] == [texts[0], texts[2]]


# Figures


def stroke(answered_ms: float | None, **more: Any) -> Keystroke:
    usual: dict[str, Any] = {"kind": "type", "moment": "other", "pressed_s": 0.0, "language": "python", "version": 1}
    return Keystroke(answered_ms=answered_ms, **usual | more)


@pytest.fixture
def played() -> Played:
    keys = [
        stroke(10.0, shown=True, right=True, reason="stop", prompt_tokens=100, cached_tokens=95),
        stroke(20.0, shown=True, right=False, reason="typed through", moment="enter"),
        stroke(30.0, reason="unsure", prompt_tokens=100, cached_tokens=20, flicker=True),
        stroke(None, reason="superseded"),
        stroke(40.0, kind="accept", moment="accept", shown=True, right=True, accepted=9),
        stroke(None, kind="move", version=None, language="css"),
    ]
    return Played(keys, {"stale_shown": 2}, 1, 12, 30.0, 3.0, 500.4, 600.0)


def test_figures_of_known_keystrokes(played: Played) -> None:
    said = figures.summary(played)
    expected = {
        "keystrokes": 6,
        "sessions": 1,
        "languages": {"python": 5, "css": 1},
        "shown_ms": {"p50": 20.0, "p90": 36.0, "p95": 38.0, "p99": 39.6},
        "no_model_share": 0.3333,
        "few_tokens_share": 0.6667,
        "cached_token_share": 0.575,
        "overtaken": 1,
        "cancelled": 1,
        "not_in_log": 1,
        "shown": 3,
        "right": 2,
        "precision": 0.6667,
        "accepted": 1,
        "accepted_characters": 9,
        "characters_saved": 0.5,
        "flicker_per_100": 16.67,
        "stale_shown": 2,
        "unfit": 0,
        "cpu_s_per_min": 6.0,
        "cpu_s_per_1000_keys": 500.0,
        "rss_mb": 500,
        "peak_rss_mb": 600,
    }
    assert {name: said[name] for name in expected} == expected
    assert said["answered_ms"]["p50"] == 25.0
    assert said["by_moment"]["enter"]["shown_ms"]["p50"] == 20.0
    assert said["by_moment"]["jump"]["shown_ms"]["p50"] is None
    assert said["reasons"] == {"stop": 1, "typed through": 1, "unsure": 1, "superseded": 1}


def test_runs_are_added_up(played: Played) -> None:
    total = Played()
    total.add(played)
    total.add(Played(played.keys[:1], {"unfit": 1}, 1, 3, 30.0, 1.0, 700.0, 700.0))
    assert (len(total.keys), total.sessions, total.keys_alone, total.typing_s, total.cpu_s) == (7, 2, 15, 60.0, 4.0)
    assert total.counts == {"stale_shown": 2, "unfit": 1}
    assert (total.rss_mb, total.peak_rss_mb) == (700.0, 700.0)


def test_tables_have_a_column_for_each_server_and_a_plot_is_drawn(played: Played, tmp_path: Path) -> None:
    both = {"one": played, "other": Played()}
    said = {name: figures.summary(one) for name, one in both.items()}
    for rows in (figures.table(said), figures.moments_table(said), figures.reasons_table(said)):
        assert {len(row) for row in rows} == {3}
    plot.draw(both, said, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


# The program


def run_replay(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, REPLAY, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def test_the_program_replays_a_repository_at_two_servers(
    repo: Repo, tmp_path: Path, scripted: Callable[[dict[str, Any]], list[str]]
) -> None:
    repo.commit({"a.py": OLD, "b.js": "let x;\n"})
    repo.commit({"a.py": NEW})
    repo.commit({"b.js": "let x;\nfunction add(one, other) { return one + other; }\n"})
    fake = " ".join(python_module("tests.fake_server", "ready"))
    prophet = " ".join(scripted(known(NEW)))
    options = ["--options", 'fake={"budget_ms": 1000}', "--plot", tmp_path / "p.png", "--json", tmp_path / "keys.jsonl"]
    done = run_replay(
        "--repo", repo.folder, "--fast", "--server", f"fake={fake}", "--server", f"prophet={prophet}", *options
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    wanted = "keystrokes shown_ms no_model_share cached_token_share stale_shown characters_saved cpu_s_per_min rss_mb"
    assert set(wanted.split()) <= said.keys()
    assert said["sessions"] == 2
    assert said["languages"].keys() == {"python", "javascript"}
    assert said["servers"]["prophet"]["characters_saved"] > 0.2 > said["servers"]["fake"]["characters_saved"]
    keys = [json.loads(line) for line in (tmp_path / "keys.jsonl").read_text().splitlines()]
    assert len(keys) == sum(one["keystrokes"] for one in said["servers"].values())
    assert (tmp_path / "p.png").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--repo", "/no/such/place"], "Cannot read"),
        (["--repo", "{empty}"], "No commit"),
        (["--repo", "{empty}", "--options", "x={}"], "no server x"),
        (["--repo", "{empty}", "--options", "x"], "not of the form"),
        (["--repo", "{empty}", "--options", "flash-ls={"], "--options takes"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(repo: Repo, arguments: list[str], sentence: str) -> None:
    repo.commit({"a.py": OLD})
    done = run_replay(*(text.replace("{empty}", str(repo.folder)) for text in arguments))
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
