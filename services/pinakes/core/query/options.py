# SPDX-License-Identifier: Apache-2.0
"""How one search is done: what its request says, then what its collection says, then the defaults."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from pinakes.core.faults import invalid
from pinakes.core.query.readable import check_readable
from pinakes.core.query.schema import AttributeType, Schema
from pinakes.v1 import ranking_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pinakes.core.tenancy.models import CollectionRecord

MOST, ALL, ANY = ranking_pb2.MATCHING_MOST, ranking_pb2.MATCHING_ALL, ranking_pb2.MATCHING_ANY
TITLE, TAGS, BODY = 3.0, 2.0, 1.0
_WORDS = frozenset({"title", "tags"})
_PARTS = frozenset(part.name for part in ranking_pb2.Ranking.DESCRIPTOR.fields)
_NO_RANKING = ranking_pb2.Ranking()


@dataclass(frozen=True, slots=True)
class Options:
    """How one search is done. `fields` are the engine's text fields with their weights, by the name callers know.

    `freshness` and `boosts` are as callers wrote them, checked when they are compiled; `own` are those parts of the
    ranking that are the collection's. Fields that the caller may not see aren't among `fields`; `hidden` are their names.
    """

    settings: ranking_pb2.SearchSettings
    fields: Mapping[str, tuple[tuple[str, float], ...]]
    languages: tuple[str, ...]
    matching: int = MOST
    typos: bool = True
    freshness: ranking_pb2.Freshness | None = None
    boosts: Sequence[ranking_pb2.Boost] = field(default=())
    own: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()

    @property
    def words_hidden(self) -> bool:
        """Whether the caller may not see the words of titles and tags, of which suggestions and corrections are made."""
        return not self.hidden.isdisjoint(_WORDS)


def search_settings(record: CollectionRecord) -> ranking_pb2.SearchSettings:
    """Return how a collection is searched. The message is shared: it must not be changed."""
    return _decoded(record.search)


def encoded(settings: ranking_pb2.SearchSettings) -> str:
    """Return settings as they are kept in a collection's record."""
    return base64.b64encode(settings.SerializeToString(deterministic=True)).decode()


@lru_cache(maxsize=1024)
def _decoded(text: str) -> ranking_pb2.SearchSettings:
    return ranking_pb2.SearchSettings.FromString(base64.b64decode(text))


@lru_cache(maxsize=1024)
def collection_options(record: CollectionRecord) -> Options:
    """Return how a collection is searched by a request that says nothing of it."""
    settings = search_settings(record)
    return _options(settings, record.schema(), settings.ranking, (), settings.matching, settings.typos, _PARTS)


def options_of(
    record: CollectionRecord,
    *,
    matching: int = 0,
    typos: int = 0,
    ranking: ranking_pb2.Ranking | None = None,
    languages: Sequence[str] = (),
) -> Options:
    """Return how a request is done. Raises a `Fault` for a language or attribute that the collection doesn't have."""
    if not (matching or typos or ranking is not None or languages):
        return collection_options(record)
    settings = search_settings(record)
    merged, own = settings.ranking, _PARTS
    if ranking is not None:
        merged = ranking_pb2.Ranking()
        merged.CopyFrom(settings.ranking)
        _replace(merged, ranking)
        own = _PARTS - {part.name for part, _ in ranking.ListFields()}
    return _options(
        settings, record.schema(), merged, languages, matching or settings.matching, typos or settings.typos, own
    )


def _replace(base: ranking_pb2.Ranking, given: ranking_pb2.Ranking) -> None:
    """Put each part that is given in place of the base's."""
    for part, _ in given.ListFields():
        base.ClearField(part.name)
    base.MergeFrom(given)


def _options(
    settings: ranking_pb2.SearchSettings,
    schema: Schema,
    ranking: ranking_pb2.Ranking,
    languages: Sequence[str],
    matching: int,
    typos: int,
    own: frozenset[str],
) -> Options:
    for place, code in enumerate(languages):
        if code not in schema.languages:
            known = ", ".join(schema.languages)
            raise invalid(f"languages[{place}]", f"the collection has no {code}; it has {known}", "UNKNOWN_LANGUAGE")
    suffixes = schema.text_languages(languages)
    title = ranking.title if ranking.HasField("title") else TITLE
    tags = ranking.tags if ranking.HasField("tags") else TAGS
    body = ranking.body if ranking.HasField("body") else BODY
    fields: dict[str, tuple[tuple[str, float], ...]] = {
        "title": tuple((f"title_{suffix}", title) for suffix in suffixes),
        "tags": (("tags_text", tags),),
        "body": tuple((f"body_{suffix}", body) for suffix in suffixes),
    }
    for name, weight in sorted(ranking.text_attributes.items()):
        attribute = schema.attributes.get(name)
        if attribute is None or attribute.type is not AttributeType.TEXT:
            description = f"the collection declares no attribute {name[:80]} of type TEXT"
            raise invalid("ranking.text_attributes", description, "UNKNOWN_ATTRIBUTE")
        path = f"attributes.{name}"
        if "text_attributes" not in own:
            check_readable(schema, path, "ranking.text_attributes")
        fields[path] = ((attribute.slot, weight),)
    texts = [f"attributes.{a.name}" for a in schema.attributes.values() if a.type is AttributeType.TEXT]
    hidden = frozenset(name for name in ("title", "tags", "body", *texts) if schema.hides(name))
    return Options(
        settings=settings,
        fields={name: found for name, found in fields.items() if found[0][1] > 0 and name not in hidden},
        languages=tuple(languages) or schema.languages,
        matching=matching or MOST,
        # Words of titles and tags that the caller may not see mustn't be told as corrections.
        typos=typos != ranking_pb2.TYPOS_REFUSED and hidden.isdisjoint(_WORDS),
        freshness=ranking.freshness if ranking.HasField("freshness") else None,
        boosts=tuple(ranking.boosts),
        own=own,
        hidden=hidden,
    )
