# SPDX-License-Identifier: Apache-2.0
"""Options of searches for tests of the query compilers."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format

from pinakes.core.query.options import Options, encoded, options_of
from pinakes.core.tenancy.models import CollectionRecord, SlotRecord
from pinakes.v1 import ranking_pb2

ATTRIBUTES = (
    SlotRecord(name="stars", type="number", slot="num_00"),
    SlotRecord(name="published", type="time", slot="time_00"),
    SlotRecord(name="abstract", type="text", slot="text_00"),
    SlotRecord(name="kind", type="string", slot="kw_00"),
)


def record(languages: tuple[str, ...] = ("en",), **settings: Any) -> CollectionRecord:
    """Return a collection whose search settings are these, as in JSON."""
    search = encoded(json_format.ParseDict(settings, ranking_pb2.SearchSettings())) if settings else ""
    return CollectionRecord(
        tenant_uid="t", collection_id="c", uid="c", languages=languages, attributes=ATTRIBUTES, search=search
    )


def options(
    languages: tuple[str, ...] = ("en",), *, matching: int = 0, ranking: dict[str, Any] | None = None, **settings: Any
) -> Options:
    """Return the options of a search in such a collection."""
    asked = json_format.ParseDict(ranking, ranking_pb2.Ranking()) if ranking is not None else None
    return options_of(record(languages, **settings), matching=matching, ranking=asked)
