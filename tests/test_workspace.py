"""Which files a workspace has. Trees are written as paths, one a line, and git says what it would ignore."""

import os
import random
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from flash_ls import workspace
from flash_ls.workspace import SourceFile, Workspace

Contents = Mapping[str, str | bytes]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def write(root: Path, contents: Contents | str) -> Path:
    for name, content in (
        contents if not isinstance(contents, str) else dict.fromkeys(contents.split(), "x = 1\n")
    ).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def found(workspace: Workspace, root: Path) -> list[str]:
    """What the walk finds, after asking about each file by itself: both must agree."""
    files = [os.path.relpath(file.path, root).replace(os.sep, "/") for file in workspace.files()]
    every = [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names]
    accepted = [os.path.relpath(path, root).replace(os.sep, "/") for path in every if workspace.accepts(path)]
    assert sorted(accepted) == sorted(files)
    return files


def files_of(root: Path, excludes: Sequence[str] = ()) -> list[str]:
    return found(Workspace([str(root)], excludes), root)


def test_files_come_with_size_and_time_from_the_root_down_by_name(root: Path) -> None:
    write(root, "b/a.py b/c/a.go z.py a.rs b/.hidden.ts")
    files = list(Workspace([str(root)]).files())
    assert [os.path.relpath(file.path, root) for file in files] == [
        *("a.rs", "z.py"),
        *(os.path.join("b", ".hidden.ts"), os.path.join("b", "a.py"), os.path.join("b", "c", "a.go")),
    ]
    status = (root / "a.rs").stat()
    assert files[0] == SourceFile(str(root / "a.rs"), status.st_size, status.st_mtime_ns)


def test_only_code_that_people_write_and_no_secrets(root: Path) -> None:
    write(
        root,
        "a.py photo.png notes LICENSE a.bin id_rsa .env key.pem jquery.min.js app.bundle.js a_pb2.py x.pb.go a.g.cs",
    )
    assert files_of(root) == ["a.py"]


def test_secret_files_in_a_language_are_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flash_ls.workspace.language_of", lambda _: "python")
    write(root, "a.py .env secrets.json .docker/config.json .env.example package-lock.json Cargo.lock yarn.lock")
    assert files_of(root) == [".env.example", "a.py"]


def test_folders_of_tools_are_skipped_unless_asked_for(root: Path) -> None:
    write(root, "a.py .git/a.py node_modules/x/a.js .venv/a.py x/__pycache__/a.py dist/a.py Build/a.py target/a.rs")
    write(root, {"env/pyvenv.cfg": "", "env/lib/a.py": "", "c/CACHEDIR.TAG": "", "c/a.py": ""})
    assert files_of(root) == ["a.py"]
    write(root, {".gitignore": "!*/\n", "x/.flashlsignore": "!.git/"})
    assert files_of(root) == ["a.py"]
    write(root, {".flashlsignore": "!build/\n!Build/\n!.git/\n"})
    assert files_of(root) == ["a.py", "Build/a.py"]


def test_ignore_files_count_at_every_level(root: Path) -> None:
    write(root, "a.py b.py x/a.py x/b.py x/y/a.py x/y/b.py gen/a.py x/gen/a.py")
    write(root, {".gitignore": "b.py\n/gen/\n", "x/.gitignore": "!b.py\n", "x/y/.gitignore": "a.py\r\n# é\r\n"})
    assert files_of(root) == ["a.py", "x/a.py", "x/b.py", "x/gen/a.py", "x/y/b.py"]


def test_our_ignore_file_overrules_those_of_git_and_the_user_overrules_both(root: Path) -> None:
    write(root, "a.py b.py c.py x/a.py x/b.py")
    write(root, {".gitignore": "a.py\n", ".flashlsignore": "!a.py\nb.py\n", "x/.flashlsignore": "!b.py\n"})
    assert files_of(root) == ["a.py", "c.py", "x/a.py", "x/b.py"]
    assert files_of(root, ["/x/a.*", "c.py"]) == ["a.py", "x/b.py"]
    assert files_of(root, ["x/"]) == ["a.py", "c.py"]


def test_odd_ignore_files_do_no_harm(root: Path) -> None:
    write(root, "a.py b.py")
    write(
        root,
        {".gitignore": b"\xef\xbb\xbfb.py\n!\n/\n[z-a]\n[\n\\\n\xff\xfe\n!/\n//\n***\\\n", "x/.gitignore/a.py": ""},
    )
    assert files_of(root) == ["a.py", "x/.gitignore/a.py"]


def test_the_rules_at_the_end_of_a_long_ignore_file_count(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "_MOST_RULES", 2)
    write(root, "a.py b.py c.py")
    write(root, {".gitignore": "a.py\nb.py\nc.py"})
    assert files_of(root) == ["a.py"]


