"""From a buffer and what the model says to the buffer as it is when the suggestion was accepted.

In the buffers `¦` is the cursor; what the model writes is put there.
"""

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock, PropertyMock, patch

import pytest

from flash_ls.completer import Completer, Completion, Watch
from flash_ls.config import Config
from flash_ls.context import Context
from flash_ls.deadline import Deadline
from flash_ls.document import Snapshot
from flash_ls.engine.costs import PassCosts, StepCosts
from flash_ls.engine.engine import LocalEngine
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import Cancelled
from flash_ls.index import Index
from flash_ls.local import load_completer
from flash_ls.project import Project
from flash_ls.tuning import load_model
from tests.memory_folder import Folder
from tests.scripted_model import ScriptedModel
from tests.toy_model import FORM, write_artifact, write_tokenizer

CONFIG = Config(prefix_tokens=300, suffix_tokens=60)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path: Path = tmp_path_factory.mktemp("toy") / "tokenizer.json"
    write_tokenizer(path)
    return Tokenizer(path)


class Desk:
    """One buffer, one model, one completer."""

    def __init__(
        self, tokenizer: Tokenizer, buffer: str, says: str, path: str, config: Config, instead: str | None = None
    ) -> None:
        before, after = buffer.split("¦")
        self.snapshot = Snapshot(f"file:///{path}", "", 1, before + after, len(before))
        start = before.replace("\r\n", "\n")
        self.model = ScriptedModel(tokenizer, start + says, None if instead is None else start + instead)
        self.completer = Completer(LocalEngine(self.model, tokenizer), FORM, config)

    def complete(self) -> Completion:
        return self.completer.complete(self.snapshot, Deadline())

    def unasked(self, watch: Watch | None = None) -> Completion:
        return self.completer.unasked(self.snapshot, Deadline(), watch)

    def accepted(self) -> str:
        completion = self.complete()
        text = self.snapshot.text
        assert completion.start <= self.snapshot.cursor <= completion.end
        return text[: completion.start] + completion.text + text[completion.end :]


