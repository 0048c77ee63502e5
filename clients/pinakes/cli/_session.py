# SPDX-License-Identifier: Apache-2.0
"""What every command that calls the platform has in common: the options that say where, and the form of the output."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, ParamSpec

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pinakes.cli._failures import Failure
from pinakes.cli._profiles import Profile, resolve
from pinakes.client import AsyncClient, Client, Tls

Arguments = ParamSpec("Arguments")
_PANEL = "Connection and output"
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "profile": (
        Annotated[str, typer.Option("--profile", help="Profile to use.", metavar="NAME", rich_help_panel=_PANEL)],
        "",
    ),
    "endpoint": (
        Annotated[
            str,
            typer.Option(
                "--endpoint",
                help="Where the platform is (PINAKES_ENDPOINT).",
                metavar="HOST:PORT",
                rich_help_panel=_PANEL,
            ),
        ],
        "",
    ),
    "seconds": (
        Annotated[float, typer.Option("--timeout", help="Seconds each call has.", min=0.001, rich_help_panel=_PANEL)],
        10.0,
    ),
    "admin_reason": (
        Annotated[
            str,
            typer.Option(
                "--admin-reason",
                help="Why an administrator acts in a tenant's data; it is audited.",
                metavar="TEXT",
                envvar="PINAKES_ADMIN_REASON",
                rich_help_panel=_PANEL,
            ),
        ],
        "",
    ),
    "as_json": (
        Annotated[bool, typer.Option("--json", help="Print JSON, for machines.", rich_help_panel=_PANEL)],
        False,
    ),
}
TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant's id; `-` is the key's own.", metavar="ID")]
CollectionOption = Annotated[str, typer.Option("--collection", "-c", help="The collection's id.", metavar="ID")]


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a command: where it calls, and how it prints."""

    profile: str
    endpoint: str
    seconds: float
    admin_reason: str
    as_json: bool

    @property
    def where(self) -> str:
        """The endpoint of the chosen profile."""
        return resolve(self.profile, self.endpoint).endpoint

    @property
    def key(self) -> str:
        """The key of the chosen profile; empty for none."""
        return resolve(self.profile, self.endpoint).key

    def client(self) -> Client:
        """Make the blocking client of the chosen profile."""
        where = resolve(self.profile, self.endpoint)
        return Client(
            where.endpoint, key=where.key or None, tls=_tls(where), timeout=self.seconds, admin_reason=self.admin_reason
        )

    def async_client(self) -> AsyncClient:
        """Make the asynchronous client of the chosen profile."""
        where = resolve(self.profile, self.endpoint)
        return AsyncClient(
            where.endpoint, key=where.key or None, tls=_tls(where), timeout=self.seconds, admin_reason=self.admin_reason
        )

    def show(self, message: Message, rows: Iterable[tuple[str, str]]) -> None:
        """Print one resource: a message as JSON, or its rows for people."""
        if self.as_json:
            print_json(plain(message))
            return
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in rows:
            if value:
                table.add_row(name, escape(printable(value)))
        console().print(table)

    def show_all(
        self, messages: Iterable[Message], columns: Sequence[str], row: Callable[[Any], Sequence[str]], nothing: str
    ) -> None:
        """Print resources: JSON Lines as they come, or a table for people."""
        if self.as_json:
            for message in messages:
                print_json(plain(message))
            return
        rows = [row(message) for message in messages]
        if rows:
            print_table(columns, rows)
        else:
            sys.stderr.write(f"{nothing}\n")

    def done(self, what: str, **details: str) -> None:
        """Say that a change without an answer of its own was done."""
        if self.as_json:
            print_json(details)
        else:
            sys.stdout.write(f"{what}\n")


def calling(command: Callable[Concatenate[Session, Arguments], None]) -> Callable[..., None]:
    """Give a command the options of every call, and the Session made of them as its first argument."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _OPTIONS.items()
    ]

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        session = Session(*(kwargs.pop(name) for name in _OPTIONS))
        command(session, *args, **kwargs)

    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    run.__signature__ = inspect.Signature([*keyword, *common])  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*keyword, *common]}
    del run.__wrapped__  # or typer would read the signature of what is wrapped
    return run


def console() -> Console:
    """Make a console of the present stdout; the colours go when it isn't a terminal."""
    return Console(highlight=False, soft_wrap=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table for people; cut at the terminal's width, or not at all in a pipe."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="ellipsis", justify="right" if column == "SCORE" else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    target = console()
    if not target.is_terminal:
        target.width = 10_000
    target.print(table)


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def plain(message: Message) -> dict[str, Any]:
    """Return a message as JSON has it, with the names of the contract."""
    made: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return made


def printable(text: str) -> str:
    """Take control characters out of text of the platform's, so that no document can drive the terminal."""
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)


def _tls(where: Profile) -> bool | Tls | None:
    if where.ca_file and where.tls != "off":
        return Tls(ca_file=where.ca_file)
    return {"on": True, "off": False}.get(where.tls)


def usage(message: str) -> Failure:
    """Make the failure of arguments that make no sense together."""
    return Failure("USAGE", message, "see --help", 2)
