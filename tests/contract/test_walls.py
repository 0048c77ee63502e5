# SPDX-License-Identifier: Apache-2.0
"""The walls between the packages stand, and whoever checks them does see a breach."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT_IMPORTS = str(Path(sys.executable).parent / "lint-imports")

# Where a forbidden import is planted, the import, and the words of the contract that must break.
BREACHES = [
    ("services/pinakes/search/queries/planted.py", "import opensearchpy", "Only core/engine talks to the engine"),
    ("services/pinakes/core/tenancy/planted.py", "import opensearchpy", "Only core/engine talks to the engine"),
    ("services/pinakes/core/newroom.py", "import opensearchpy", "Only core/engine talks to the engine"),
    ("services/pinakes/search/planted.py", "import pinakes.index.servicer", "don't know one another"),
    ("services/pinakes/core/planted.py", "import pinakes.tenant.servicer", "The core knows no service"),
    ("services/pinakes/core/query/planted.py", "import grpc", "only rpc and telemetry speak gRPC"),
    ("clients/pinakes/client/planted.py", "import pinakes.core.faults", "Stubs and SDK are light"),
    ("clients/pinakes/cli/planted.py", "import pinakes.local.platform", "The command is light too"),
]


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the sources of `root` alone: `-P` and PYTHONPATH put them before an editable install."""
    paths = ":".join(str(root / name) for name in ("gen", "services", "clients"))
    return subprocess.run(
        [sys.executable, "-P", LINT_IMPORTS, "--no-cache"],
        cwd=root,
        env={"PYTHONPATH": paths, "PATH": "/usr/bin:/bin", "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the sources that may be spoilt."""
    for name in ("gen", "services", "clients"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_walls_stand() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_check_sees_the_whole_tree() -> None:
    modules = sum(1 for top in ("services", "clients") for _ in (ROOT / top).rglob("*.py"))
    seen = next(line for line in lint_imports(ROOT).stdout.splitlines() if line.startswith("Analyzed "))
    assert int(seen.split()[1]) >= modules


@pytest.mark.parametrize(("file", "planted", "contract"), BREACHES, ids=[f"{b[0]}: {b[1]}" for b in BREACHES])
def test_a_forbidden_import_is_found(copy: Path, file: str, planted: str, contract: str) -> None:
    (copy / file).write_text(f"{planted}\n", encoding="utf-8")
    done = lint_imports(copy)
    assert done.returncode != 0
    broken = [line for line in done.stdout.splitlines() if " BROKEN" in line]
    assert [line for line in broken if contract in line], done.stdout
