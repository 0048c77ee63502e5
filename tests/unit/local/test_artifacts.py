# SPDX-License-Identifier: Apache-2.0
"""The engine's artifacts and how its home is laid out from them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from pinakes.local import artifacts
from pinakes.local.artifacts import Artifact, lock_digest, read_lock
from pinakes.local.distribution import AGENT, ASCII_PROBE, MODULES, THAI_CLASS, THAI_JAR, THAI_PROBE, patch_thai
from pinakes.local.faults import LocalError
from pinakes.local.lock import S3_LOCK_FILE


@pytest.mark.parametrize(("file", "least"), [(artifacts.LOCK_FILE, 100), (S3_LOCK_FILE, 50)])
def test_the_locks_name_each_artifact_once_with_its_digest_and_no_address(file: Path, least: int) -> None:
    locked = read_lock(file)
    assert len({artifact.coordinates for artifact in locked}) == len(locked) > least
    assert all(len(artifact.sha256) == 64 and artifact.size > 0 for artifact in locked)
    assert "//" not in file.read_text(encoding="utf-8")


def test_the_lock_has_jars_for_every_module_and_the_agent() -> None:
    names = [artifact.filename for artifact in read_lock()]
    for module in MODULES:
        for start in module.jars:
            assert any(name.startswith(start) for name in names), f"{module.name} lacks {start}"
    assert set(AGENT) | {THAI_JAR} <= {artifact.name for artifact in read_lock()}


def test_a_line_that_is_not_an_artifact_is_named_by_its_number(tmp_path: Path) -> None:
    lock = tmp_path / "artifacts.lock"
    lock.write_text("# comment\ngroup:name:1.0\n", encoding="utf-8")
    with pytest.raises(LocalError, match="line 2"):
        read_lock(lock)


def test_another_set_of_artifacts_has_another_digest() -> None:
    locked = read_lock()
    assert lock_digest(locked) != lock_digest(locked[1:])
    assert lock_digest(locked) == lock_digest(locked[::-1])


def test_the_remote_path_is_that_of_a_maven_repository() -> None:
    jar = Artifact("org.example.deep", "thing", "1.2", "0" * 64, 1)
    assert jar.remote_path == "org/example/deep/thing/1.2/thing-1.2.jar"


def test_the_thai_probe_is_replaced_by_one_of_the_same_length(tmp_path: Path) -> None:
    assert len(THAI_PROBE) == len(ASCII_PROBE)
    with zipfile.ZipFile(tmp_path / "old.jar", "w") as jar:
        jar.writestr(THAI_CLASS, b"head" + THAI_PROBE + b"tail")
        jar.writestr("Other.class", THAI_PROBE)
    patch_thai(tmp_path / "old.jar", tmp_path / "new.jar")
    with zipfile.ZipFile(tmp_path / "new.jar") as jar:
        assert jar.read(THAI_CLASS) == b"head" + ASCII_PROBE + b"tail"
        assert jar.read("Other.class") == THAI_PROBE


def test_a_jar_with_another_thai_probe_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "old.jar", "w") as jar:
        jar.writestr(THAI_CLASS, b"something else")
    with pytest.raises(LocalError, match="Thai"):
        patch_thai(tmp_path / "old.jar", tmp_path / "new.jar")
