# SPDX-License-Identifier: Apache-2.0
"""The quick way of usual documents into bodies, by the compiled part where it was built; all others go through `documents.py`.

Of what a written document costs the index server, looking through it and compiling it in Python were nine tenths
(docs/decisions/0009). The compiled part answers only for what it is sure of.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from pinakes.core.engine import mapping, tokens
from pinakes.core.engine.documents import Owner, prefix_of, revision_ms, revision_us
from pinakes.core.engine.revisions import STEP
from pinakes.core.query.languages import language_of
from pinakes.core.query.schema import language_field
from pinakes.core.query.words import title_key, words_of
from pinakes.core.rpc import names
from pinakes.core.times import parse_time_ms
from pinakes.core.writing.changes import Change

try:
    from pinakes.core.engine import native
except ImportError:  # there was no compiler when this was installed
    native = None  # type: ignore[assignment]  # looked at before it is used

if TYPE_CHECKING:
    from pinakes.core.engine.native import Plan
    from pinakes.core.settings import Limits
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.v1 import resources_pb2

BUILT = native is not None


def compiler_of(owner: Owner, collection: CollectionRecord, limits: Limits) -> Compiler | None:
    """Return what compiles the usual documents of a collection, or None where the compiled part isn't built."""
    if not BUILT:
        return None
    prefixes = tuple(prefix.encode() for prefix in names.document_prefixes(owner.tenant_id, owner.collection_id))
    return Compiler(_plan(owner, collection, limits.document_bytes, limits.attributes), prefixes)


class Compiler:
    """Compiles documents that nobody has checked yet."""

    __slots__ = ("_plan", "_prefixes")

    def __init__(self, plan: Plan, prefixes: tuple[bytes, ...]) -> None:
        """Compile by this plan; the names of the collection's documents begin with one of `prefixes`."""
        self._plan = plan
        self._prefixes = prefixes

    def __call__(self, document: resources_pb2.Document, document_id: str, revision: int) -> Change | None:
        """Return the change that writes a document, created at its revision, whatever is there.

        None means nothing but that this can't tell: it may be right or wrong.
        """
        made = self._plan.compile(document.SerializeToString(), document_id, revision, revision_ms(revision))
        return None if made is None else Change(document_id, revision, made[0], made[1], size=made[2])

    def all(self, message: bytes, field: int, first: int) -> list[Change | None]:
        """Return the changes of all writes in a repeated field of a message, as it came: the first at a revision, each at its own.

        None says of a write what it says of a document; a message that can't be read has no writes at all.
        """
        made = self._plan.compile_all(message, field, self._prefixes, first, STEP, revision_us(first)) or []
        return [None if one is None else Change._make(one) for one in made]


def all_plain(message: bytes, field: int) -> bool:
    """Tell whether all writes in a repeated field of a message, as it came, are sure to keep the contract's constraints."""
    return BUILT and native.all_plain(message, field)


def framed(field: int, position: int, change: Change) -> bytes | None:
    """Return a change as the `Write` in a repeated field of a queue's entry, or None where the compiled part isn't built."""
    if not BUILT:
        return None
    return native.framed(
        field, change.document_id, change.revision, change.data, change.content_hash, position, change.retries
    )


@lru_cache(maxsize=64)
def _plan(owner: Owner, collection: CollectionRecord, largest: int, most: int) -> Plan:
    """Return how the documents of a collection are compiled."""
    languages = collection.languages
    common = {"v": mapping.FORMAT, "tenant": owner.tenant_uid, "collection": owner.collection_uid, "id": ""}
    return native.Plan(
        b"," + orjson.dumps(common)[1:-2],
        prefix_of(owner.tenant_uid, owner.collection_uid),
        {a.name: (a.type, a.slot.encode()) for a in collection.attributes},
        languages[0].encode() if len(languages) == 1 else None,
        largest,
        most,
        fields=language_field,
        detect=lambda title, body: language_of(title, body, languages),
        words=words_of,
        key=title_key,
        token=tokens.token,
        presence=tokens.presence,
        time=parse_time_ms,
    )
