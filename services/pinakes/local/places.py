# SPDX-License-Identifier: Apache-2.0
"""Where the platform keeps its files, and which of them another user could read."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from pinakes.local.faults import LocalError

ENGINE_USER = "nobody"
ROOT_CACHE = Path("/var/cache/pinakes")
ROOT_STATE = Path("/var/lib/pinakes")


def default_home() -> Path:
    """Return `PINAKES_HOME`, or the user's data folder."""
    if chosen := os.environ.get("PINAKES_HOME"):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share").absolute() / "pinakes"


def default_cache() -> Path:
    """Return the folder of downloads, shared by every platform of the user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "pinakes"


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of one platform."""

    home: Path
    cache: Path
    engine: Path
    """The engine's own config, data, logs and tmp."""

    @property
    def state(self) -> Path:
        """Return the file of processes, ports and secrets."""
        return self.home / "state.json"

    @property
    def lock(self) -> Path:
        """Return the file whose lock keeps two commands apart."""
        return self.home / "lock"

    @property
    def config(self) -> Path:
        """Return the folder of generated configuration."""
        return self.home / "config"

    @property
    def logs(self) -> Path:
        """Return the folder of one log file a part."""
        return self.home / "logs"


def places(home: Path, cache: Path) -> Places:
    """Decide on folders. Root's engine runs as another user, who must be able to reach its files."""
    home.mkdir(parents=True, exist_ok=True)
    engine = home / "engine"
    if os.geteuid() == 0:
        home.chmod(0o711)  # its secrets are in files of mode 0600
        if not reachable(home):
            digest = hashlib.sha256(str(home).encode()).hexdigest()[:12]
            engine = _open_folder(ROOT_STATE / digest)
        if not reachable(_existing(cache)):
            cache = ROOT_CACHE
    return Places(home=home, cache=_open_folder(cache), engine=engine)


def engine_ids() -> tuple[int, int]:
    """Return uid and gid of the user who runs root's engine. Raises LocalError when there is none."""
    try:
        entry = pwd.getpwnam(ENGINE_USER)
    except KeyError:
        message = f"OpenSearch refuses to run as root, and this machine has no user {ENGINE_USER}"
        raise LocalError(message, "Run `pinakes local` as an ordinary user") from None
    return entry.pw_uid, entry.pw_gid


def reachable(path: Path) -> bool:
    """Tell whether everybody may pass through all folders down to a path."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in [path, *path.parents] if folder.is_dir())


def link_or_copy(source: Path, target: Path) -> None:
    """Place a file without using space twice where the file system allows it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        target.chmod(0o644)


def _existing(path: Path) -> Path:
    """Return the path or its nearest parent that exists."""
    return path if path.exists() else _existing(path.parent)


def _open_folder(path: Path) -> Path:
    """Make a folder that everybody may read."""
    path.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        path.chmod(0o755)
    return path
