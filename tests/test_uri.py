"""Spellings of URIs, as clients on all systems write them."""

import pytest

from flash_ls.uri import file_name, normalise, path_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("file:///c%3A/x", "file:///c:/x"),
        ("file:///C:/x", "file:///c%3a/x"),
        ("file:///C:\\Users\\Me\\x.py", "file:///c%3A/Users/Me/x.py"),
        ("file://C:\\Users\\Me%5Cx.py", "file:///c:/Users/Me/x.py"),
        ("FILE:///tmp/%7Ea", "file:///tmp/~a"),
        ("file:///tmp/%C3%A9", "file:///tmp/é"),
    ],
)
def test_spellings_of_one_document(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    "other", ["file:///c:/X", "file:///tmp/%E8", "file:///c%253A/x", "file:///tmp\\x", "nonsense", "://["]
)
def test_different_documents(other: str) -> None:
    assert normalise(other) not in {normalise("file:///c:/x"), normalise("file:///tmp/%E9")}


@pytest.mark.parametrize(
    ("uri", "path", "name"),
    [
        ("file:///home/a%20b.py", "/home/a b.py", "a b.py"),
        ("file:///C%3A/x.py", "c:/x.py", "x.py"),
        ("file://server/share/x.py", "//server/share/x.py", "x.py"),
        ("untitled:Untitled-1", "untitled:Untitled-1", "untitled:Untitled-1"),
    ],
)
def test_path_and_name(uri: str, path: str, name: str) -> None:
    assert (path_of(uri), file_name(uri)) == (path, name)
