# SPDX-License-Identifier: Apache-2.0
"""Prints the entries of requirements.lock, hashes and all, that pip's report says are needed.

`python locked.py REPORT LOCK`; the image then holds the servers' packages only, each verified.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path


def canonical(name: str) -> str:
    """Return a distribution's name as the lock spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Filter the lock; anything that the lock doesn't hold is an error, but for the project itself."""
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    needed = {canonical(item["metadata"]["name"]) for item in report["install"]} - {"pinakes"}
    entries: dict[str, list[str]] = {}
    name = ""
    for line in Path(sys.argv[2]).read_text(encoding="utf-8").splitlines():
        if line.startswith(" ") and name and not line.lstrip().startswith("#"):
            entries[name][-1] += f"\n{line}"
        elif found := re.match(r"([A-Za-z0-9._-]+)==", line):
            name = canonical(found[1])
            entries.setdefault(name, []).append(line)
        else:
            name = name if line.startswith(" ") else ""
    if missing := needed - entries.keys():
        sys.exit(f"not in the lock: {', '.join(sorted(missing))}")
    sys.stdout.write("\n".join(entry for item in sorted(needed) for entry in entries[item]) + "\n")


if __name__ == "__main__":
    main()
