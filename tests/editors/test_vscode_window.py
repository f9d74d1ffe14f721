"""What stands in the window of a real VS Code, in the file and on the wire: suggestions, status bar and menu.

The server answers as a test says, by the line before the cursor.
"""

from tests.editors.script import INLINE, SILENT, Answer
from tests.editors.vscode import ACCEPT, ASK, DISMISS, LINE, MENU, STATUS_ITEM, TOGGLE, UNDO, WORD
from tests.editors.vscode_stage import SAID, TOLD, Stage

# --- suggestions ---


def test_a_suggestion_is_in_the_window_and_not_in_the_file(window: Stage) -> None:
    path = window.begin("\nlast = 1\n", {"ret": "urn [\n    x,\n]"})
    window.vscode.type("ret")
    view = window.await_ghost("urn [\n    x,\n]")
    assert view.lines == ["ret", "last = 1", ""]
    assert window.vscode.saved(path) == "ret\nlast = 1\n"


def test_tab_accepts_and_doubles_no_bracket(window: Stage) -> None:
    path = window.begin("", {"print(na": {"texts": ["me, end)"], "range": [0, 1]}})
    window.vscode.type("print(na")
    assert window.await_ghost("me, end").lines == ["print(na)"]
    window.vscode.press(ACCEPT)
    assert window.await_lines("print(name, end)").ghost == ""
    assert window.vscode.saved(path) == "print(name, end)"


def test_words_and_lines_are_accepted_one_by_one(window: Stage) -> None:
    window.begin("", {"x": "yz(one, two)\nthree\nfour"})
    window.vscode.type("x")
    window.await_ghost("yz(one, two)\nthree\nfour")
    window.vscode.press(WORD)
    window.await_lines("xyz")
    window.await_ghost("(one, two)\nthree\nfour")
    window.vscode.press(LINE)
    window.await_lines("xyz(one, two)", "")


def test_escape_dismisses_and_the_next_key_asks_again(window: Stage) -> None:
    window.begin("", {"a": "bc", "ab": "cd"})
    window.vscode.type("a")
    window.await_ghost("bc")
    window.vscode.press(DISMISS)
    assert window.await_ghost("").lines == ["a"]
    window.vscode.type("b")
    window.await_ghost("cd")


def test_one_undo_restores_what_was_typed(window: Stage) -> None:
    window.begin("first\n", {"ab": "cd\nef"})
    window.vscode.press("Control+End")
    window.vscode.type("ab")
    window.await_ghost("cd\nef")
    window.vscode.press(ACCEPT)
    window.await_lines("first", "abcd", "ef")
    window.vscode.press(UNDO)
    window.await_lines("first", "ab")


def test_what_does_not_agree_goes(window: Stage) -> None:
    window.begin("", {"a": "bcd", "*": SILENT})
    window.vscode.type("a")
    window.await_ghost("bcd")
    window.vscode.type("b")
    window.await_ghost("cd")
    window.vscode.type("x")
    assert window.await_ghost("").lines == ["abx"]


def test_a_suggestion_goes_on_from_the_row_of_the_menu(window: Stage) -> None:
    answers: dict[str, str | Answer] = {
        "dep": {"texts": ["depositor(amount)"], "range": [-3, 0]},
        "depositor": "(amount)",
    }
    window.begin("depositor = 1\n", answers)
    window.vscode.press("Control+End")
    window.vscode.type("dep")
    window.await_ghost("ositor(amount)")
    window.vscode.press(MENU)
    window.vscode.wait(lambda view: any("depositor" in row for row in view.popup), "there is no menu")
    window.await_ghost("ositor(amount)")
    told = [asked["context"].get("selectedCompletionInfo") for asked in window.script.heard(INLINE)]
    assert [info["text"] for info in told if info] == ["depositor"]
    window.vscode.press(ACCEPT)
    window.await_lines("depositor = 1", "depositor")
    window.await_ghost("(amount)")
    window.vscode.press(ACCEPT)
    window.await_lines("depositor = 1", "depositor(amount)")


def test_emoji_umlauts_and_line_ends_of_windows(window: Stage) -> None:
    path = window.begin("s = '😀ö'\r\n", {"t = '😀ö": {"texts": ["ß'\nu"], "range": [0, 1]}})
    window.vscode.press("Control+End")
    window.vscode.type("t = '😀ö")
    window.await_ghost("ß\nu")
    window.vscode.press(ACCEPT)
    window.await_lines("s = '😀ö'", "t = '😀öß'", "u")
    assert window.vscode.saved(path) == "s = '😀ö'\r\nt = '😀öß'\r\nu"


def test_who_asks_gets_several(window: Stage) -> None:
    window.begin("a", {"a": {"texts": ["1", "2", "3"]}})
    window.vscode.press("Control+End", ASK)
    window.await_ghost("1")
    window.vscode.press("Alt+]")
    window.await_ghost("2")
    assert 1 in [asked["context"]["triggerKind"] for asked in window.script.heard(INLINE)]


# --- the status bar and its menu ---


def test_the_status_bar_tells_a_reader_of_the_screen_what_is(window: Stage) -> None:
    window.begin()
    window.vscode.wait(lambda view: "ready" in view.status and SAID["message"] in view.status)


def test_why_is_what_the_server_says_of_its_last_request(window: Stage) -> None:
    window.begin()
    window.vscode.click(STATUS_ITEM)
    window.vscode.choose("Why")
    window.vscode.wait(lambda view: any(TOLD["message"] in notice for notice in view.notices), "nothing is said")


def test_turned_off_nothing_is_shown_any_more_and_who_asks_is_told(window: Stage) -> None:
    window.begin("", {"a": "bc", "xyz": "!"})
    window.vscode.type("a")
    window.await_ghost("bc")
    window.vscode.press(TOGGLE)
    window.await_ghost("")
    window.vscode.press(ASK)
    window.await_notice("Suggestions are off.")
    window.vscode.press(TOGGLE)
    window.await_ready()


def test_who_asks_where_there_is_nothing_is_told(window: Stage) -> None:
    window.begin("nothing")
    window.vscode.press("Control+End", ASK)
    window.vscode.wait(lambda view: "no suggestion here" in view.bar, "nothing is said")


def test_the_status_bar_is_about_the_file_at_hand(own_window: Stage) -> None:
    work = own_window.folder / "work"
    off = {"flashLs.languages": {"plaintext": False}}
    own_window.vscode.show(work, {"flashLs.server.command": own_window.script.command, **off})
    own_window.await_ready()
    own_window.vscode.open(work / "a.txt")
    own_window.vscode.wait(lambda view: "off in plaintext" in view.status, "it does not say that it is off")
    own_window.vscode.open(work / "b.py")
    own_window.await_ready()


def test_the_menu_turns_suggestions_off_and_on(window: Stage) -> None:
    path = window.begin("", {"a": "bc", "xyz": "!"})
    window.vscode.click(STATUS_ITEM)
    view = window.vscode.wait(lambda view: len(view.picks) > 5, "the menu does not open")
    for words in ("off", "python", path.name, "Why", "log", "Restart"):
        assert any(words in row for row in view.picks), view.picks
    window.vscode.choose("Turn off")
    window.vscode.wait(lambda view: "off" in view.status, "the status bar does not say that it is off")
    window.vscode.type("x")
    window.await_lines("x")
    window.vscode.click(STATUS_ITEM)
    window.vscode.choose("Turn on")
    window.vscode.wait(lambda view: "ready" in view.status, "the status bar does not say that it is on")
    window.vscode.type("yz")
    window.await_ghost("!")
    assert min(asked["position"]["character"] for asked in window.script.heard(INLINE)) > 1
