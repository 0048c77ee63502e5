# SPDX-License-Identifier: Apache-2.0
"""`buf breaking` against the main branch: nothing that callers use may go from the contract.

buf can't read the branch itself, because the protos that the contract imports aren't in git: the branch's protos are
laid beside today's imports in a temporary folder.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tools import vendor_protos

ROOT = Path(__file__).resolve().parent.parent
BUF = Path(sys.executable).parent / "buf"
CANDIDATES = ("origin/main", "main")


def reference(wanted: str | None) -> str | None:
    """The git reference to compare with, if it exists and holds a contract."""
    for name in [wanted] if wanted else CANDIDATES:
        done = subprocess.run(
            ["git", "cat-file", "-e", f"{name}:protos/pinakes"], cwd=ROOT, capture_output=True, check=False
        )
        if done.returncode == 0:
            return name
    return None


def compare(against: str) -> int:
    """Exit status of `buf breaking` against the protos of a git reference."""
    archive = subprocess.run(["git", "archive", against, "protos"], cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="breaking-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        shutil.copytree(vendor_protos.TARGET, Path(folder, ".cache", "protos"))
        shutil.copy(ROOT / "buf.yaml", folder)
        return subprocess.run([str(BUF), "breaking", "--against", folder], cwd=ROOT, check=False).returncode


def main() -> None:
    """Compare with `--against`, or with main as the remote or this clone has it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", help="git reference to compare with")
    wanted = parser.parse_args().against
    vendor_protos.main()
    against = reference(wanted)
    if against is None:
        print("check_breaking: the main branch has no contract yet: nothing can break.")
        return
    sys.exit(compare(against))


if __name__ == "__main__":
    main()