def test_a_rule_with_many_gaps_is_left_out(root: Path) -> None:
    write(root, "a/b/c/d/e/f/a.py")
    write(root, {".gitignore": "/".join(f"{name}/**" for name in "abcde") + "/a.py"})
    assert files_of(root) == ["a/b/c/d/e/f/a.py"]


def test_folders_are_entered_down_to_a_limit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "_MOST_DEPTH", 2)
    write(root, "a.py x/a.py x/y/a.py x/y/z/a.py")
    assert files_of(root) == ["a.py", "x/a.py", "x/y/a.py"]


PIECES = ["a", "b", "c", "*", "**", "?", "a*", "*.py", "a.py", "b.py", "[ab]", "[!a]*", "*.p?", "\\a", "a b"]


def random_pattern(rng: random.Random) -> str:
    pattern = "/".join(rng.choices(PIECES, k=rng.choice([1, 1, 1, 2, 2, 3])))
    start, end = (
        rng.choice(["", "", "", "!", "!", "/", "!/", "#"]),
        rng.choice(["", "", "", "/", "/", " ", "\r", "/\r", "/**"]),
    )
    return start + pattern + end


def random_tree(rng: random.Random, top: Path) -> None:
    folders = ["", *("/".join(rng.choices(["a", "b", "c", "a b"], k=rng.randint(1, 3))) + "/" for _ in range(8))]
    write(top, {f"{folder}{name}.py": "" for folder in folders for name in ("a", "b", "c", "aa")})
    for folder in {"", rng.choice(folders), rng.choice(folders)}:
        write(top, {f"{folder}.gitignore": "\n".join(random_pattern(rng) for _ in range(rng.randint(1, 6)))})


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
@pytest.mark.parametrize("seed", range(60))
def test_ignored_is_what_git_ignores(root: Path, seed: int) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(root)}

    def git(*arguments: str) -> str:
        run = ["git", "-c", "core.excludesFile=", "-C", str(root), *arguments]
        return subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout

    rng = random.Random(seed)
    git("init", "-q")
    random_tree(rng, root)
    write(root, {".git/info/exclude": f"{random_pattern(rng)}\naa.py\n"})
    listed = git("ls-files", "--others", "--exclude-standard", "-z").split("\0")
    expected = sorted(path for path in listed if path.endswith(".py"))
    assert sorted(files_of(root)) == expected
    inner = sorted(path for path in expected if path.startswith("a/"))
    if inner:  # a root inside the repository obeys the ignore files above it
        assert sorted(f"a/{path}" for path in files_of(root / "a")) == inner


def test_links_are_not_followed(root: Path, tmp_path: Path) -> None:
    write(root, "a.py x/b.py")
    write(tmp_path, "outside/c.py")
    for link, target in {"x/up": root, "out": tmp_path / "outside", "c.py": tmp_path / "outside/c.py"}.items():
        (root / link).symlink_to(target)
    (root / "x/same.py").symlink_to(root / "a.py")
    (root / "gone.py").symlink_to(root / "nothing.py")
    workspace = Workspace([str(root)])
    assert found(workspace, root) == ["a.py", "x/b.py"]
    assert not workspace.accepts(str(root / "x/up/a.py"))
    assert not workspace.accepts(str(root / "out/c.py"))
    assert workspace.read(str(root / "out/c.py")) is None


def test_a_root_may_be_a_link(root: Path, tmp_path: Path) -> None:
    write(root, "a.py")
    link = tmp_path / "link"
    link.symlink_to(root)
    workspace = Workspace([str(link)])
    (file,) = workspace.files()
    assert file.path == str(link / "a.py")
    assert workspace.accepts(file.path)
    assert workspace.read(file.path) == "x = 1\n"


def test_a_folder_met_twice_is_entered_once(root: Path) -> None:
    write(root, "a.py x/b.py x/vendor/c.py")
    roots = [str(root), str(root / "x"), str(root / "x/vendor"), str(root) + os.sep, str(root / "x/../x")]
    files = [os.path.relpath(file.path, root) for file in Workspace(roots).files()]
    assert sorted(files) == ["a.py", os.path.join("x", "b.py"), os.path.join("x", "vendor", "c.py")]


def test_what_is_not_under_a_root_does_not_belong(root: Path, tmp_path: Path) -> None:
    write(root, "a.py x/b.py")
    write(tmp_path, "c.py root2/a.py")
    workspace = Workspace([str(root)])
    assert workspace.accepts(str(root / "x/../a.py"))
    for path in [
        f"{root}/\0.py",
        f"{root}/\ud800.py",
        "/etc/passwd",
        root / "../c.py",
        root / "x/../../root2/a.py",
        root,
        "a.py",
        "",
        "\0.py",
        "\ud800.py",
    ]:
        assert not workspace.accepts(str(path))
        assert workspace.read(str(path)) is None
    assert workspace.read(str(root / "x/../a.py")) == "x = 1\n"


