# SPDX-License-Identifier: Apache-2.0
"""Profiles: named endpoints and keys in `~/.config/pinakes/config.toml`, which only its owner can read."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from pinakes.cli._failures import USAGE, Failure

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Profile:
    """Where to call and with what; empty means unset. `tls` is `on`, `off`, or empty to let the endpoint decide."""

    endpoint: str = ""
    key: str = ""
    tls: str = ""
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """What the file holds: the profiles, and which one is used when none is named."""

    current: str = DEFAULT
    profiles: dict[str, Profile] = field(default_factory=dict)


def path() -> Path:
    """Return the file's place, under XDG_CONFIG_HOME if that is set."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "pinakes" / "config.toml"


def load() -> Config:
    """Read the file; an absent one is empty, and one that can't be read is a Failure that names it."""
    try:
        content = tomllib.loads(path().read_text("utf-8"))
    except FileNotFoundError:
        return Config()
    except (OSError, ValueError) as error:
        raise Failure("CONFIG_UNREADABLE", f"{path()}: {error}", "correct or remove the file") from error
    known = {item.name for item in fields(Profile)}
    tables = content.get("profiles", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise Failure("CONFIG_UNREADABLE", f"{path()}: profiles must be tables", "correct or remove the file")
    profiles = {
        name: Profile(**{key: str(value) for key, value in table.items() if key in known})
        for name, table in tables.items()
    }
    return Config(str(content.get("current", DEFAULT)), profiles)


def save(config: Config) -> None:
    """Write the file whole or not at all, with mode 0600."""
    lines = [f"current = {json.dumps(config.current, ensure_ascii=False)}"]
    for name, profile in sorted(config.profiles.items()):
        lines += ["", f"[profiles.{json.dumps(name, ensure_ascii=False)}]"]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in asdict(profile).items() if value]
    place = path()
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, temporary = tempfile.mkstemp(dir=place.parent, prefix=".config-")  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        Path(temporary).replace(place)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def resolve(name: str = "", endpoint: str = "", key: str = "") -> Profile:
    """Decide where to call: options, then PINAKES_ENDPOINT and PINAKES_API_KEY, the profile, a local platform.

    Raises Failure if a named profile doesn't exist, or if nothing says where the platform is.
    """
    config = load()
    wanted = name or os.environ.get("PINAKES_PROFILE", "")
    if wanted and wanted not in config.profiles:
        have = ", ".join(sorted(config.profiles)) or "none"
        raise Failure(
            "PROFILE_NOT_FOUND",
            f"there is no profile {wanted} (there are: {have})",
            f"`pinakes profile set {wanted}`",
            USAGE,
        )
    profile = config.profiles.get(wanted or config.current, Profile())
    endpoint = endpoint or os.environ.get("PINAKES_ENDPOINT", "")
    found = Profile(
        endpoint=endpoint or profile.endpoint,
        key=key or os.environ.get("PINAKES_API_KEY", "") or profile.key,
        tls=profile.tls if not endpoint else "",
        ca_file=os.environ.get("PINAKES_CA_FILE", "") or profile.ca_file,
    )
    if not found.endpoint and (local := _local_platform()):
        found = Profile(endpoint=local.endpoint, key=found.key or local.key)
    if not found.endpoint:
        raise Failure(
            "NO_ENDPOINT",
            "nothing says where the platform is",
            "`pinakes profile set NAME --endpoint HOST:PORT`, or PINAKES_ENDPOINT, or start one by `pinakes local up`",
            USAGE,
        )
    return found


def _local_platform() -> Profile | None:
    """Return the platform of this machine, if the extra `local` is installed and one is up."""
    try:
        places = importlib.import_module("pinakes.local.places")
        states = importlib.import_module("pinakes.local.state")
    except ImportError:
        return None
    file = places.default_home() / "state.json"
    if not file.is_file():
        return None
    state = states.load(file)
    port = state.ports.get("envoy")
    if port is None or "envoy" not in state.processes or states.port_free(port):
        return None
    return Profile(endpoint=f"127.0.0.1:{port}", key=state.bootstrap_admin_key)
