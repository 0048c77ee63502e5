# SPDX-License-Identifier: Apache-2.0
"""Runs tests on a tree with one mutant in it: quick ones in forks of a process that has loaded what takes long to load."""

from __future__ import annotations

import faulthandler
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutate.edits import Mutant

ROOT = Path(__file__).resolve().parents[2]
ALL_SECONDS = 300
PARTS = ("gen", "services", "clients")
# Loaded once, before forks: all but what may be a mutant's.
_LIBRARIES = (
    "aiohttp", "grpc", "grpc.aio", "google.longrunning.operations_pb2", "google.rpc.status_pb2", "hypothesis", "jwt",
    "cryptography.hazmat.primitives.asymmetric.rsa", "opensearchpy", "orjson", "prometheus_client", "protovalidate",
    "pydantic_settings", "redis.asyncio", "structlog", "uvloop",
)  # fmt: skip
# They are no tests, so nothing is lost by their being loaded before pytest could rewrite them.
_LOADED = ("-W", "ignore::pytest.PytestAssertRewriteWarning")


@dataclass(frozen=True, slots=True)
class Result:
    """What a run of tests came to: whether one failed, and which, or what was said at the end."""

    noticed: bool
    by: str


def copy_tree(to: Path) -> Path:
    """Copy all that git knows of or would, and what was compiled of it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    compiled = [str(path.relative_to(ROOT)) for path in (ROOT / "services").rglob("*.so")]
    for name in {*listed, *compiled} - {""}:
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, to / name)
    return to


@contextmanager
def changed(tree: Path, mutant: Mutant | None) -> Iterator[None]:
    """Put a mutant into a tree for a while."""
    if mutant is None:
        yield
        return
    place = tree / mutant.file
    before = place.read_text("utf-8")
    place.write_text(mutant.text, "utf-8")
    try:
        yield
    finally:
        place.write_text(before, "utf-8")


def load_libraries() -> None:
    """Load what every test loads, once for all forks."""
    for name in _LIBRARIES:
        importlib.import_module(name)


@dataclass(slots=True)
class Fork:
    """Tests that run in a fork. `wait` returns what they came to."""

    pid: int
    said: Path

    @classmethod
    def start(cls, tree: Path, tests: Sequence[str], seconds: int) -> Fork:
        """Start tests in a tree; each has so many seconds, all together `ALL_SECONDS`."""
        descriptor, name = tempfile.mkstemp(prefix="said-", dir=tree.parent)
        pid = os.fork()
        if not pid:
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            os._exit(_run_here(tree, tests, seconds))
        os.close(descriptor)
        return cls(pid, Path(name))

    def ended(self, status: int) -> Result:
        """Return what the tests came to, by the status of their process."""
        said = self.said.read_text("utf-8", "replace")
        self.said.unlink()
        if os.WIFSIGNALED(status):
            return Result(noticed=True, by=f"it was ended by signal {os.WTERMSIG(status)}")
        return _result(os.WEXITSTATUS(status), said)


def _run_here(tree: Path, tests: Sequence[str], seconds: int) -> int:
    """Run tests in this process, with the tree's modules and none of the tree that we came from."""
    os.chdir(tree)
    ours = {ROOT, *(ROOT / part for part in PARTS)}
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() not in ours]
    for name in [name for name in sys.modules if name.partition(".")[0] in {"tests", "tools", "pinakes"}]:
        del sys.modules[name]
    sys.dont_write_bytecode = True
    # A test that is over its time may hang once more while what it left is cleared away; this thread doesn't ask anybody.
    faulthandler.dump_traceback_later(ALL_SECONDS, exit=True)
    try:
        return int(
            pytest.main(["-x", "-q", "--no-header", "-p", "no:cacheprovider", f"--timeout={seconds}", *_LOADED, *tests])
        )
    except BaseException as error:  # whatever it is, the parent must get it
        print(f"ERROR {error!r}")
        return int(pytest.ExitCode.INTERNAL_ERROR)


def run_slow(tree: Path, tests: Sequence[str], seconds: int, home: Path) -> Result:
    """Run tests in a process of its own, on the platform in `home`, whose servers get the tree's modules."""
    roots = os.pathsep.join(str(tree / part) for part in PARTS)
    environment = {
        **os.environ, "PYTHONPATH": roots, "PYTHONDONTWRITEBYTECODE": "1", "PINAKES_TEST_HOME": str(home),
    }  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return Result(noticed=True, by=f"nothing came of it within {seconds} s")
    return _result(done.returncode, f"{done.stdout}\n{done.stderr}")


def _result(code: int, said: str) -> Result:
    """Read an exit code of pytest. What can't even be imported doesn't start, so that is noticed, too."""
    lines = said.strip().splitlines() or ["nothing was said"]
    if code == pytest.ExitCode.OK:
        return Result(noticed=False, by=lines[-1])
    if code not in {pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR}:
        message = "\n".join(lines[-30:])
        raise RuntimeError(message)
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    if not failed and not lines[-1].strip(".FEsx"):
        return Result(noticed=True, by=f"it hung: {len(lines[-1])} tests were over after {ALL_SECONDS} s")
    return Result(noticed=True, by=failed[0].partition(" ")[2].partition(" - ")[0] if failed else lines[-1])
