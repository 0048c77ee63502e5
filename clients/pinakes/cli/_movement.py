# SPDX-License-Identifier: Apache-2.0
"""`pinakes load` and `pinakes export`: documents from and to objects that the platform reaches, or to a file here."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from pinakes.cli._compressed import opened
from pinakes.cli._failures import PARTIAL, Failure
from pinakes.cli._operations import RequestId, Wait, follow
from pinakes.cli._session import CollectionOption, Session, TenantOption, calling, usage
from pinakes.client import _names
from pinakes.v1.operations_pb2 import ImportDocumentsResponse
from pinakes.v1.resources_pb2 import Document

_TEXTS = ("title", "body", "language", "source_uri")
_SHOWN_EVERY = 500
Compressed = Annotated[
    str, typer.Option("--compression", help="none, gzip or zstd; else by the ending .gz or .zst.", metavar="NAME")
]


@calling
def load(
    session: Session,
    uri: Annotated[str, typer.Argument(help="s3://bucket/{tenant}/… or file:///name.", metavar="URI")],
    compression: Compressed = "",
    wait: Wait = True,
    request_id: RequestId = "",
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Let the platform import an object: rows as `pinakes import` takes them. For a file on this machine use that.

    Rows that fail don't stop the others: the first hundred are told with their lines, and then the exit code is 3.
    """
    if "://" not in uri:
        raise usage(f"{uri} is no URI; `pinakes import {uri}` sends a file of this machine")
    with session.client() as client:
        started = client.import_documents(
            uri, collection=collection, tenant=tenant, compression=compression, request_id=request_id
        )
        ended = follow(session, client, started, wait=wait)
    if isinstance(ended.response, ImportDocumentsResponse) and ended.response.failed_count:
        raise typer.Exit(PARTIAL)


@calling
def export(
    session: Session,
    to: Annotated[
        str, typer.Argument(help="A file, `-` for stdout, or s3://bucket/{tenant}/… or file:///name.", metavar="TO")
    ],
    filter: Annotated[str, typer.Option("--filter", "-f", help="AIP-160, as in `search`; empty is all.")] = "",
    compression: Compressed = "",
    wait: Wait = True,
    request_id: RequestId = "",
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Write documents as JSON Lines that `pinakes import` and `load` take.

    To a URI the platform writes by itself, which is much faster; a file of this machine is written here, plain, .gz or .zst.
    """
    if "://" in to:
        with session.client() as client:
            started = client.export_documents(
                to,
                collection=collection,
                tenant=tenant,
                filter=filter,
                compression=compression,
                request_id=request_id,
            )
            follow(session, client, started, wait=wait)
        return
    if compression or request_id or not wait:
        raise usage(
            "a file of this machine is written at once, compressed by its ending; the other options are for URIs"
        )
    count = _write_here(session, to, filter, collection, tenant)
    if to != "-":
        session.done(f"{count:,} documents written to {to}", documents=str(count), file=to)


def _write_here(session: Session, to: str, filter: str, collection: str, tenant: str) -> int:
    """Write the documents to a file of this machine, and return how many they are."""
    count = 0
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} documents"), TimeElapsedColumn())
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
        _open(to) as file,
        session.client() as client,
    ):
        bar = progress.add_task("", total=None)
        for document in client.list_documents(collection=collection, tenant=tenant, filter=filter):
            file.write(json.dumps(row(document), ensure_ascii=False).encode() + b"\n")
            count += 1
            if count % _SHOWN_EVERY == 0:
                progress.update(bar, completed=count)
    return count


@contextmanager
def _open(to: str) -> Iterator[IO[bytes]]:
    """Open what is written to; a file gets its name when it is complete."""
    if to == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(to)
    partial = path.with_name(f".{path.name}.part")
    try:
        with partial.open("wb") as raw, opened(raw, to, "wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise Failure("FILE_UNWRITABLE", f"{to}: {error.strerror}", "check path and free space") from error
    finally:
        partial.unlink(missing_ok=True)


def row(document: Document) -> dict[str, Any]:
    """Return a document as a row: its id and what is set of what a caller writes."""
    made: dict[str, Any] = {"id": _names.last(document.name)}
    made |= {name: text for name in _TEXTS if (text := getattr(document, name))}
    made |= {name: list(values) for name in ("tags", "readers") if (values := getattr(document, name))}
    if document.attributes.fields:
        made["attributes"] = MessageToDict(document.attributes)
    if document.HasField("expire_time"):
        made["expire_time"] = document.expire_time.ToJsonString()
    return made
