"""A real Emacs in batch mode, with eglot and `editors/emacs/flash-ls.el`: a program of Lisp runs in a file of its own.

Knows nothing of pytest. Every run has a limit.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "editors" / "emacs" / "flash-ls.el"
CURSOR = "¦"
RUN_S = 120
INSTALL = "apt-get install --no-install-recommends emacs-nox elpa-eglot"

FOUND = '(progn (package-initialize) (princ (or (locate-library "eglot") "")))'
PRELUDE = """
(package-initialize)
(require 'jsonrpc)
(setq flash-ls-command (list {command}) eglot-sync-connect 60 eglot-connect-timeout 60
      jrpc-default-request-timeout 60 jsonrpc-default-request-timeout 60
      make-backup-files nil create-lockfiles nil)
(load {package} nil t)
{before}
(find-file {file})
(goto-char (1+ {offset}))
"""
CONNECT = """
(call-interactively #'eglot)
(defun test-state ()
  (plist-get (jsonrpc-request (eglot-current-server) :workspace/executeCommand
                              '(:command "flashLs.status" :arguments []))
             :state))
(while (not (equal (test-state) "ready")) (sleep-for 0.05))
"""
RUN = """
(let* ((value (condition-case error (progn {program}) (user-error (error-message-string error))))
       (coding-system-for-write 'utf-8-unix)
       (text (buffer-string))
       (offset (1- (point))))
  (with-temp-file {out} (insert (json-encode (list :value value :text text :offset offset)))))
"""


class Ran(NamedTuple):
    """What a program left behind."""

    text: str
    """The buffer, with the cursor in it."""
    value: Any
    """What the program returned, or the text of a `user-error`."""
    log: str
    """What Emacs said."""


@cache
def missing() -> str | None:
    """What is not installed, if something is not."""
    if binary() is None:
        return f"no Emacs: {INSTALL}, or put emacs on the path"
    if not started("--eval", FOUND).stdout.strip():
        return f"no eglot: {INSTALL}, or take Emacs 29"
    return None


def binary() -> str | None:
    """Emacs as `FLASH_LS_EMACS` says, or on the path."""
    return os.environ.get("FLASH_LS_EMACS") or shutil.which("emacs")


def started(*arguments: str, home: Path | None = None, limit_s: float = RUN_S) -> "subprocess.CompletedProcess[str]":
    """Emacs run to its end, with nothing of its user's."""
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    folder = {"HOME": str(home)} if home else {}
    inherited = {**os.environ, "PYTHONPATH": python_path, "LC_ALL": "C.UTF-8", **folder}
    command = [binary() or "emacs", "--batch", "--no-site-file", *arguments]
    return subprocess.run(command, env=inherited, capture_output=True, text=True, encoding="utf-8", timeout=limit_s)


class Emacs:
    """Files are made in `folder`; `server` is the command of the language server."""

    def __init__(self, folder: Path, server: Sequence[str]) -> None:
        self.folder = folder
        self.server = server

    def run(
        self,
        text: str,
        program: str,
        name: str = "a.py",
        before: str = "",
        connect: bool = True,
        limit_s: float = RUN_S,
    ) -> Ran:
        """Run a program in a file with a text, at its cursor, once the server is ready; `before` runs before that.

        Raises `AssertionError` with the log if Emacs fails.
        """
        file, out, script = self.folder / name, self.folder / "out.json", self.folder / "program.el"
        file.write_bytes(text.replace(CURSOR, "").encode())
        script.write_text(self._script(text, program, file, out, before, connect), encoding="utf-8")
        done = started("--load", str(script), home=self.folder, limit_s=limit_s)
        assert done.returncode == 0, done.stderr
        left = json.loads(out.read_text(encoding="utf-8"))
        shown = left["text"][: left["offset"]] + CURSOR + left["text"][left["offset"] :]
        return Ran(shown, left["value"], done.stderr)

    def _script(self, text: str, program: str, file: Path, out: Path, before: str, connect: bool) -> str:
        words = " ".join(lisp(word) for word in self.server)
        offset = len(text.replace("\r\n", "\n").split(CURSOR)[0])
        begin = PRELUDE.format(
            command=words, package=lisp(str(PACKAGE)), before=before, file=lisp(str(file)), offset=offset
        )
        return begin + (CONNECT if connect else "") + RUN.format(program=program, out=lisp(str(out)))


def lisp(text: str) -> str:
    """A string as Lisp reads it."""
    return json.dumps(text, ensure_ascii=False)
