# SPDX-License-Identifier: Apache-2.0
"""What an import has come to: counts by outcome, and the rows that failed, told and kept."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from pinakes.cli._rows import Row
from pinakes.cli._session import printable
from pinakes.client import Written

_TOLD_AT_MOST = 20
# Where a fault is in the message that the row was sent with: of no meaning to who wrote the row.
_PLACE = re.compile(r"\bwrites\[\d+\]\.(put|delete)\.?")


@dataclass(slots=True)
class Tally:
    """Counts, and where the rows that failed are kept. What an interrupted run had counted is counted on."""

    failed_path: Path
    written: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    before: int = 0
    """Rows that an earlier run had written."""

    started: float = field(default_factory=time.monotonic)
    _file: TextIO | None = None

    @property
    def rate(self) -> float:
        """Documents a second since the start."""
        return (self.written - self.before) / max(time.monotonic() - self.started, 1e-6)

    def resume(self, written: int, failed: int, outcomes: dict[str, int], failed_bytes: int) -> None:
        """Count on from an earlier run; the rows it kept after these bytes are kept anew."""
        self.written = self.before = written
        self.failed = failed
        self.outcomes = dict(outcomes)
        if failed_bytes and self.failed_path.exists():
            self._file = self.failed_path.open("r+", encoding="utf-8")
            self._file.truncate(failed_bytes)
            self._file.seek(failed_bytes)

    def take(self, row: Row, result: Written) -> None:
        """Count one result; a failure is told and kept."""
        if result.ok:
            self.written += 1
            self.outcomes[result.outcome.lower()] = self.outcomes.get(result.outcome.lower(), 0) + 1
            return
        error = result.error
        details = "".join(
            f"; {v.field}: {v.description}"
            for v in (error.violations if error else ())
            if error and v.description not in error.message
        )
        self.fail(
            row, error.reason if error else result.outcome, (error.message if error else result.outcome) + details
        )

    def fail(self, row: Row, reason: str, message: str) -> None:
        """Keep a row that failed, with its line and reason."""
        self.failed += 1
        if self._file is None:
            self._file = self.failed_path.open("w", encoding="utf-8")
        try:
            document = json.loads(row.text)
        except (ValueError, RecursionError):
            document = row.text
        message = _PLACE.sub("", message)
        kept = {"line": row.line, "reason": reason, "message": message, "document": document}
        self._file.write(json.dumps(kept, ensure_ascii=False) + "\n")
        if self.failed <= _TOLD_AT_MOST:
            sys.stderr.write(printable(f"pinakes: line {row.line}: {reason}: {' '.join(message.split())}") + "\n")
        elif self.failed == _TOLD_AT_MOST + 1:
            sys.stderr.write(f"pinakes: more rows failed: see {self.failed_path}\n")

    def flush(self) -> int:
        """Write out the file of failed rows, and return its size in bytes."""
        if self._file is None:
            return 0
        self._file.flush()
        return self.failed_path.stat().st_size

    def close(self) -> None:
        """Close the file of failed rows, if there were any."""
        if self._file is not None:
            self._file.close()
