# SPDX-License-Identifier: Apache-2.0
"""Which curations apply to a query, and the query that they make of it."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest

from pinakes.core.query import allowlist
from pinakes.core.query.curation import NOTHING, PIN_SCORE, PINS, Curated, applied, curated_query, normalised
from pinakes.core.query.options import encoded
from pinakes.core.tenancy.models import CollectionRecord
from pinakes.v1 import ranking_pb2

NOW = 1_800_000_000_000
PREFIX = ranking_pb2.Curation.MATCH_PREFIX


def collection(*curations: ranking_pb2.Curation) -> CollectionRecord:
    settings = ranking_pb2.SearchSettings(curations=curations)
    return CollectionRecord(tenant_uid="t", collection_id="c", uid="u", search=encoded(settings))


def curation(
    query: str, *pins: str, hides: tuple[str, ...] = (), match: int = 0, start: int = 0, end: int = 0
) -> ranking_pb2.Curation:
    made = ranking_pb2.Curation(query=query, pins=pins, hides=hides, match=match)
    if start:
        made.start_time.FromMilliseconds(start)
    if end:
        made.end_time.FromMilliseconds(end)
    return made


@pytest.mark.parametrize("query", ["opening hours", "Opening  HOURS", "  öpening hours\t", "OPENING HÓURS"])
def test_an_exact_curation_applies_without_regard_to_case_accents_and_spaces(query: str) -> None:
    assert applied(collection(curation("Opening hours", "a", "b")), query, NOW) == Curated(("a", "b"))


@pytest.mark.parametrize("query", ["opening", "opening hours today", "openinghours", "hours opening", "", "   "])
def test_an_exact_curation_applies_to_nothing_else(query: str) -> None:
    assert applied(collection(curation("opening hours", "a")), query, NOW) == NOTHING


@pytest.mark.parametrize(("query", "applies"), [
    ("opening hours", True), ("opening hours sunday morning", True), ("opening hourssunday", False), ("opening", False),
    ("the opening hours", False),
])  # fmt: skip
def test_a_prefix_is_of_whole_words(query: str, applies: bool) -> None:
    found = applied(collection(curation("Opening Hours", "a", match=PREFIX)), query, NOW)
    assert found == (Curated(("a",)) if applies else NOTHING)


def test_several_may_apply_pins_in_the_order_of_the_settings_and_hides_of_all() -> None:
    made = collection(
        curation("train", "t1", "both", hides=("h1",), match=PREFIX),
        curation("train times", "x1", "both", "h1", hides=("h2",)),
        curation("train times sunday", "s1", match=PREFIX),
    )
    assert applied(made, "train times", NOW) == Curated(("t1", "both", "x1"), ("h1", "h2"))
    assert applied(made, "train times sunday", NOW) == Curated(("t1", "both", "s1"), ("h1",))


@pytest.mark.parametrize(("start", "end", "active"), [
    (0, 0, True), (NOW, 0, True), (NOW + 1, 0, False), (0, NOW, False), (0, NOW + 1, True), (NOW - 5, NOW + 5, True),
])  # fmt: skip
def test_a_curation_holds_from_its_start_until_before_its_end(start: int, end: int, active: bool) -> None:
    found = applied(collection(curation("q", "a", start=start, end=end)), "q", NOW)
    assert found == (Curated(("a",)) if active else NOTHING)


def test_no_more_pins_apply_than_can_be_told_apart_by_their_scores() -> None:
    made = collection(
        *(curation(" ".join("a" * (n + 1)), *(f"{n}-{k}" for k in range(20)), match=PREFIX) for n in range(5))
    )
    assert len(applied(made, "a a a a a", NOW).pins) == PINS


def test_the_scores_of_pins_are_exact_in_the_engine_s_32_bits_and_fall() -> None:
    query = curated_query({"match_all": {}}, Curated(tuple(f"d{n}" for n in range(PINS))))
    assert query is not None
    boosts = [clause["constant_score"]["boost"] for clause in query["dis_max"]["queries"][1:]]
    assert [struct.unpack("f", struct.pack("f", boost))[0] for boost in boosts] == boosts
    assert all(first > second for first, second in pairwise(boosts))
    assert boosts[-1] == PIN_SCORE


@pytest.mark.parametrize("curated", [Curated(("a", "b")), Curated((), ("c",)), Curated(("a",), ("c",)), NOTHING])
@pytest.mark.parametrize("query", [{"match": {"title_en": {"query": "x"}}}, None])
def test_what_is_made_of_a_query_may_be_sent(query: dict[str, object] | None, curated: Curated) -> None:
    made = curated_query(query, curated)
    if made is not None:
        allowlist.check(made)
    assert (made is query) == (not curated.hides and (query is None or not curated.pins))


def test_without_pins_only_hides_are_left() -> None:
    assert Curated(("a",), ("b",)).without_pins() == Curated((), ("b",))


def test_normalised_text_is_stable() -> None:
    assert normalised(normalised(" Ünder  GROUND ")) == normalised("under ground") == "under ground"
