# SPDX-License-Identifier: Apache-2.0
"""`pinakes settings`: how a collection is searched, as a file or by one pin or synonym at a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from pinakes.cli._failures import Failure
from pinakes.cli._session import CollectionOption, Session, TenantOption, calling, plain, print_json, usage
from pinakes.client import _documents
from pinakes.v1.ranking_pb2 import Curation, SearchSettings, Synonym
from pinakes.v1.resources_pb2 import Collection

settings = typer.Typer(
    no_args_is_help=True,
    help="How a collection is searched: ranking, synonyms, stop words, pins and hides. Changes are in force at once.",
)

Prefix = Annotated[bool, typer.Option("--prefix", help="For every query that begins with these words.")]
Documents = Annotated[list[str], typer.Argument(help="Ids of documents.", metavar="ID…")]
CuratedQuery = Annotated[str, typer.Argument(help="The query that it is for.", metavar="QUERY")]


@settings.command("get")
@calling
def get(session: Session, collection: CollectionOption = "default", tenant: TenantOption = "-") -> None:
    """Print the settings as JSON, as `settings set` reads them."""
    with session.client() as client:
        found = client.get_collection(collection, tenant=tenant)
    _print(session, found)


@settings.command("set")
@calling
def set_(
    session: Session,
    file: Annotated[str, typer.Argument(help="The settings as a JSON object; `-` is stdin.", metavar="FILE")],
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Replace the settings by those in a file."""
    made = _read(file)

    def replace(current: SearchSettings) -> None:
        current.CopyFrom(made)

    _change(session, collection, tenant, "search", replace)


@settings.command("pin")
@calling
def pin(
    session: Session,
    query: CuratedQuery,
    documents: Documents,
    prefix: Prefix = False,
    until: Annotated[str, typer.Option("--until", help="When it ceases to hold, RFC 3339.", metavar="TIME")] = "",
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Show documents first for a query, in this order, instead of those that were pinned for it."""
    end = _documents.timestamp(until) if until else None

    def change(current: SearchSettings) -> None:
        found = _curation(current, query, prefix=prefix)
        found.ClearField("pins")
        found.pins.extend(documents)
        found.end_time.CopyFrom(end) if end else found.ClearField("end_time")

    _change(session, collection, tenant, "search.curations", change)


@settings.command("hide")
@calling
def hide(
    session: Session,
    query: CuratedQuery,
    documents: Documents,
    prefix: Prefix = False,
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Don't show documents for a query, beside those that are hidden for it already."""

    def change(current: SearchSettings) -> None:
        found = _curation(current, query, prefix=prefix)
        found.hides.extend(name for name in documents if name not in found.hides)

    _change(session, collection, tenant, "search.curations", change)


@settings.command("uncurate")
@calling
def uncurate(
    session: Session,
    query: CuratedQuery,
    prefix: Prefix = False,
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Take back the pins and hides of a query."""

    def change(current: SearchSettings) -> None:
        kept = [one for one in current.curations if not _is_of(one, query, prefix=prefix)]
        if len(kept) == len(current.curations):
            raise usage(f"nothing is pinned or hidden for {query!r}{' --prefix' if prefix else ''}")
        current.ClearField("curations")
        current.curations.extend(kept)

    _change(session, collection, tenant, "search.curations", change)


@settings.command("synonym")
@calling
def synonym(
    session: Session,
    words: Annotated[list[str], typer.Argument(help="Words, or groups such as 'new york'.", metavar="WORDS…")],
    means: Annotated[
        list[str], typer.Option("--means", help="One way: the words find this too, and it doesn't find them.")
    ] = [],  # noqa: B006 - typer copies it
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Add words that mean the same: each finds the others, or, with --means, only those."""

    def change(current: SearchSettings) -> None:
        current.synonyms.append(Synonym(words=words, means=means))

    _change(session, collection, tenant, "search.synonyms", change)


@settings.command("remove-synonym")
@calling
def remove_synonym(
    session: Session,
    word: Annotated[str, typer.Argument(help="A word of it.", metavar="WORD")],
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Take back the synonyms that have a word."""

    def change(current: SearchSettings) -> None:
        kept = [one for one in current.synonyms if word not in one.words]
        if len(kept) == len(current.synonyms):
            raise usage(f"{word!r} has no synonyms")
        current.ClearField("synonyms")
        current.synonyms.extend(kept)

    _change(session, collection, tenant, "search.synonyms", change)


def _change(
    session: Session, collection: str, tenant: str, path: str, change: Callable[[SearchSettings], None]
) -> None:
    with session.client() as client:
        current = client.get_collection(collection, tenant=tenant)
        # The etag makes this safe: what somebody changed between the two calls is not overwritten.
        wanted = Collection(name=current.name, etag=current.etag, search=current.search)
        change(wanted.search)
        _print(session, client.update_collection(wanted, [path]))


def _print(session: Session, collection: Collection) -> None:
    if session.as_json:
        print_json(plain(collection.search))
        return
    made = MessageToDict(collection.search, preserving_proto_field_name=True)
    sys.stdout.write(json.dumps(made, ensure_ascii=False, indent=2) + "\n")


def _curation(current: SearchSettings, query: str, *, prefix: bool) -> Curation:
    """Return the curation of a query, a new one if there is none."""
    for one in current.curations:
        if _is_of(one, query, prefix=prefix):
            return one
    match = Curation.MATCH_PREFIX if prefix else Curation.MATCH_EXACT
    return current.curations.add(query=query, match=match)


def _is_of(curation: Curation, query: str, *, prefix: bool) -> bool:
    same = " ".join(curation.query.lower().split()) == " ".join(query.lower().split())
    return same and (curation.match == Curation.MATCH_PREFIX) == prefix


def _read(file: str) -> SearchSettings:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
        return ParseDict(json.loads(text), SearchSettings())
    except OSError as error:
        raise Failure("FILE_UNREADABLE", f"{file}: {error.strerror}", "check the path") from error
    except (ValueError, ParseError) as error:
        advice = "give one JSON object, as `pinakes settings get` prints it"
        raise Failure("FILE_UNREADABLE", f"{file}: {error}", advice) from error
