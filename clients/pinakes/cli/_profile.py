# SPDX-License-Identifier: Apache-2.0
"""`pinakes profile`: keep endpoints and keys under names."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from pinakes.cli._failures import NOT_FOUND, Failure
from pinakes.cli._profiles import Config, Profile, load, path, save
from pinakes.cli._session import print_json, print_table, usage

profiles = typer.Typer(no_args_is_help=True, help="Keep endpoints and keys under names.")
Name = Annotated[str, typer.Argument(help="Name of the profile.", metavar="NAME")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@profiles.command("set")
def set_profile(
    name: Name,
    endpoint: Annotated[str, typer.Option("--endpoint", help="host:port or https://host.", metavar="HOST:PORT")] = "",
    key: Annotated[
        str, typer.Option("--key", help="API key; `-` asks for it, so that no history keeps it.", metavar="pk_…")
    ] = "",
    tls: Annotated[str, typer.Option("--tls", help="on, off, or auto: off on this machine only.")] = "",
    ca_file: Annotated[
        str, typer.Option("--ca-file", help="CA of the server's certificate, PEM.", metavar="FILE")
    ] = "",
) -> None:
    """Make or change a profile; what isn't given stays. The first one is used when none is named."""
    if tls not in {"", "on", "off", "auto"}:
        raise usage(f"--tls {tls}: not on, off or auto")
    config = load()
    old = config.profiles.get(name, Profile())
    secret = typer.prompt("Key", hide_input=True) if key == "-" else key
    new = replace(
        old,
        endpoint=endpoint or old.endpoint,
        key=secret or old.key,
        tls=old.tls if not tls else tls.replace("auto", ""),
        ca_file=ca_file or old.ca_file,
    )
    if not new.endpoint:
        raise usage("a new profile needs --endpoint")
    current = config.current if config.current in config.profiles else name
    save(Config(current, {**config.profiles, name: new}))
    typer.echo(f"profile {name} is in {path()}" + (" and used by default" if current == name else ""))


@profiles.command("use")
def use_profile(name: Name) -> None:
    """Choose the profile that is used when none is named."""
    config = load()
    _known(config, name)
    save(replace(config, current=name))
    typer.echo(f"profile {name} is used by default")


@profiles.command("delete")
def delete_profile(name: Name) -> None:
    """Remove a profile."""
    config = load()
    _known(config, name)
    save(replace(config, profiles={key: value for key, value in config.profiles.items() if key != name}))
    typer.echo(f"profile {name} is removed")


@profiles.command("list")
def list_profiles(as_json: AsJson = False) -> None:
    """List the profiles; of keys only their beginning is shown."""
    config = load()
    rows = [
        {"name": name, "endpoint": profile.endpoint, "key": _masked(profile.key), "default": name == config.current}
        for name, profile in sorted(config.profiles.items())
    ]
    if as_json:
        for row in rows:
            print_json(row)
    elif rows:
        print_table(
            ("NAME", "ENDPOINT", "KEY", "DEFAULT"),
            [
                (str(row["name"]), str(row["endpoint"]), str(row["key"]), "yes" if row["default"] else "")
                for row in rows
            ],
        )
    else:
        typer.echo("there are no profiles", err=True)


def _known(config: Config, name: str) -> None:
    if name not in config.profiles:
        raise Failure("PROFILE_NOT_FOUND", f"there is no profile {name}", "`pinakes profile list`", NOT_FOUND)


def _masked(key: str) -> str:
    """Return the public beginning of a key: `pk_` and its prefix."""
    parts = key.split("_")
    return "_".join(parts[:2]) + "_…" if len(parts) > 2 and parts[0] == "pk" else ("…" if key else "")
