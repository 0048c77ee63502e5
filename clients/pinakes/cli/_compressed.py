# SPDX-License-Identifier: Apache-2.0
"""Files that are compressed as their names say, as the platform itself reads and writes objects."""

from __future__ import annotations

import gzip
import sys
import zlib
from typing import IO, Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENDINGS = (".gz", ".zst")
DAMAGED = (OSError, EOFError, zlib.error, zstd.ZstdError)
"""What reading raises where a file isn't what its name says, or isn't whole."""


def opened(file: IO[bytes], name: str, mode: str = "rb") -> Any:
    """Return a file to read (`rb`) or write (`wb`) what is in a compressed one; any other file itself."""
    if name.endswith(".gz"):
        return gzip.GzipFile(fileobj=file, mode=mode)
    if name.endswith(".zst"):
        return zstd.ZstdFile(file, mode)  # type: ignore[call-overload]  # its modes are literals
    return file


def bare(name: str) -> str:
    """Return a name without its compression's ending."""
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)
