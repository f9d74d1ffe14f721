"""Excerpts of other files: which ones, and for how long they stay."""

import pytest

from flash_ls.context import AGEING_LINES, MOST_KEPT, STALE_LINES, Choice, Context
from flash_ls.document import Snapshot
from flash_ls.index import CHUNK_LINES
from tests.memory_folder import Folder

PRICE = "def price(item, discount):\n    return item.cost * (1 - discount)\n"
OTHER = "class Window:\n    def draw(self):\n        self.canvas.clear()\n"
FILES = {"/shop/price.py": PRICE, "/shop/window.py": OTHER}


def nothing() -> tuple[int, int]:
    """What is visible, if nothing is."""
    return 0, 0


def snapshot(text: str, path: str = "/shop/main.py", cursor: int | None = None) -> Snapshot:
    return Snapshot(f"file://{path}", "", 0, text, len(text) if cursor is None else cursor)


def choose(folder: Folder, text: str) -> Choice:
    return Context(folder, folder.index).choose(snapshot(text), lambda: (0, len(text)))


def test_the_file_most_like_the_code_at_the_cursor_comes_first() -> None:
    choice = choose(Folder(FILES), "total = price(item, discount) - self\n")
    assert (choice.project, choice.path) == ("shop", "main.py")
    assert choice.excerpts == (("price.py", PRICE.strip()), ("window.py", OTHER.strip()))


def test_only_the_lines_at_the_cursor_count() -> None:
    text = "price(item, discount)\n" + "x = 1\n" * 20 + "self.canvas.clear()\n"
    assert [excerpt.path for excerpt in choose(Folder(FILES), text).excerpts] == ["window.py"]


def test_the_file_itself_as_it_is_on_the_disk_is_never_told() -> None:
    folder = Folder(FILES | {"/shop/main.py": "price(item, discount) == 7  # what is to be written\n"})
    assert [excerpt.path for excerpt in choose(folder, "price(item, discount) == ").excerpts] == ["price.py"]


def test_parts_of_the_file_that_the_prompt_does_not_show_are_told() -> None:
    far = "def refund(order, reason):\n    log(order)\n"
    text = far + "x = 1\n" * 40 + "refund(order, "
    visible = (text.index("x = 1"), len(text))
    choice = Context(Folder({}), Folder({}).index).choose(snapshot(text), lambda: visible)
    assert choice.excerpts[0].path == "main.py"
    assert choice.excerpts[0].text.startswith("def refund(order, reason):")
    assert Context(Folder({}), Folder({}).index).choose(snapshot(text), lambda: (0, len(text))).excerpts == ()


def test_excerpts_share_no_line() -> None:
    lines = [f"price(item, number_{line})" for line in range(100)]
    folder = Folder({"/shop/many.py": "\n".join(lines)})
    said = [line for excerpt in choose(folder, "price(item, ").excerpts for line in excerpt.text.split("\n")]
    assert len(said) == len(set(said)) > CHUNK_LINES


def test_secrets_are_masked_and_lost_files_passed_over() -> None:
    key = "AKIA" + "QWERTYUIOPASDFGH"
    folder = Folder({"/shop/keys.py": f"price_key = '{key}'", "/shop/price.py": PRICE})
    del folder.files["/shop/price.py"]
    choice = choose(folder, "price_key discount")
    assert [excerpt.path for excerpt in choice.excerpts] == ["keys.py"]
    assert key not in choice.excerpts[0].text


@pytest.mark.parametrize(
    ("lines", "leisure", "stays"),
    [
        (STALE_LINES, False, True),
        (STALE_LINES + 1, False, False),
        (AGEING_LINES, True, True),
        (AGEING_LINES + 1, True, False),
    ],
)
def test_a_choice_stays_while_the_cursor_is_near(lines: int, leisure: bool, stays: bool) -> None:
    folder = Folder(FILES)
    context = Context(folder, folder.index)
    first = context.choose(snapshot("price(item, discount)\n"), nothing)
    moved = snapshot("price(item, discount)\n" + "\n" * lines + "self.canvas.clear()")
    assert (context.choose(moved, nothing, leisure) is first) == stays


def test_each_document_has_its_own_and_the_oldest_are_forgotten() -> None:
    folder = Folder(FILES)
    context = Context(folder, folder.index)
    places = [snapshot("price(item)", f"/shop/{number}.py") for number in range(MOST_KEPT + 1)]
    first = [context.choose(place, nothing) for place in places]
    again = [context.choose(place, nothing) for place in reversed(places)]
    kept = [one is other for one, other in zip(first, reversed(again), strict=True)]
    assert kept == [False] + [True] * MOST_KEPT


def test_it_knows_the_words_of_the_project() -> None:
    folder = Folder(FILES)
    context = Context(folder, folder.index)
    assert context.knows("discount")
    assert not context.knows("rebate")
