# SPDX-License-Identifier: Apache-2.0
"""Searches made of plain Python values: the options that every call of SearchService takes, and what they become."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict, Unpack

from pinakes.client import _names
from pinakes.client._calls import mask
from pinakes.v1.facets_pb2 import Facet
from pinakes.v1.ranking_pb2 import Matching, Ranking, Typos
from pinakes.v1.search_pb2 import Highlight, SearchRequest

FacetLike = Facet | str
RankingLike = Ranking | Mapping[str, Any]
HighlightLike = Highlight | bool | Iterable[str]

_ATTRIBUTES = "attributes."
# Fields of a document itself; everything else that a facet or collapse names is an attribute.
_FIELDS = frozenset({"tags", "language", "create_time", "update_time"})
_MATCHING = {
    "": Matching.MATCHING_UNSPECIFIED,
    "most": Matching.MATCHING_MOST,
    "all": Matching.MATCHING_ALL,
    "any": Matching.MATCHING_ANY,
}
_CALENDAR: dict[str, Any] = {
    name.removeprefix("CALENDAR_").lower(): number for name, number in Facet.Calendar.items() if number
}
_NUMBER = re.compile(r"\d+(\.\d+)?")


class SearchOptions(TypedDict, total=False):
    """What a search may say beside its query.

    filter: AIP-160, `tags:asyncio AND attributes.kind = "function"`.
    order_by: `update_time desc, attributes.price`; empty means by relevance.
    read_mask: fields to return; empty means all but `body`, `*` all.
    matching: `most`, `all` or `any` of the words; empty means the collection's setting.
    typos: whether typing errors are tolerated; None means the collection's setting.
    ranking: what counts how much, part by part instead of the collection's: `{"title": 5}`.
    languages: languages in which the query is read, of those the collection has.
    facets: what to count: fields, or text such as `kind`, `price:0..10,10..`, `price:5` (steps), `create_time:month`.
    highlight: passages with the words found: True for title and body, or the fields.
    collapse: attribute of whose values only the best document each is returned.
    explain: say of every result why it is there.
    without_curation: leave pins and hides aside.
    """

    filter: str
    order_by: str
    read_mask: Iterable[str]
    matching: str
    typos: bool | None
    ranking: RankingLike | None
    languages: Iterable[str]
    facets: Iterable[FacetLike]
    highlight: HighlightLike
    collapse: str
    explain: bool
    without_curation: bool


def search_request(
    query: str = "",
    *,
    collection: str = "",
    tenant: str = _names.MINE,
    page_size: int = 0,
    page_token: str = "",
    **options: Unpack[SearchOptions],
) -> SearchRequest:
    """Make a search, for `batch_search`; the arguments are those of `search`, and the collection is the batch's if empty.

    Raises:
        ValueError: a matching, facet or ranking that can't be read.
    """
    ranking = options.get("ranking")
    try:
        weights = ranking if ranking is None or isinstance(ranking, Ranking) else Ranking(**ranking)
    except (TypeError, ValueError) as error:
        message = f"ranking: {error}"
        raise ValueError(message) from error
    return SearchRequest(
        parent=_names.collection(collection, tenant) if collection else "",
        query=query,
        filter=options.get("filter", ""),
        order_by=options.get("order_by", ""),
        page_size=page_size,
        page_token=page_token,
        read_mask=mask(options.get("read_mask", ())),
        matching=matching_number(options.get("matching", "")),
        typos=typos_number(options.get("typos")),
        ranking=weights,
        languages=_texts(options.get("languages", ())),
        facets=[facet(given) for given in options.get("facets", ())],
        highlight=_highlight(options.get("highlight", False)),
        collapse=attribute_name(options.get("collapse", "")),
        explain=options.get("explain", False),
        without_curation=options.get("without_curation", False),
    )


def facet(given: FacetLike) -> Facet:
    """Take a facet as it is, or read it from `FIELD`, `FIELD:FROM..TO,…`, `FIELD:STEP` or `FIELD:day`.

    A field that isn't a document's own is an attribute, with or without `attributes.`.
    Raises ValueError for anything else.
    """
    if isinstance(given, Facet):
        return given
    field, separator, how = given.partition(":")
    made = Facet(field=attribute_name(field))
    if not separator:
        return made
    if how in _CALENDAR:
        made.calendar = _CALENDAR[how]
    elif _NUMBER.fullmatch(how):
        made.interval = float(how)
    elif how and all(".." in part for part in how.split(",")):
        for part in how.split(","):
            lower, _, upper = part.partition("..")
            made.ranges.add(**{"from": lower, "to": upper})
    else:
        known = ", ".join(_CALENDAR)
        message = f"{given!r}: after the colon come ranges (0..10,10..), the width of steps (5), or one of {known}"
        raise ValueError(message)
    return made


def matching_number(name: str) -> Matching:
    """Return the number of a matching, `most`, `all` or `any`; empty means the collection's. Raises ValueError."""
    if name not in _MATCHING:
        message = f"matching is most, all or any, not {name!r}"
        raise ValueError(message)
    return _MATCHING[name]


def typos_number(tolerated: bool | None) -> Typos:
    """Return what is said of typing errors; None means the collection's setting."""
    if tolerated is None:
        return Typos.TYPOS_UNSPECIFIED
    return Typos.TYPOS_TOLERATED if tolerated else Typos.TYPOS_REFUSED


def attribute_name(field: str) -> str:
    """Return a field as the contract names it: with `attributes.` unless it is a document's own."""
    return field if not field or field in _FIELDS or field.startswith(_ATTRIBUTES) else _ATTRIBUTES + field


def _highlight(given: HighlightLike) -> Highlight | None:
    if isinstance(given, Highlight):
        return given
    if isinstance(given, bool):
        return Highlight() if given else None
    return Highlight(fields=_texts(given))


def _texts(given: Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)
