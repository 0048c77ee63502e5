# SPDX-License-Identifier: Apache-2.0
"""What keeps personal data where it belongs is a matter of shape: few read bodies as they are, no log turns errors into text."""

from __future__ import annotations

import re
from pathlib import Path

SERVICES = Path(__file__).resolve().parents[2] / "services" / "pinakes"
# They write what they read, or hand it to `TenantScope.shown`; all others ask the scope for documents.
RAW = {
    "core/engine/documents.py", "core/engine/scope.py", "core/writing/changes.py", "index/commands/write.py",
    "worker/jobs/reindex.py",
}  # fmt: skip
_IMPORT = re.compile(r"^\s+read_document,|import .*\bread_document\b|^def read_document", re.MULTILINE)
# An exception's text may quote a document; given as it is, the log decides what of it is shown.
_AS_TEXT = re.compile(r"_log\.\w+\([^)]*?\b(?:str|repr|format)\(\s*(?:error|fault|exc)\b", re.DOTALL)


def sources() -> dict[str, str]:
    """Return the servers' sources by their path."""
    return {path.relative_to(SERVICES).as_posix(): path.read_text("utf-8") for path in SERVICES.rglob("*.py")}


def test_only_who_writes_documents_reads_them_without_the_scopes_masks() -> None:
    assert {path for path, text in sources().items() if _IMPORT.search(text)} == RAW


def test_no_log_line_turns_an_error_into_text() -> None:
    local = {path: text for path, text in sources().items() if not path.startswith("local/")}
    assert len(local) > 100
    assert not [path for path, text in local.items() if _AS_TEXT.search(text)]
    assert _AS_TEXT.search('_log.info("x", a=1, error=str(error))'), "the check would find one"
