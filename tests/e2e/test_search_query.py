# SPDX-License-Identifier: Apache-2.0
"""Words, phrases, exclusions, beginnings, fields, typing errors and ranking, through Envoy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from pinakes.client import InvalidArgument
from pinakes.v1.ranking_pb2 import Ranking
from tests.e2e._search import Shelf, shelf

# A long body with a word once must not beat a title that is this word.
LONG = " ".join(["The parchment roll was kept in a jar."] * 200 + ["papyrus"])
DOCUMENTS: dict[str, dict[str, Any]] = {
    "title": {"title": "Papyrus scrolls", "body": "Rolls of Alexandria."},
    "tags": {"title": "A find in the desert", "tags": ["papyrus"], "body": "Sand and jars."},
    "body": {"title": "Letters of a merchant", "body": "He wrote on papyrus, and paid in grain."},
    "long": {"title": "The household inventory", "body": LONG},
    "spring": {"title": "Spring flood of the river", "body": "Water rises slowly over the fields."},
    "running": {"title": "Running waters", "body": "A spring in the hills."},
    "note": {"title": "An unknown hand", "attributes": {"abstract": "palimpsest under gold"}},
    "old": {"title": "Clay tablet", "attributes": {"made": "1990-01-01T00:00:00Z", "stars": 1, "kind": "minor"}},
    "new": {"title": "Clay tablet", "attributes": {"made": "2026-01-01T00:00:00Z", "stars": 50, "kind": "major"}},
}
ATTRIBUTES = ("abstract:text", "made:time", "stars:number", "kind:string")


@pytest.fixture(scope="module")
def made(platform: Any) -> Iterator[Shelf]:
    """Make a collection of a few documents."""
    with shelf(platform, "words", DOCUMENTS, attributes=ATTRIBUTES) as shelf_of_words:
        yield shelf_of_words


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("papyrus", {"title", "tags", "body", "long"}),
        ("PAPYRUS", {"title", "tags", "body", "long"}),
        ("the papyrus", {"title", "tags", "body", "long"}),
        ('"papyrus scrolls"', {"title"}),
        ('"scrolls papyrus"', set()),
        ("papyrus -grain", {"title", "tags", "long"}),
        ('papyrus -"papyrus scrolls"', {"tags", "body", "long"}),
        ("-papyrus -clay", {"spring", "running", "note"}),
        ("papyr*", {"title", "tags", "body", "long"}),
        ("runnin*", {"running"}),
        ("title:papyrus", {"title"}),
        ("tags:papyrus", {"tags"}),
        ("body:papyrus", {"body", "long"}),
        ('title:"spring flood"', {"spring"}),
        ("-title:spring spring", {"running"}),
        ('runs "running waters"', {"running"}),
    ],
)
def test_what_a_query_finds(made: Shelf, query: str, expected: set[str]) -> None:
    assert set(made.found(query)) == expected


def test_documents_with_most_of_the_words_come_first_and_all_or_any_can_be_wanted(made: Shelf) -> None:
    words = "water rises fields absent"
    assert made.found(words)[0] == "spring"
    assert made.found("papyrus scrolls")[0] == "title"
    assert made.found(words, matching="all") == []
    assert made.found("papyrus scrolls", matching="all") == ["title"]
    assert set(made.found("grain flood absent", matching="any")) == {"body", "spring"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("papirus", {"title", "tags"}),
        ("scrols", {"title"}),
        ("invnetory", {"long"}),
        ("inventroi", {"long"}),
        ("apyrus", {"title", "tags"}),
        ("cly", set()),
        ("scr0lls", set()),
        ('"papirus"', set()),
        ("papirus*", set()),
        ("grayn", set()),
    ],
)
def test_typing_errors_are_forgiven_by_the_length_of_the_word(made: Shelf, query: str, expected: set[str]) -> None:
    assert expected <= set(made.found(query))
    assert bool(made.found(query)) == bool(expected)
    assert made.found(query, typos=False) == []


def test_titles_count_most_then_tags_then_bodies_however_long(made: Shelf) -> None:
    assert made.found("papyrus") == ["title", "tags", "body", "long"]
    assert made.found("papyrus", ranking={"title": 1, "tags": 1, "body": 10})[0] == "body"
    assert set(made.found("papyrus", ranking={"body": 0})) == {"title", "tags"}
    assert set(made.found("papyr*", ranking={"tags": 0})) == {"title", "body", "long"}
    with pytest.raises(InvalidArgument) as caught:
        made.found("papyrus", ranking={"title": 10.5})
    assert caught.value.violations[0].field == "ranking.title"


def test_text_attributes_are_searched_when_they_have_a_weight(made: Shelf) -> None:
    assert made.found("palimpsest") == []
    weighted = Ranking(text_attributes={"abstract": 2})
    assert made.found("palimpsest", ranking=weighted) == ["note"]
    assert made.found("abstract:gold", ranking=weighted) == ["note"]
    made.change({"ranking": {"textAttributes": {"abstract": 1}}}, "search.ranking")
    assert made.found("palimpsest") == ["note"]
    made.change({})


@pytest.mark.parametrize(
    ("ranking", "expected"),
    [
        ({"freshness": {"field": "attributes.made", "halfLife": "31536000s"}}, ["new", "old"]),
        ({"boosts": [{"filter": "attributes.kind = minor", "weight": 5}]}, ["old", "new"]),
        ({"boosts": [{"filter": "attributes.kind = minor", "weight": 0.2}]}, ["new", "old"]),
        ({"boosts": [{"number": "attributes.stars", "weight": 1, "scale": 10}]}, ["new", "old"]),
    ],
)
def test_what_words_leave_equal_is_ordered_by_freshness_and_boosts(
    made: Shelf, ranking: dict[str, Any], expected: list[str]
) -> None:
    assert made.found("clay", ranking=ParseDict(ranking, Ranking())) == expected


@pytest.mark.parametrize(
    ("query", "reason", "words"),
    [
        ("x" * 501, "QUERY_TOO_LONG", "500"),
        (" ".join(f"w{n}" for n in range(33)), "QUERY_TOO_MANY_CLAUSES", "32"),
        (" ".join(f"w{n}*" for n in range(9)), "QUERY_TOO_MANY_PREFIXES", "8"),
        ("flood a*", "QUERY_PREFIX_TOO_SHORT", "at character 7"),
    ],
)
def test_what_is_too_much_is_told_with_its_limit(made: Shelf, query: str, reason: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        made.search(query)
    (violation,) = caught.value.violations
    assert (caught.value.reason, violation.field) == (reason, "query")
    assert words in violation.description


def test_every_result_says_why_it_is_there(made: Shelf) -> None:
    def told(query: str, name: str) -> list[str]:
        answer = made.search(query, explain=True)
        (result,) = [one for one in answer.results if one.document.name.endswith(f"/{name}")]
        return [reason.text for reason in result.reasons]

    assert told("papyrus", "title") == ['title has "papyrus"']
    assert told("papyrus", "tags") == ['tags has "papyrus"']
    assert told("papirus", "title") == ['title has "papyrus" (for "papirus")']
    # The beginning of a word that is stemmed where it is kept.
    assert told("runnin*", "running") == ['title has "runnin*"']
    assert told("papyr*", "tags") == ['tags has "papyr*"']
    assert told("water rises fields absent", "spring")[-1] == 'no field has "absent"'
