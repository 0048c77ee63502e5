# SPDX-License-Identifier: Apache-2.0
"""How far an import has got, in a file beside its input: an interrupted one goes on where it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from pinakes.cli._failures import Failure

FORMAT = 1
_HEAD_BYTES = 64 << 10
_SECONDS = 1.0
_ANEW = "--restart begins anew"


@dataclass(slots=True)
class State:
    """What is acknowledged: rows up to `line`, whose end is at `offset`, and the stream's messages up to `sequence`."""

    stream_id: str = field(default_factory=lambda: f"import-{uuid.uuid4().hex}")
    sequence: int = 0
    line: int = 0
    offset: int = 0
    written: int = 0
    failed: int = 0
    failed_bytes: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)


class Checkpoint:
    """Keeps the state of one import; without a path it keeps none."""

    def __init__(self, path: Path | None, source: str, target: dict[str, str]) -> None:
        """Be of the import of the file `source` to `target`: endpoint, tenant, collection and mode."""
        self.path = path
        self._source = _fingerprint(Path(source)) if path else {}
        self._target = target
        self._saved = 0.0

    def load(self) -> State | None:
        """Return the state that an interrupted run left, or None.

        Raises Failure if it is that of another file or import: going on would leave rows out.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            kept = json.loads(self.path.read_text("utf-8"))
            known = kept["format"] == FORMAT
            source, target = kept["source"], kept["target"]
            state = State(**kept["state"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failure("CHECKPOINT_UNREADABLE", f"{self.path}: {error}", _ANEW) from error
        if not known:
            raise Failure("CHECKPOINT_UNREADABLE", f"{self.path} is of another version of this command", _ANEW)
        if changed := _differences(source, self._source):
            message = f"{self.path} is of a file that has changed since: {changed}"
            raise Failure("FILE_CHANGED", message, f"give the file as it was, or {_ANEW}")
        if changed := _differences(target, self._target):
            message = f"{self.path} is of another import: {changed}"
            raise Failure("CHECKPOINT_MISMATCH", message, f"repeat the command as it was, or {_ANEW}")
        return state

    def save(self, state: State) -> None:
        """Keep the state."""
        if self.path is None:
            return
        self._saved = time.monotonic()
        kept = {
            "format": FORMAT,
            "source": self._source,
            "target": self._target,
            "state": dataclasses.asdict(state),
        }
        # A process that dies while it writes must leave the old one.
        new = self.path.with_name(f"{self.path.name}.new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(kept, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)

    @property
    def due(self) -> bool:
        """Whether a second has gone since the state was kept."""
        return self.path is not None and time.monotonic() - self._saved >= _SECONDS

    def remove(self) -> None:
        """Forget the state."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _fingerprint(path: Path) -> dict[str, str]:
    """Return what tells one file from another without reading all of it."""
    try:
        found = path.stat()
        with path.open("rb") as file:
            head = hashlib.sha256(file.read(_HEAD_BYTES)).hexdigest()
    except OSError as error:
        raise Failure("FILE_UNREADABLE", f"{path}: {error.strerror}", "check the path") from error
    return {"size": str(found.st_size), "modified": str(found.st_mtime_ns), "beginning": head}


def _differences(before: dict[str, str], now: dict[str, str]) -> str:
    """Say which values differ."""
    names = [name for name in now if before.get(name) != now[name]]
    return ", ".join(
        name if name in {"modified", "beginning"} else f"{name} was {before.get(name)}, is {now[name]}"
        for name in names
    )