ACCEPTED = {
    "one line of it": ("a.py", "x = ¦\n", "1 + 2\ny = 3\n", "x = 1 + 2\n"),
    "half a word is healed": ("a.py", "def f():\n    ret¦\n", "urn 1\n", "def f():\n    return 1\n"),
    "indentation is healed": ("a.py", "if a:\n    b()\n    ¦\n", "c()\nd()", "if a:\n    b()\n    c()\n"),
    "a body where there is none": (
        "a.py",
        "def f(n):\n    ¦\n\ndef g():\n    pass\n",
        "if n:\n        return 1\n    return 2\n\ndef g",
        "def f(n):\n    if n:\n        return 1\n    return 2\n\ndef g():\n    pass\n",
    ),
    "a body in braces": (
        "a.go",
        "func f() int {\n\t¦\n}\n",
        "if a {\n\t\treturn 1\n\t}\n\treturn 2\n}\n",
        "func f() int {\n\tif a {\n\t\treturn 1\n\t}\n\treturn 2\n}\n",
    ),
    "a call with all of its lines": (
        "a.js",
        "function f() {\n  ¦\n}\n",
        "return g(a, {\n    b: 1,\n  });\n}\n",
        "function f() {\n  return g(a, {\n    b: 1,\n  });\n}\n",
    ),
    "the head of a call that is there": (
        "a.js",
        "¦\n  b: 1,\n});\n",
        "g(a, {\n  c: 2,\n});\n",
        "g(a, {\n  b: 1,\n});\n",
    ),
    "an automatic bracket is closed by the model": (
        "a.py",
        "def f(n¦)\n",
        "):\n    return n",
        "def f(n):\n    return n\n",
    ),
    "an automatic bracket stays": ("a.py", "print(¦)\n", "x)\n", "print(x)\n"),
    "the rest of the line is not repeated": ("a.js", "f(¦, b);\n", "a, b);\n", "f(a, b);\n"),
    "the next line is not repeated": ("a.py", "a = 1\n¦\nreturn total\n", "return total\n", "a = 1\n\nreturn total\n"),
    "line ends as the buffer has them": (
        "a.py",
        "a = 1\r\ndef f():\r\n    ¦\r\n",
        "b = 1\n    return b\nx",
        "a = 1\r\ndef f():\r\n    b = 1\r\n    return b\r\n",
    ),
    "characters of four bytes": ("a.py", "s = '😀'\nt = ¦\n", "s + 'é😀'\n", "s = '😀'\nt = s + 'é😀'\n"),
    "a language it does not parse": ("a.nim", "let x = ¦\n", "5\nlet", "let x = 5\n"),
    "an empty file": ("a.py", "¦", "import os\nimport", "import os"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_accepted_buffer(name: str, tokenizer: Tokenizer) -> None:
    path, buffer, says, expected = ACCEPTED[name]
    assert Desk(tokenizer, buffer, says, path, CONFIG).accepted() == expected


def test_automatic_brackets_are_not_shown_to_the_model(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, "def f(n¦)\nnext()\n", "):\n", "a.py", CONFIG)
    desk.complete()
    assert desk.model.prompt_text == "\nnext()\n"


def test_a_suggestion_that_changes_nothing_is_not_shown(tokenizer: Tokenizer) -> None:
    completion = Desk(tokenizer, "print(x¦)\n", ")\n", "a.py", CONFIG).complete()
    assert (completion.text, completion.reason) == ("", "done")


@pytest.mark.parametrize(
    ("buffer", "setting", "reason"),
    [
        ("x = 1  # why ¦\n", {"complete_comments": False}, "comment"),
        ("x = 'abc¦'\n", {"complete_strings": False}, "string"),
        ("x = ¦\n", {"enabled": False}, "disabled"),
    ],
)
def test_silence_costs_no_model_call(buffer: str, setting: dict[str, bool], reason: str, tokenizer: Tokenizer) -> None:
    silent = Desk(tokenizer, buffer, "more\n", "a.py", Config(**setting)).complete()  # type: ignore[arg-type]
    assert (silent.text, silent.reason, silent.stats) == ("", reason, None)
    assert Desk(tokenizer, buffer, "more\n", "a.py", CONFIG).complete().text


def test_what_was_read_ahead_is_in_the_cache(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, "def f():\n    ret¦\n", "urn 1\n", "a.py", CONFIG)
    desk.completer.warm(desk.snapshot, Deadline())
    stats = desk.complete().stats
    assert stats is not None
    assert stats.cached_tokens == stats.prompt_tokens - 1


def test_a_limit_leaves_whole_lines(tokenizer: Tokenizer) -> None:
    config = Config(prefix_tokens=300, suffix_tokens=60, max_block_tokens=12)
    completion = Desk(tokenizer, "def f():\n    ¦\n", "a = 1\n    bcdefghijk = 2\n", "a.py", config).complete()
    assert (completion.text, completion.reason) == ("a = 1", "limit")


def test_a_call_that_is_longer_than_an_answer_may_be_is_closed(tokenizer: Tokenizer) -> None:
    config = Config(prefix_tokens=300, suffix_tokens=60, max_block_tokens=20)
    desk = Desk(tokenizer, "¦\n", "g({\n  a: 1,\n  bcdefghijk: 2,\n})\n", "a.js", config)
    assert (desk.complete().text, desk.complete().reason) == ("g({\n  a: 1,\n})", "limit")


def test_cancelled_then_right_again(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, "x = ¦\n", "1\n", "a.py", CONFIG)
    cancelled = Deadline()
    cancelled.cancel()
    with pytest.raises(Cancelled):
        desk.completer.complete(desk.snapshot, cancelled)
    assert desk.accepted() == "x = 1\n"


# --- loaded from an artifact ---


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("toy") / "artifact"
    write_artifact(folder)
    return folder


def test_a_loaded_completer_copies_where_passes_are_cheap(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "x = 1\n" * 30
    drafted = []
    for ms in ((5.0, 5.0), (5.0, 500.0)):
        costs = PassCosts(StepCosts((1, 16), ms))
        monkeypatch.setattr("flash_ls.local.load_model", lambda *given, costs=costs: (load_model(*given)[0], costs))
        completion = load_completer(artifact, CONFIG).complete(Snapshot("a.py", "", 1, text, len(text)), Deadline())
        assert completion.stats is not None
        drafted.append(completion.stats.drafted_tokens)
    assert drafted[0] > drafted[1] == 0


def test_a_loaded_completer_keeps_as_many_prompts_as_it_may(artifact: Path) -> None:
    texts = [f"name_{number} = {number}\n" * 24 for number in range(6)]
    held = []
    for megabytes in (1, 8):
        config = replace(CONFIG, cache_mb=megabytes, prefix_tokens=360)
        completer = load_completer(artifact, config)
        for text in [*texts, texts[0]]:
            completion = completer.complete(Snapshot("a.py", "", 1, text, len(text)), Deadline())
        assert completion.stats is not None
        held.append(completion.stats.cached_tokens > 100)
    assert held == [False, True]


# --- with a project ---


def told(tokenizer: Tokenizer, buffer: str, files: dict[str, str], config: Config = CONFIG) -> str:
    """What the model is shown before the text that it continues."""
    desk = Desk(tokenizer, buffer, "x\n", "shop/main.py", config)
    shop = Folder(files)
    desk.completer.context = Context(shop, shop.index)
    desk.complete()
    return desk.model.prompt_text


def test_the_model_is_told_of_the_project_before_the_buffer(tokenizer: Tokenizer) -> None:
    text = told(tokenizer, "price(item) + ¦\nnext()\n", {"/shop/p.py": "def price(item): 1"})
    assert text == "shop\np.py\ndef price(item): 1\nmain.py\n\nnext()\n"


def test_excerpts_take_no_more_than_their_tokens(tokenizer: Tokenizer) -> None:
    files = {f"/shop/{name}.py": f"price({name})" for name in "abcdef"}
    texts = [told(tokenizer, "price(¦)", files, replace(CONFIG, context_tokens=most)) for most in (0, 50, 100)]
    assert [text.count("price") for text in texts] == [0, 3, 6]


def test_who_types_does_not_wait_until_the_project_is_read(tokenizer: Tokenizer) -> None:
    """It is told of a project that a pause has read, or that is short, or when somebody asks."""
    long = {"/shop/p.py": "def price(item): " + "1 + " * 70 + "1"}
    for files, leisure, first in ((long, False, False), (long, True, True), ({"/shop/p.py": "price(1)"}, False, True)):
        desk = Desk(tokenizer, "price(item) + ¦\nnext()\n", "x\n", "shop/main.py", CONFIG)
        shop = Folder(files)
        desk.completer.context = Context(shop, shop.index)
        if leisure:
            desk.completer.warm(desk.snapshot, Deadline())
        assert desk.unasked().text == "x"
        assert desk.model.prompt_text.startswith("shop\np.py\n") == first
        desk.complete()
        assert desk.model.prompt_text.startswith("shop\np.py\n")
        desk.unasked()
        assert desk.model.prompt_text.startswith("shop\np.py\n")


def test_no_line_of_the_buffer_is_told_twice(tokenizer: Tokenizer) -> None:
    lines = [f"price({number})" for number in range(100, 300)]
    for cursor in (1, 100, 199):
        buffer = "\n".join([*lines[:cursor], "price(¦", *lines[cursor:]])
        desk = Desk(tokenizer, buffer, "x\n", "shop/main.py", replace(CONFIG, context_tokens=150))
        desk.completer.context = Context(Folder({}), Index())
        desk.complete()
        seen = desk.model.seen.split("\n")
        assert [line for line in lines if seen.count(line) > 1] == []
        assert seen.count("main.py") > 1, "some of the rest is told"


@pytest.mark.parametrize("where", ["before", "after", "excerpt"])
def test_no_secret_is_told(where: str, tokenizer: Tokenizer) -> None:
    key = "AKIA" + "QWERTYUIOPASDFGH"
    texts = dict.fromkeys(("before", "after", "excerpt"), "price = 1") | {where: f"price = '{key}'"}
    buffer = f"{texts['before']}\nprice = ¦\n{texts['after']}\n"
    desk = Desk(tokenizer, buffer, "2\n", "main.py", replace(CONFIG, context_tokens=100))
    shop = Folder({"/shop/p.py": texts["excerpt"]})
    desk.completer.context = Context(shop, shop.index)
    desk.complete()
    assert key not in desk.model.seen
    assert "*" * len(key) in desk.model.seen


PLANTED = {
    "neighbour.py": "price = '{}'\n",
    "config/settings.ts": "const price = `{}`\n",
    ".env": "PRICE_KEY={}\n",
    "deploy.pem": "price {}\n",
    "credentials.json": '{{"price": "{}"}}\n',
    "notes.ipynb": '{{"cells": [{{"cell_type": "code", "source": ["price = \'{}\'"]}}]}}\n',
    "notes.md": "The price is {}.\n",
}
"""Files of a project, each with a key of its own."""


@pytest.mark.parametrize("uri", ["file:///{}/main.py", "vscode-notebook-cell:/{}/notes.ipynb#W0sZmlsZQ"])
def test_no_planted_key_is_told(uri: str, tmp_path: Path, tokenizer: Tokenizer) -> None:
    keys = [f"AKIA{number:016d}" for number in range(len(PLANTED) + 2)]
    for (name, text), key in zip(PLANTED.items(), keys, strict=False):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text.format(key)}price(item)\n")
    desk = Desk(tokenizer, f"price = '{keys[-1]}'\nprice(¦\nprice = '{keys[-2]}'\n", "2)\n", "a.py", CONFIG)
    snapshot = replace(desk.snapshot, uri=uri.format(tmp_path.as_posix().lstrip("/")), language_id="python")
    project = Project([str(tmp_path)], [], lambda: False)
    project.start()
    project.wait()
    desk.completer.config = replace(CONFIG, context_tokens=400)
    desk.completer.context = Context(project, project.index)
    desk.completer.complete(snapshot, Deadline())
    project.stop()
    assert [key for key in keys if key in desk.model.seen] == []
    told = [name for name in PLANTED if f"\n{name}\n" in desk.model.seen]
    assert {"neighbour.py", "config/settings.ts"} <= set(told) <= {"neighbour.py", "config/settings.ts", "notes.md"}
    assert desk.model.seen.count("*" * 20) >= 4, "those of both files and of the buffer are masked"


@pytest.mark.parametrize("path", [".env", "id_rsa", "server.pem"])
def test_a_file_of_secrets_is_not_completed(path: str, tokenizer: Tokenizer) -> None:
    completion = Desk(tokenizer, "A=1\nB=¦\n", "2\n", path, CONFIG).complete()
    assert (completion.text, completion.reason, completion.stats) == ("", "secret file", None)


def test_a_file_of_secrets_is_not_read_ahead(tokenizer: Tokenizer) -> None:
    for path, read in ((".env", False), ("a.py", True)):
        desk = Desk(tokenizer, "PASSWORD = 1\nB = ¦\n", "2\n", path, CONFIG)
        desk.model.forward = Mock(side_effect=desk.model.forward)  # type: ignore[method-assign]
        desk.completer.warm(desk.snapshot, Deadline())
        assert desk.model.forward.called == read


# --- several answers, and silence ---


NO_FIT = {
    "a comment": ("a = 1\n¦\n", "# two\n", "b = 2\n"),
    "what does not parse": ("a = ¦\n", "1)\n", "f(1)\n"),
    "a line above its header": ("for a in b:\n    ¦\n        f(a)\n", "return a\n", "if a:\n"),
}


@pytest.mark.parametrize("name", NO_FIT)
def test_the_second_best_answer_is_shown_where_the_best_does_not_fit(name: str, tokenizer: Tokenizer) -> None:
    buffer, says, instead = NO_FIT[name]
    desk = Desk(tokenizer, buffer, says, "a.py", replace(CONFIG, min_confidence=0.0), instead)
    for said in (desk.complete(), desk.unasked()):
        assert said.text == instead.rstrip()
        assert said.evidence is not None
        assert said.evidence.retried == 1


def test_where_nothing_is_likeliest_only_who_asks_gets_the_second_best(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, "a = 1\n¦\nreturn total\n", "return total\n", "a.py", CONFIG, "b = 2\n")
    assert desk.complete().text == "b = 2"
    assert (desk.unasked().text, desk.unasked().reason) == ("", "empty")


LONG = "abcdefghijklm" * 4
"""Each of its many tokens takes some of its likelihood."""


@pytest.mark.parametrize("end", ["\n", ""])
def test_who_asks_for_a_line_gets_the_likeliest_of_several(end: str, tokenizer: Tokenizer) -> None:
    config = replace(CONFIG, min_confidence=0.0)
    desk = Desk(tokenizer, "x = ¦\n", LONG + end, "a.py", config, "b" + end)
    said, first = desk.complete(), desk.unasked()
    assert (said.text, first.text) == ("b", LONG)
    assert [one.text for one in desk.completer.candidates(desk.snapshot, Deadline(), 2)] == [said.text, first.text]


def test_no_other_answer_is_tried_that_could_not_be_likelier(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, "x = ¦\n", "a\n", "a.py", CONFIG, "bcdefghijkl\n")
    assert desk.complete().text == "a"
    assert "bc" not in desk.model.seen


def test_what_it_cost_counts_the_answers_that_were_less_likely(tokenizer: Tokenizer) -> None:
    config = replace(CONFIG, min_confidence=0.0)
    desk = Desk(tokenizer, "x = ¦\n", LONG + "\n", "a.py", config, "b" + LONG + "\n")
    said, first = desk.complete(), desk.unasked()
    assert said.text == first.text == LONG
    assert said.stats is not None
    assert first.stats is not None
    assert said.stats.target_steps > first.stats.target_steps


def test_what_was_cut_short_is_not_likelier_for_that(tokenizer: Tokenizer) -> None:
    """The time is over when whole lines of the second answer are there."""
    desk = Desk(tokenizer, "a = 1\n¦\n", 2 * LONG + "\n", "a.py", CONFIG, "if b:\n    c()\n    d()\n")
    deadline = PropertyMock(side_effect=lambda: desk.model.seen.endswith("c()\n    d"))
    with patch.object(Deadline, "expired", deadline):
        assert desk.complete().text == 2 * LONG


def test_bodies_are_not_compared_as_the_shorter_would_win(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, "def f(n):\n    ¦\n", LONG + "\n", "a.py", CONFIG, "b\n")
    assert desk.complete().text == LONG


def test_who_asks_for_several_gets_all_that_is_missing_as_well(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, "a = ¦\n", "1\nb = 2", "a.py", CONFIG)
    assert [said.text for said in desk.completer.candidates(desk.snapshot, Deadline(), 3)] == ["1", "1\nb = 2"]
    assert desk.complete().text == "1"


def test_an_answer_of_more_lines_is_for_who_asks(tokenizer: Tokenizer) -> None:
    for buffer, says in (("x = 1¦\n", "\ny = 2"), ("x = f(¦ / 2)\n", "1,\n      2")):
        desk = Desk(tokenizer, buffer, says, "a.py", CONFIG)
        assert desk.complete().text == says
        assert desk.unasked().text != says


def test_who_does_not_ask_is_shown_only_what_is_likely(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, "x = ¦\n", "1\n", "a.py", CONFIG)
    sure = desk.complete().probability
    for threshold, text, reason in ((sure - 0.01, "1", "rule"), (sure + 0.01, "", "unsure")):
        desk.completer.config = replace(CONFIG, min_confidence=threshold)
        said = desk.completer.sure(desk.unasked())
        assert (said.text, said.reason) == (text, reason)
        assert [one.text for one in desk.completer.candidates(desk.snapshot, Deadline(), 3)] == ["1"]


def test_inside_a_word_only_who_asks_is_answered(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, "x = f¦oo\n", "oo\n", "a.py", CONFIG)
    said = desk.unasked()
    assert (said.text, said.reason, said.stats) == ("", "inside a word", None)
    assert desk.complete().stats is not None


def test_who_waits_long_gets_whole_lines_and_the_answer_is_the_same(tokenizer: Tokenizer) -> None:
    buffer, says = "def f(n):\n    ¦\n\ndef g():\n    pass\n", "if n:\n        return 1\n    return 2\n\ndef g"
    whole = Desk(tokenizer, buffer, says, "a.py", CONFIG).unasked()
    offered: list[Completion] = []
    found = Desk(tokenizer, buffer, says, "a.py", CONFIG).unasked(Watch(0, offered.append))
    assert (found.text, found.evidence, found.trace) == (whole.text, whole.evidence, whole.trace)
    assert [(one.text, one.reason) for one in offered] == [("if n:", "deadline")]
    patient: list[Completion] = []
    Desk(tokenizer, buffer, says, "a.py", CONFIG).unasked(Watch(60_000, patient.append))
    assert not patient


def test_the_rest_of_a_completion_is_told_with_its_tokens(tokenizer: Tokenizer) -> None:
    found = Desk(tokenizer, "if a:\n    ret¦\n", "urn größe\n", "a.py", CONFIG).complete()
    assert [end for end, _ in found.trace][-3:] == [len("urn größ"), len("urn größe"), len("urn größe\n")]
    rest = found.rest(4, 14, 0)
    assert (rest.text, rest.start, rest.end) == ("größe", 14, 14)


def test_an_unlikely_answer_is_given_up_unless_somebody_asks(tokenizer: Tokenizer) -> None:
    """The toy model's letters are likely to 0.97 each, so long texts are not; their first lines may be."""
    says = "a = 1\n    return 2 * (n + 1) * (n + 2) * (n + 3) * (n + 4)\n"
    desk = Desk(tokenizer, "def f(n):\n    ¦\n", says, "a.py", replace(CONFIG, min_confidence=0.9))
    assert desk.complete().text == says.rstrip()
    found = desk.unasked()
    assert (found.text, found.reason) == ("a = 1", "unsure")
    assert found.evidence is not None
    assert found.trace[-1][0] == len("a = 1\n")
    assert found.evidence.total == pytest.approx(sum(likelihood for _, likelihood in found.trace))
    desk.completer.config = replace(CONFIG, min_confidence=0.0)
    assert desk.unasked().text == says.rstrip()


def test_what_is_given_up_is_known_to_be_unsure_until_its_unlikely_tokens_are_typed(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, "a = ¦\n", "f(" + "1 + " * 20 + "1)\n", "a.py", replace(CONFIG, min_confidence=0.9))
    found = desk.unasked()
    assert found.given_up
    assert desk.completer.sure(found).text == ""
    assert desk.completer.sure(found).reason == "unsure"
    settled = [desk.completer.settles(found.rest(typed, 4 + typed, 0)) for typed in range(len(found.text))]
    assert settled == sorted(settled, reverse=True)
    assert settled[0]
    assert not settled[-1]
