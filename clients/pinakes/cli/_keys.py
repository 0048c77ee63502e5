# SPDX-License-Identifier: Apache-2.0
"""`pinakes keys` and `pinakes token`: what callers authenticate with."""

from __future__ import annotations

import re
import sys
from typing import Annotated

import typer

from pinakes.cli import _limits
from pinakes.cli._session import Session, TenantOption, calling, print_json, usage
from pinakes.client import _names, scoped_token
from pinakes.client._limits import KEY_NAMES
from pinakes.v1.resources_pb2 import ApiKey
from pinakes.v1.tenant_pb2 import CreateApiKeyResponse

keys = typer.Typer(no_args_is_help=True, help="Create, list, change, rotate and revoke a tenant's API keys.")

DisplayName = Annotated[str, typer.Option("--display-name", help="Name for people.")]
_DURATION = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@keys.command("create")
@calling
def create_key(
    session: Session,
    role: Annotated[
        str, typer.Option("--role", help="user (reads), service (writes too), admin (keeps keys too).")
    ] = "user",
    tenant: TenantOption = "-",
    display_name: DisplayName = "",
    reader: Annotated[list[str], typer.Option("--reader", help="A reader whose documents the key may see.")] = [],  # noqa: B006 - typer copies it
    expires: Annotated[str, typer.Option("--expires", help="When it stops working, RFC 3339.", metavar="TIME")] = "",
    limit: _limits.KeyLimitOption = [],  # noqa: B006 - typer copies it
) -> None:
    """Create a key. It is shown once, on stdout; nobody can read it again."""
    if role not in {"user", "service", "admin"}:
        raise usage(f"--role {role}: not user, service or admin")
    with session.client() as client:
        made = client.create_key(
            role,  # type: ignore[arg-type]  # checked above
            tenant=tenant,
            display_name=display_name,
            readers=reader,
            expire_time=expires or None,
            limits=_limits.read(limit, KEY_NAMES),
        )
    session.show(made, _created_rows(made))


@keys.command("list")
@calling
def list_keys(session: Session, tenant: TenantOption = "-") -> None:
    """List a tenant's keys, revoked ones too, without their secrets."""
    with session.client() as client:
        session.show_all(
            client.list_keys(tenant=tenant),
            ("ID", "NAME", "ROLE", "STATE", "PREFIX", "CREATED", "LAST USED"),
            lambda key: (
                _names.last(key.name),
                key.display_name,
                _role(key),
                ApiKey.State.Name(key.state).removeprefix("STATE_").lower(),
                key.prefix,
                _time(key, "create_time"),
                _time(key, "last_use_time"),
            ),
            "there are no keys",
        )


@keys.command("update")
@calling
def update_key(
    session: Session,
    key: Annotated[str, typer.Argument(help="Id of the key.", metavar="ID")],
    tenant: TenantOption = "-",
    display_name: Annotated[str | None, typer.Option("--display-name", help="Name for people.")] = None,
    reader: Annotated[
        list[str], typer.Option("--reader", help="A reader whose documents the key may see, in place of those it has.")
    ] = [],  # noqa: B006 - typer copies it
    expires: Annotated[
        str, typer.Option("--expires", help="When it stops working, RFC 3339, or never.", metavar="TIME")
    ] = "",
    limit: _limits.KeyLimitOption = [],  # noqa: B006 - typer copies it
) -> None:
    """Change what is given of a key, and leave the rest; in force everywhere within 5 s."""
    if display_name is None and not (reader or expires or limit):
        raise usage("there is nothing to change: give --display-name, --reader, --expires or --limit")
    with session.client() as client:
        changed = client.update_key(
            key,
            display_name=display_name,
            readers=reader or None,
            expire_time=expires or None,
            limits=_limits.read(limit, KEY_NAMES),
            tenant=tenant,
        )
    limits = ", ".join(f"{field.name} {value:.15g}" for field, value in changed.limits.ListFields())
    rows = [
        ("key", changed.name), ("name", changed.display_name), ("readers", ", ".join(changed.readers)),
        ("expires", _time(changed, "expire_time") or "never"), ("limits", limits or "those of its tenant"),
    ]  # fmt: skip
    session.show(changed, [(name, text) for name, text in rows if text])


