# SPDX-License-Identifier: Apache-2.0
"""What search settings are refused for, each fault with its place; and what a mask leaves of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pinakes.core.faults import Fault
from pinakes.core.query.options import encoded
from pinakes.core.query.schema import AttributeType
from pinakes.core.settings import Limits
from pinakes.core.tenancy.models import CollectionRecord, SlotRecord
from pinakes.index.commands.search_settings import PARTS, PATHS, check, check_removed, merged
from pinakes.v1 import ranking_pb2

Settings = ranking_pb2.SearchSettings
LIMITS = Limits()
ATTRIBUTES = tuple(
    SlotRecord(name=name, type=kind.value, slot=f"{name}_0")
    for name, kind in {
        "abstract": AttributeType.TEXT, "stars": AttributeType.NUMBER, "published": AttributeType.TIME,
        "kind": AttributeType.STRING, "place": AttributeType.GEO,
    }.items()
)  # fmt: skip
DAY = 86_400


def collection(settings: Settings) -> CollectionRecord:
    return CollectionRecord(tenant_uid="t", collection_id="c", uid="u", attributes=ATTRIBUTES, search=encoded(settings))


def curations(*made: tuple[str, int, int]) -> Settings:
    settings = Settings()
    for query, start, end in made:
        one = settings.curations.add(query=query, pins=["a"])
        if start:
            one.start_time.seconds = start
        if end:
            one.end_time.seconds = end
    return settings


def test_settings_that_use_everything_are_accepted() -> None:
    settings = Settings(stop_words=["le", "la"], matching=ranking_pb2.MATCHING_ALL)
    settings.ranking.text_attributes["abstract"] = 2
    settings.ranking.freshness.field = "attributes.published"
    settings.ranking.boosts.add(filter='attributes.kind = "book" AND stars > 3', weight=2)
    settings.ranking.boosts.add(number="attributes.stars", weight=1)
    settings.synonyms.add(words=["ny", "new york"])
    settings.synonyms.add(words=["tablet"], means=["ipad"])
    settings.curations.add(query="hours", pins=["a", "b"], hides=["c"])
    settings.curations.add(query="hours", match=ranking_pb2.Curation.MATCH_PREFIX, pins=["a"])
    settings.curations.extend(curations(("sale", 0, 10 * DAY), ("sale", 10 * DAY, 0)).curations)
    check(collection(settings), LIMITS)


def _ranking(**fields: object) -> Settings:
    return Settings(ranking=ranking_pb2.Ranking(**fields))  # type: ignore[arg-type]  # as its fields are


def _boost(**fields: object) -> Settings:
    return _ranking(
        boosts=[ranking_pb2.Boost(weight=1, number="attributes.stars"), ranking_pb2.Boost(weight=1, **fields)]
    )


def _synonym(*words: str, means: tuple[str, ...] = ()) -> Settings:
    settings = Settings()
    settings.synonyms.add(words=["a", "b"])
    settings.synonyms.add(words=words, means=means)
    return settings


def _pinned(pins: list[str], hides: list[str], query: str = "q") -> Settings:
    settings = curations(("other", 0, 0))
    settings.curations.add(query=query, pins=pins, hides=hides)
    return settings


@pytest.mark.parametrize(("settings", "path", "text"), [
    (_ranking(text_attributes={"summary": 1.0}), "ranking.text_attributes", "no attribute summary of type TEXT"),
    (_ranking(text_attributes={"kind": 1.0}), "ranking.text_attributes", "no attribute kind of type TEXT"),
    (_ranking(title=0, tags=0, body=0), "ranking", "every field has weight 0"),
    (_ranking(freshness={"field": "expire_time"}), "ranking.freshness.field", "there is no expire_time"),
    (_ranking(freshness={"field": "attributes.stars"}), "ranking.freshness.field", "of type TIME"),
    (_boost(number="attributes.absent"), "ranking.boosts[1].number", "there is no attributes.absent"),
    (_boost(number="attributes.stars", scale=1e-40), "ranking.boosts[1].scale", "expected 1e-30"),
    (_boost(number="attributes.kind"), "ranking.boosts[1].number", "of type NUMBER"),
    (_boost(filter="kind = "), "ranking.boosts[1].filter", "at character"),
    (_boost(filter='attributes.stars = "many"'), "ranking.boosts[1].filter", "at character"),
    (_synonym("ny", "NY"), "synonyms[1].words[1]", "the same as"),
    (_synonym("é", "b", "e"), "synonyms[1].words[2]", "the same as"),
    (_synonym("x", "--"), "synonyms[1].words[1]", "no letter or digit"),
    (_synonym("x", "one two three four five six"), "synonyms[1].words[1]", "at most 5"),
    (_synonym("x", means=("y", "Y")), "synonyms[1].means[1]", "the same as"),
    (_synonym("x"), "synonyms[1].words", "one entry"),
    (Settings(stop_words=["the", "THE"]), "stop_words[1]", "the same as"),
    (Settings(stop_words=["?"]), "stop_words[0]", "no letter or digit"),
    (Settings(stop_words=["of the"]), "stop_words[0]", "several words"),
    (_pinned(["a", "b"], ["b"]), "curations[1].pins[1]", "b is hidden by the same curation"),
    (_pinned([], []), "curations[1]", "neither pins nor hides"),
    (_pinned(["a"], [], query="  "), "curations[1].query", "nothing but spaces"),
    (_pinned(["a"], [], query="ÓTHER"), "curations[1].query", "the same query as curations[0]"),
    (curations(("q", 2 * DAY, DAY)), "curations[0].end_time", "after start_time"),
    (curations(("q", DAY, DAY)), "curations[0].end_time", "after start_time"),
    (curations(("q", 0, 5 * DAY), ("q", 4 * DAY, 0)), "curations[1].query", "the same query as curations[0]"),
    (curations(("q", 0, 0), ("x", 0, 0), ("q", DAY, 2 * DAY), ("q", 3 * DAY, 0)), "curations[2].query", "curations[0]"),
    (curations(("q", 0, 1 << 45)), "curations[0]", "from 0001-01-01"),
])  # fmt: skip
def test_a_fault_is_told_with_its_place(settings: Settings, path: str, text: str) -> None:
    with pytest.raises(Fault) as caught:
        check(collection(settings), LIMITS)
    fault = caught.value
    assert fault.reason == "SEARCH_SETTINGS_INVALID"
    assert fault.violations[0].field == f"collection.search.{path}"
    assert text in fault.violations[0].description
    assert fault.message.startswith(f"collection.search.{path}: ")


def test_all_faults_are_told_at_once() -> None:
    settings = curations(("q", 2 * DAY, DAY))
    settings.stop_words.append("?")
    settings.synonyms.add(words=["one"])
    with pytest.raises(Fault) as caught:
        check(collection(settings), LIMITS)
    assert len(caught.value.violations) == 3


def test_settings_have_a_size() -> None:
    settings = Settings(stop_words=[f"word{n}" for n in range(400)])
    with pytest.raises(Fault, match="limit search_settings_bytes"):
        check(collection(settings), Limits(search_settings_bytes=2000))


@pytest.mark.parametrize(("removed", "settings", "place"), [
    ("abstract", _ranking(text_attributes={"abstract": 1.0}), 'ranking.text_attributes["abstract"]'),
    ("published", _ranking(freshness={"field": "attributes.published"}), "ranking.freshness.field"),
    ("stars", _boost(filter="tags:x"), "ranking.boosts[0].number"),
    ("kind", _boost(filter='tags:x OR NOT (kind = "a" AND title:b)'), "ranking.boosts[1].filter"),
    ("kind", _boost(filter='attributes.kind = "a"'), "ranking.boosts[1].filter"),
    ("place", _boost(filter='geo_distance(attributes.place, 1, 2, "5km")'), "ranking.boosts[1].filter"),
])  # fmt: skip
def test_an_attribute_in_use_cant_be_removed(removed: str, settings: Settings, place: str) -> None:
    with pytest.raises(Fault, match="is used by") as caught:
        check_removed(settings, {removed, "other"}, LIMITS)
    assert caught.value.reason == "ATTRIBUTE_IN_USE"
    assert caught.value.message.startswith(f"collection.attributes: {removed} is used by search.{place}")


def test_an_attribute_that_isnt_in_use_can_be_removed() -> None:
    check_removed(_boost(filter='attributes.kind = "published"'), {"published", "tags", "place"}, LIMITS)


def test_a_mask_names_every_part_of_the_settings() -> None:
    assert set(Settings.DESCRIPTOR.fields_by_name) == PARTS
    assert {"search", "search.synonyms", "search.ranking", "search.insights"} <= PATHS


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_part_of_the_mask_is_replaced_or_cleared_and_the_others_stay(part: str) -> None:
    old = _full()
    new = Settings(
        matching=ranking_pb2.MATCHING_ANY,
        typos=ranking_pb2.TYPOS_REFUSED,
        stop_words=["new"],
        insights=Settings.INSIGHTS_KEPT,
    )
    new.ranking.title = 9
    new.synonyms.add(words=["new", "newer"])
    new.curations.add(query="new", pins=["n"])
    replaced = merged(old, new, frozenset({f"search.{part}", "display_name"}))
    assert getattr(replaced, part) == getattr(new, part)
    cleared = merged(old, Settings(), frozenset({f"search.{part}"}))
    assert getattr(cleared, part) == getattr(Settings(), part)
    same: Callable[[Settings, str], bool] = lambda found, name: getattr(found, name) == getattr(_full(), name)  # noqa: E731
    assert all(same(replaced, name) and same(cleared, name) for name in PARTS - {part})
    assert old == _full(), "the old settings are shared, and stay as they are"
    assert merged(old, new, frozenset({"search"})) == new


def _full() -> Settings:
    settings = Settings(
        matching=ranking_pb2.MATCHING_ALL,
        typos=ranking_pb2.TYPOS_TOLERATED,
        stop_words=["old"],
        insights=Settings.INSIGHTS_OFF,
    )
    settings.ranking.body = 4
    settings.synonyms.add(words=["old", "older"])
    settings.curations.add(query="old", pins=["o"])
    return settings
