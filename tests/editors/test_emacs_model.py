"""Emacs with eglot, the real server and the real model."""

import re
from pathlib import Path

import pytest

from tests.editors.emacs import CURSOR, ROOT, Emacs, lisp, missing
from tests.lsp_client import python_module

pytestmark = pytest.mark.model

BUILD_S = 600
"""The first start builds the model."""
ALONE = """
(setq-default eglot-workspace-configuration
              '(:flashLs (:budget_ms 60000 :context_tokens 0 :statistics :json-false)))
"""
"""What one text is answered does not depend on the others."""
HOWS = ("completion-at-point", "flash-ls-complete")
BANK = (ROOT / "examples" / "bank.py").read_text(encoding="utf-8").rstrip()
GREETING = """def greet(größe):
    smile = "😀"
    return f"{smile} {gr"""
BODY = BANK[: BANK.index("        if amount")] + "        "
ADDED = """
(defun test-added (text command)
  (erase-buffer) (insert text) (funcall command)
  (buffer-substring (1+ (length text)) (point-max)))
"""


def test_a_word_an_emoji_before_it_and_a_body(tmp_path: Path) -> None:
    """By the menu and by the command, with one server for all."""
    if reason := missing():
        pytest.skip(reason)
    calls = " ".join(f"(test-added {lisp(text)} #'{how})" for text in (BANK, GREETING, BODY) for how in HOWS)
    emacs = Emacs(tmp_path, python_module("flash_ls"))
    ran = emacs.run(CURSOR, f"{ADDED} (list {calls})", name="bank.py", before=ALONE, limit_s=BUILD_S)
    words, after_emoji, bodies = ran.value[:2], ran.value[2:4], ran.value[4:]
    assert words == ["posit(amount)"] * 2
    assert all(text.startswith("öße}") for text in after_emoji)
    assert all(re.search(r"\n        \S", text) for text in bodies), bodies