@keys.command("rotate")
@calling
def rotate_key(
    session: Session,
    key: Annotated[str, typer.Argument(help="Id of the key.", metavar="ID")],
    tenant: TenantOption = "-",
    overlap: Annotated[
        str, typer.Option("--overlap", help="How long the secret before works on: 0s to 30d.", metavar="DURATION")
    ] = "1d",
) -> None:
    """Give a key another secret. It is shown once, on stdout; the one before works on for the overlap."""
    with session.client() as client:
        made = client.rotate_key(key, overlap=_seconds("--overlap", overlap), tenant=tenant)
    until = _time(made.api_key, "previous_secret_expire_time")
    rows = [("key", made.api_key.name), ("secret", made.secret), ("old until", until or "now")]
    session.show(made, [*rows, ("", "Keep the secret now: it can't be read again.")])


@keys.command("revoke")
@calling
def revoke_key(
    session: Session,
    key: Annotated[str, typer.Argument(help="Id of the key.", metavar="ID")],
    tenant: TenantOption = "-",
) -> None:
    """Revoke a key: it is refused everywhere within 5 s."""
    with session.client() as client:
        revoked = client.revoke_key(key, tenant=tenant)
    session.show(revoked, [("key", revoked.name), ("state", "revoked")])


@calling
def token(
    session: Session,
    expires: Annotated[
        str, typer.Option("--expires", help="When it ends: in 90s, 15m, 1h or 7d, or a time, RFC 3339.", metavar="WHEN")
    ] = "1h",
    collection: Annotated[
        list[str],
        typer.Option("--collection", "-c", help="A collection that it reaches; all if left out.", metavar="ID"),
    ] = [],  # noqa: B006 - typer copies it
    filter: Annotated[str, typer.Option("--filter", help="An AIP-160 filter that all it reads must match.")] = "",
    reader: Annotated[
        list[str], typer.Option("--reader", help="A reader whose documents it may see.", metavar="NAME")
    ] = [],  # noqa: B006 - typer copies it
    role: Annotated[str, typer.Option("--role", help="user (reads) or service (writes too).")] = "user",
    rate: Annotated[float | None, typer.Option("--rate", help="Requests a second at most.", min=0.001)] = None,
) -> None:
    """Make a scoped token of the profile's key, here, without asking the platform, and print it."""
    if role not in {"user", "service"}:
        raise usage(f"--role {role}: not user or service")
    made = scoped_token(
        session.key, expire=_seconds("--expires", expires) if _DURATION.fullmatch(expires) else expires,
        collections=collection or None, filter=filter, readers=reader or None, rate=rate,
        role=role,  # type: ignore[arg-type]  # checked above
    )  # fmt: skip
    if session.as_json:
        print_json({"token": made})
    else:
        sys.stdout.write(made + "\n")


def _seconds(option: str, text: str) -> float:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise usage(f"{option} {text}: not a duration such as 90s, 15m, 1h or 7d")
    return int(found[1]) * _UNITS[found[2]]


def _created_rows(made: CreateApiKeyResponse) -> list[tuple[str, str]]:
    return [
        ("key", made.api_key.name),
        ("role", _role(made.api_key)),
        ("secret", made.secret),
        ("", "Keep the secret now: it can't be read again."),
    ]


def _role(key: ApiKey) -> str:
    return ApiKey.Role.Name(key.role).removeprefix("ROLE_").removeprefix("TENANT_").lower()


def _time(key: ApiKey, field: str) -> str:
    return getattr(key, field).ToDatetime().strftime("%Y-%m-%d %H:%M:%SZ") if key.HasField(field) else ""
