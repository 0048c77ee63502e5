# SPDX-License-Identifier: Apache-2.0
"""Maven artifacts of the engine: read the lock file, download what is missing, believe nothing that isn't verified."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pinakes.local.faults import LocalError

LOCK_FILE = Path(__file__).with_name("artifacts.lock")
REPOSITORY_VARIABLE = "PINAKES_MAVEN_REPOSITORY"
THREADS = 16
TRIES = 3
CHUNK = 1 << 18

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes to do."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file, a jar unless its kind is another: its coordinates, its digest and its size in bytes."""

    group: str
    name: str
    version: str
    sha256: str
    size: int
    kind: str = "jar"

    @property
    def coordinates(self) -> str:
        """Return group:name:version."""
        return f"{self.group}:{self.name}:{self.version}"

    @property
    def filename(self) -> str:
        """Return the file's name, as the engine expects it in its folders."""
        return f"{self.name}-{self.version}.{self.kind}"

    @property
    def remote_path(self) -> str:
        """Return the path below the root of a Maven repository."""
        return f"{self.group.replace('.', '/')}/{self.name}/{self.version}/{self.filename}"


def read_lock(path: Path = LOCK_FILE) -> list[Artifact]:
    """Read the lock file. Raises LocalError when a line isn't `group:name:version[:kind] sha256 bytes`."""
    artifacts = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        try:
            coordinates, digest, size = line.split()
            group, name, version, *kind = coordinates.split(":")
            artifacts.append(Artifact(group, name, version, digest, int(size), *kind))
        except (ValueError, TypeError) as error:
            message = f"{path.name}, line {number} isn't `group:name:version sha256 bytes`"
            raise LocalError(message, "Write it again with `python -m pinakes.local.lock`") from error
    return artifacts


def lock_digest(artifacts: list[Artifact]) -> str:
    """Return a short name for exactly this set of artifacts."""
    return hashlib.sha256("\n".join(sorted(artifact.sha256 for artifact in artifacts)).encode()).hexdigest()[:12]


def stored(cache: Path, artifact: Artifact) -> Path:
    """Return where the cache keeps an artifact. The digest in the name keeps versions apart."""
    return cache / "artifacts" / f"{artifact.sha256[:16]}-{artifact.filename}"


def fetch(artifacts: list[Artifact], cache: Path, progress: Progress) -> None:
    """Download what the cache lacks, each to a temporary name, verified before it gets its own.

    Raises LocalError when an artifact can't be had or has another digest than the lock file says.
    """
    missing = [artifact for artifact in artifacts if not _present(stored(cache, artifact), artifact)]
    if not missing:
        return
    (cache / "artifacts").mkdir(parents=True, exist_ok=True)
    total = sum(artifact.size for artifact in missing)
    done = 0
    lock = threading.Lock()

    def count(size: int) -> None:
        nonlocal done
        with lock:
            done += size
            progress(done, total)

    progress(0, total)
    root = _repository()
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="artifacts")
    try:
        for future in [pool.submit(_download, root, artifact, cache, count) for artifact in missing]:
            future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _present(path: Path, artifact: Artifact) -> bool:
    """Tell whether the cache has it. Only verified files ever get this name, so the size is check enough."""
    try:
        return path.stat().st_size == artifact.size
    except OSError:
        return False


def _repository() -> str:
    """Return the repository: the one of the environment, or the resolver's own default."""
    from jgo.constants import MAVEN_CENTRAL_URL  # slow to import, needed only to download

    return (os.environ.get(REPOSITORY_VARIABLE) or str(MAVEN_CENTRAL_URL)).rstrip("/")


def _download(root: str, artifact: Artifact, cache: Path, count: Callable[[int], None]) -> None:
    """Download one artifact, trying again after errors of the network but not after a wrong digest."""
    import requests  # slow to import, needed only to download

    error: Exception | None = None
    for _ in range(TRIES):
        received = 0
        handle, name = tempfile.mkstemp(dir=cache / "artifacts", prefix=".part-")
        try:
            digest = hashlib.sha256()
            with (
                os.fdopen(handle, "wb") as file,
                requests.get(f"{root}/{artifact.remote_path}", stream=True, timeout=60) as answer,
            ):
                answer.raise_for_status()
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    received += len(chunk)
                    count(len(chunk))
            if digest.hexdigest() != artifact.sha256:
                message = f"{artifact.coordinates} isn't what the lock file says (sha256 {digest.hexdigest()})"
                raise LocalError(message, f"Look at what {REPOSITORY_VARIABLE} or the proxy delivers")
            Path(name).chmod(0o644)
            Path(name).replace(stored(cache, artifact))
        except (requests.RequestException, OSError) as failure:
            count(-received)
            error = failure
        else:
            return
        finally:
            Path(name).unlink(missing_ok=True)
    message = f"{artifact.coordinates} can't be downloaded: {error}"
    raise LocalError(message, f"Check the network, or name a mirror in {REPOSITORY_VARIABLE}") from error