def test_what_is_in_the_way_is_passed_over(root: Path) -> None:
    write(root, "a.py x/b.py y/c.py")
    os.mkfifo(root / "pipe.py")
    workspace = Workspace([str(root), str(root / "none"), str(root / "a.py")])
    walk = workspace.files()
    assert next(walk).path == str(root / "a.py")
    shutil.rmtree(root / "x")
    assert [file.path for file in walk] == [str(root / "y/c.py")]
    assert not workspace.accepts(str(root / "x/b.py"))
    assert workspace.read(str(root / "x/b.py")) is None
    assert workspace.read(str(root / "pipe.py")) is None
    assert workspace.read(str(root / "y")) is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything can be read")
def test_an_unreadable_folder_is_passed_over(root: Path) -> None:
    write(root, "a.py x/b.py")
    (root / "x").chmod(0)
    try:
        assert files_of(root) == ["a.py"]
    finally:
        (root / "x").chmod(0o700)


def test_a_folder_that_cannot_be_listed_is_passed_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "a.py x/b.py y/c.py")
    scandir = os.scandir

    def refuse(folder: str) -> object:
        if folder.endswith("x"):
            raise PermissionError(13, "no")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert [Path(file.path).name for file in Workspace([str(root)]).files()] == ["a.py", "c.py"]


def test_the_walk_stops_at_the_limit_and_says_so_once(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    write(root, {f"{number}.py": "" for number in range(9)})
    assert len(list(Workspace([str(root)], max_files=9).files())) == 9
    assert not caplog.messages
    assert len(list(Workspace([str(root)], max_files=8).files())) == 8
    assert [record.args for record in caplog.records] == [{"reason": "max_files", "files": 8}]


def test_the_walk_stops_in_a_tree_of_other_files(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    write(root, {f"a/{number}.png": "" for number in range(60)} | {"b/c/d.py": "", "b/x.py": ""})
    assert not list(Workspace([str(root)], max_files=1).files())
    assert [record.args for record in caplog.records] == [{"reason": "max_entries", "folders_left": 1}]


def test_the_walk_reads_a_folder_when_it_gets_there(root: Path) -> None:
    write(root, "a.py x/b.py x/y/c.py")
    walk = Workspace([str(root)]).files()
    assert Path(next(walk).path).name == "a.py"
    write(root, "x/y/z.py")
    assert [Path(file.path).name for file in walk] == ["b.py", "c.py", "z.py"]


GENERATED = [
    "// Code generated by protoc-gen-go. DO NOT EDIT.\npackage a\n",
    "# -*- coding: utf-8 -*-\n# Generated by the protocol buffer compiler.  DO NOT EDIT!\n",
    "/**\n * Copyright\n *\n * @generated SignedSource<<1>>\n */\n",
    "/* This file is automatically generated\n * by a tool; do not modify it. */\n",
    "#!/usr/bin/env python\n# auto-generated file, do not edit\n",
]
WRITTEN = [
    "",
    "x = 1\n",
    "é = '😀'\r\n",
    "# How keys are generated.\n",
    'print("Code generated by me. DO NOT EDIT.")\n',
    "x = 1\n" * 20 + "# Code generated by me. DO NOT EDIT.\n",
    "x" * 5000 + "\n",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_text_is_read_as_it_is(root: Path, text: str) -> None:
    workspace = Workspace([str(write(root, {"a.py": text, "b.py": b"\xef\xbb\xbf" + text.encode()}))])
    assert workspace.read(str(root / "a.py")) == text
    assert workspace.read(str(root / "b.py")) == text


@pytest.mark.parametrize("content", [*GENERATED, "a\0b", b"\xff\xfea", b"caf\xe9", "x" * 5001, "x\n" * 5001])
def test_what_people_did_not_write_is_not_read(root: Path, content: str | bytes) -> None:
    workspace = Workspace([str(write(root, {"a.py": content}))], max_file_bytes=10_000)
    assert workspace.read(str(root / "a.py")) is None


def test_large_files_and_secrets_are_neither_found_nor_read(root: Path) -> None:
    write(root, {"a.py": "x\n" * 50, "b.py": "x\n" * 51, ".env": "A=1\n"})
    workspace = Workspace([str(root)], max_file_bytes=100)
    assert found(workspace, root) == ["a.py"]
    assert [workspace.read(str(root / name)) is None for name in ("a.py", "b.py", ".env")] == [False, True, True]
