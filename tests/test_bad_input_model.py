"""Files of Windows and the real model."""

from pathlib import Path

import pytest

from tests.lsp_client import LspProcess, flash_ls

pytestmark = pytest.mark.model

BANK = (Path(__file__).resolve().parents[1] / "examples" / "bank.py").read_text(encoding="utf-8")
BEFORE = BANK[: BANK.index("        if amount")] + "        "
BUILD_S = 600
"""The first start builds the model."""


def test_a_body_has_the_line_ends_of_its_file() -> None:
    with LspProcess(flash_ls(), BUILD_S) as client:
        client.initialize(options={"budget_ms": 60_000, "statistics": False})
        client.wait_until(lambda: any("load reason=ready" in line for line in client.log))
        for end in ("\n", "\r\n"):
            uri = f"file:///c%3A/Users/Me/{len(end)}.py"
            client.open(uri, "python", BEFORE.replace("\n", end))
            body = client.inline(uri, BEFORE.count("\n"), 8, triggerKind=1)[0]["insertText"]
            assert body.count(end) >= 2
            assert not {"\r", "\n"} & set(body.replace(end, ""))
