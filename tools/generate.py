# SPDX-License-Identifier: Apache-2.0
"""Generates everything under gen/ from the contract; `--check` compares with what is there and changes nothing."""

from __future__ import annotations

import argparse
import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import operations_http, vendor_protos

ROOT = Path(__file__).resolve().parent.parent
BUF = Path(sys.executable).parent / "buf"
# What Envoy must know besides the contract: details of errors, which nothing in the contract imports.
ERRORS = ".cache/protos/google/rpc/error_details.proto"
PACKAGES = ("pinakes/v1", "pinakes/queue/v1", "buf/validate")


def generate(into: Path) -> None:
    """Write the stubs, the descriptor set and the OpenAPI document under `into`/gen."""
    vendor_protos.main()
    _buf("generate", "--output", str(into))
    # For Envoy's transcoder: imports are in it, comments aren't. Envoy drops the body of an error whose details it has no
    # descriptor for, and nothing in the contract imports these.
    descriptors = into / "gen" / "pinakes" / "v1" / "descriptors.binpb"
    paths = [part for path in ("protos/pinakes/v1", ERRORS) for part in ("--path", path)]
    _buf("build", *paths, "--as-file-descriptor-set", "--exclude-source-info", "-o", str(descriptors))
    operations_http.patch_descriptors(descriptors)
    operations_http.patch_openapi(descriptors.with_name("openapi.yaml"))
    for package in PACKAGES:
        (into / "gen" / package / "py.typed").touch()


def differences(made: Path, kept: Path) -> list[str]:
    """Files that differ between two folders, or are in one only."""
    names = {path.relative_to(top).as_posix() for top in (made, kept) for path in top.rglob("*") if _counts(path)}
    return sorted(name for name in names if not _same(made / name, kept / name))


def _counts(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and filecmp.cmp(one, other, shallow=False)


def _buf(*arguments: str) -> None:
    done = subprocess.run([str(BUF), *arguments], cwd=ROOT, check=False)
    if done.returncode != 0:
        sys.exit(f"generate: buf {arguments[0]} failed; see above.")


def main() -> None:
    """Generate in a temporary folder, then compare with gen/ or put it in its place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if gen/ isn't what would be generated")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory(prefix="generate-") as folder:
        generate(Path(folder))
        made = Path(folder, "gen")
        stale = differences(made, ROOT / "gen")
        if check and stale:
            sys.exit("generate: gen/ isn't what the contract generates; run `make gen`. Different: " + ", ".join(stale))
        if not check and stale:
            shutil.copytree(made, ROOT / "gen", dirs_exist_ok=True)
            for name in stale:
                if not (made / name).exists():
                    (ROOT / "gen" / name).unlink()
            print("generate: changed", ", ".join(stale))


if __name__ == "__main__":
    main()
