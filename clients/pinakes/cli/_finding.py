# SPDX-License-Identifier: Apache-2.0
"""`pinakes search`, `get`, `put`, `delete`: documents one by one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from pinakes.cli._failures import Failure
from pinakes.cli._session import (
    CollectionOption,
    Session,
    TenantOption,
    calling,
    console,
    plain,
    print_json,
    print_table,
    printable,
    usage,
)
from pinakes.client import _names
from pinakes.v1.resources_pb2 import Document
from pinakes.v1.search_pb2 import SearchResponse, SearchResult

_PAGE = 50
Fields = Annotated[
    str, typer.Option("--fields", help="Fields to read, separated by commas; `*` for all.", metavar="A,B")
]
Mode = Annotated[
    str,
    typer.Option(
        "--mode", help="accepted: on the platform's disk; applied; or searchable: wait until searches see it."
    ),
]


@calling
def search(
    session: Session,
    query: Annotated[str, typer.Argument(help='Words, "phrases", -exclusions; empty finds all.', metavar="QUERY")] = "",
    filter: Annotated[
        str, typer.Option("--filter", "-f", help='AIP-160: tags:asyncio AND attributes.kind = "function".')
    ] = "",
    order: Annotated[
        str, typer.Option("--order", "-o", help="`update_time desc, attributes.price`; else by relevance.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", help="Results at most.", min=1)] = 10,
    page_token: Annotated[str, typer.Option("--page-token", help="Go on after the page that ended with it.")] = "",
    fields: Fields = "",
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Search the documents of a collection."""
    found = SearchResponse(next_page_token=page_token)
    results: list[SearchResult] = []
    with session.client() as client:
        # The page size is what is asked for, so that the token of the last page goes on exactly where this ends.
        while len(results) < limit:
            found = client.search(
                query,
                collection=collection,
                tenant=tenant,
                filter=filter,
                order_by=order,
                page_size=min(limit - len(results), _PAGE),
                page_token=found.next_page_token,
                read_mask=[fields] if fields else (),
            )
            results += found.results
            if not found.next_page_token or not found.results:
                break
    if session.as_json:
        answer = plain(found) | {"results": [plain(result) for result in results]}
        print_json({"total_size": "0"} | answer)
        return
    if results:
        print_table(("TITLE", "SCORE", "ID", "TAGS"), [_row(result) for result in results])
    total = f"{'more than ' if found.total_size_capped else ''}{found.total_size:,}"
    sys.stderr.write(f"{len(results)} of {total} documents, {found.took.ToMilliseconds()} ms\n")
    if found.next_page_token:
        sys.stderr.write(f"go on with --page-token {found.next_page_token}\n")


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


def _row(result: SearchResult) -> tuple[str, str, str, str]:
    document: Document = result.document
    score = f"{result.score:.3f}" if result.score else ""
    return " ".join(document.title.split()), score, _names.last(document.name), ", ".join(document.tags)


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
