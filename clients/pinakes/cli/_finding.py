# SPDX-License-Identifier: Apache-2.0
"""`pinakes get`, `put`, `delete`, `undelete`: documents one by one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from pinakes.cli._failures import Failure
from pinakes.cli._searching import Fields
from pinakes.cli._session import (
    CollectionOption,
    Session,
    TenantOption,
    calling,
    console,
    plain,
    printable,
    usage,
)
from pinakes.client import _names

Mode = Annotated[
    str,
    typer.Option(
        "--mode", help="accepted: on the platform's disk; applied; or searchable: wait until searches see it."
    ),
]


@calling
def get(
    session: Session,
    document: Annotated[str, typer.Argument(help="Id of the document.", metavar="ID")],
    fields: Fields = "",
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Read a document as it was last written."""
    with session.client() as client:
        found = client.get_document(
            document, collection=collection, tenant=tenant, read_mask=[fields] if fields and fields != "*" else ()
        )
    rows = [
        ("document", found.name),
        ("title", found.title),
        ("tags", ", ".join(found.tags)),
        ("language", found.language),
        ("readers", ", ".join(found.readers)),
        ("source", found.source_uri),
        (
            "attributes",
            json.dumps(plain(found).get("attributes", {}), ensure_ascii=False) if found.HasField("attributes") else "",
        ),
        ("updated", found.update_time.ToJsonString() if found.HasField("update_time") else ""),
        ("etag", found.etag),
    ]
    session.show(found, rows)
    if found.body and not session.as_json:
        console().print("\n" + escape(printable(found.body)), soft_wrap=True)


@calling
def put(
    session: Session,
    document: Annotated[str, typer.Argument(help="Id of the document; else that in FILE.", metavar="ID")] = "",
    file: Annotated[
        str, typer.Option("--file", help="The document as a JSON object; `-` is stdin.", metavar="FILE")
    ] = "",
    title: Annotated[str, typer.Option("--title", help="Title.")] = "",
    body: Annotated[str, typer.Option("--body", help="Text; `-` reads stdin.")] = "",
    tag: Annotated[list[str], typer.Option("--tag", help="A tag.")] = [],  # noqa: B006 - typer copies it
    mode: Mode = "",
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Write a document whole, whether it exists or not."""
    made = _read_document(file) if file else {}
    if document:
        made = {**{name: value for name, value in made.items() if name != "name"}, "id": document}
    if not (made.get("id") or made.get("name")):
        raise usage("which document? give its ID, or a FILE that has an id")
    given: dict[str, Any] = {"title": title, "body": sys.stdin.read() if body == "-" else body, "tags": tag}
    made |= {name: value for name, value in given.items() if value}
    with session.client() as client:
        written = client.put_document(made, collection=collection, tenant=tenant, mode=mode)
    session.show(written, [("document", written.name), ("etag", written.etag)])


@calling
def delete(
    session: Session,
    document: Annotated[str, typer.Argument(help="Id of the document.", metavar="ID")],
    etag: Annotated[str, typer.Option("--etag", help="Only if this is the current etag.")] = "",
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Succeed if there is none; mode accepted needs it.")
    ] = False,
    mode: Mode = "",
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Delete a document. `pinakes undelete` brings it back within seven days."""
    with session.client() as client:
        client.delete_document(
            document, collection=collection, tenant=tenant, etag=etag, allow_missing=allow_missing, mode=mode
        )
    name = _names.document(document, collection, tenant)
    session.done(f"deleted {name}", deleted=name)


@calling
def undelete(
    session: Session,
    document: Annotated[str, typer.Argument(help="Id of the document.", metavar="ID")],
    mode: Mode = "",
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Bring a deleted document back as it was."""
    with session.client() as client:
        back = client.undelete_document(document, collection=collection, tenant=tenant, mode=mode)
    session.show(back, [("document", back.name), ("title", back.title), ("etag", back.etag)])


def _read_document(file: str) -> dict[str, Any]:
    try:
        content = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text("utf-8"))
    except OSError as error:
        raise Failure("FILE_UNREADABLE", f"{file}: {error.strerror}", "check the path") from error
    except ValueError as error:
        raise Failure("FILE_UNREADABLE", f"{file}: {error}", "give one JSON object") from error
    if not isinstance(content, dict):
        raise Failure("FILE_UNREADABLE", f"{file}: not a JSON object", "give one JSON object")
    return content
