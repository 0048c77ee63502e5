# SPDX-License-Identifier: Apache-2.0
"""The limits by name, and which of them a call is under."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Limit(StrEnum):
    """The name of a limit, as it is set, told in errors and counted in metrics."""

    REQUESTS = "requests_per_second"
    CONCURRENT = "concurrent_requests"
    SEARCH_COST = "search_cost_per_second"
    DOCUMENTS_RATE = "documents_per_second"
    BYTES_RATE = "bytes_per_second"
    DOCUMENTS = "documents"
    BYTES = "bytes"
    COLLECTIONS = "collections"
    KEYS = "keys"


@dataclass(frozen=True, slots=True)
class Words:
    """How a limit is spoken of: the reason of its refusal, its unit, and what there is too much of."""

    reason: str
    unit: str
    what: str


WORDS = {
    Limit.REQUESTS: Words("RATE_LIMIT_EXCEEDED", "requests/s", "requests a second"),
    Limit.CONCURRENT: Words("CONCURRENCY_LIMIT_EXCEEDED", "requests", "requests at once"),
    Limit.SEARCH_COST: Words("SEARCH_COST_EXCEEDED", "cost/s", "units of search cost a second"),
    Limit.DOCUMENTS_RATE: Words("INGEST_RATE_EXCEEDED", "documents/s", "documents a second"),
    Limit.BYTES_RATE: Words("INGEST_RATE_EXCEEDED", "bytes/s", "bytes a second"),
    Limit.DOCUMENTS: Words("DOCUMENTS_EXHAUSTED", "documents", "documents"),
    Limit.BYTES: Words("BYTES_EXHAUSTED", "bytes", "bytes of documents"),
    Limit.COLLECTIONS: Words("COLLECTIONS_EXHAUSTED", "collections", "collections"),
    Limit.KEYS: Words("KEYS_EXHAUSTED", "keys", "keys"),
}


class Kind(Enum):
    """What a call does, as far as limits care."""

    OTHER = "other"
    SEARCH = "search"
    WRITE = "write"


_SEARCH, _INDEX = "/pinakes.v1.SearchService/", "/pinakes.v1.IndexService/"
# Calls that aren't here cost a request and nothing else; so do deletions by name, which always work.
KINDS = {
    **{
        _SEARCH + rpc: Kind.SEARCH
        for rpc in (
            "Search", "BatchSearch", "Suggest", "CountDocuments", "ExplainDocument", "GetSearchInsights",
        )
    },
    # They have the engine search by any filter; a purge looks for what it deletes.
    **{_INDEX + rpc: Kind.SEARCH for rpc in ("ListDocuments", "PurgeDocuments")},
    **{
        _INDEX + rpc: Kind.WRITE
        for rpc in (
            "CreateDocument", "UpdateDocument", "UndeleteDocument", "BatchWriteDocuments", "StreamWriteDocuments",
        )
    },
}  # fmt: skip
_BY_NAME = frozenset(_INDEX + rpc for rpc in ("GetDocument", "BatchGetDocuments"))


def kind_of(method: str, *, filtered: bool) -> Kind:
    """Return what a call does; with `filtered` its caller's credential has a filter, by which reading by name is a search."""
    if filtered and method in _BY_NAME:
        return Kind.SEARCH
    return KINDS.get(method, Kind.OTHER)


RATES_OF = {
    Kind.OTHER: (),
    Kind.SEARCH: (Limit.SEARCH_COST,),
    Kind.WRITE: (Limit.DOCUMENTS_RATE, Limit.BYTES_RATE),
}
"""The rates that are charged when a call is done."""
