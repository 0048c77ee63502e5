# SPDX-License-Identifier: Apache-2.0
"""Suggestions and did-you-mean through Envoy: from own words that the caller may read, and from nobody else's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pinakes.client import Client
from pinakes.v1.suggest_pb2 import SuggestRequest
from tests.e2e._search import COLLECTION, Shelf, shelf
from tests.wire import SEARCH, Door

KINDS = ("title", "term", "correction", "related")
DOCUMENTS: dict[str, dict[str, Any]] = {
    "scroll": {"title": "Papyrus scroll", "tags": ["egypt", "library"], "attributes": {"kind": "scroll"}},
    "leaf": {"title": "Papyrus leaf", "tags": ["egypt", "library"], "attributes": {"kind": "leaf"}},
    "plant": {"title": "The papyrus plant", "tags": ["egypt", "marsh"], "attributes": {"kind": "plant"}},
    "tablet": {"title": "Clay tablet", "tags": ["sumer", "library"], "body": "Pressed while wet.", "attributes": {"kind": "tablet"}},
    "vellum": {"title": "Vellum codex", "tags": ["europe"]},
    "tokyo": {"title": "東京都の図書館", "language": "ja"},
    "bob": {"title": "Zweihander papyrus", "tags": ["quicksilver"], "readers": ["bob"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(platform: Any) -> Iterator[Shelf]:
    """Make a collection, and one of another tenant in the same pool with words that nobody else may see."""
    foreign = {
        f"f{n}": {"title": f"Papyrograph papyruss {n}", "tags": ["papyrophobia", "vellumize"]} for n in range(30)
    }
    with (
        shelf(platform, "others", foreign),
        shelf(platform, "suggest", DOCUMENTS, attributes=["kind:string"], languages=["en", "ja"]) as books,
    ):
        yield books


@pytest.fixture(scope="module")
def user(made: Shelf) -> Iterator[Client]:
    """Give a client that may not see what is for bob."""
    with Client(made.platform.endpoint, key=made.key("user")) as client:
        yield client


def titles(answer: Any) -> list[str]:
    return [one.title for one in answer.titles]


def terms(answer: Any) -> list[tuple[str, int]]:
    return [(one.text, one.count) for one in answer.terms]


def ask(client: Client, query: str, *kinds: str, **options: Any) -> Any:
    return client.suggest(query, kinds=kinds, collection=COLLECTION, **options)


def test_titles_and_completions_come_as_one_types(user: Client) -> None:
    answer = ask(user, "pap")
    assert sorted(titles(answer)) == ["Papyrus leaf", "Papyrus scroll", "The papyrus plant"]
    assert titles(answer)[2] == "The papyrus plant", "titles that begin with what was typed come first"
    assert terms(answer) == [("papyrus", 3)]
    assert answer.titles[0].document.endswith(("/documents/leaf", "/documents/scroll"))
    assert answer.HasField("took")
    two = ask(user, "papyrus s")
    assert (titles(two), terms(two)) == (["Papyrus scroll"], [("papyrus scroll", 1)])
    whole = ask(user, "papyrus ")
    assert len(titles(whole)) == 3
    assert all(text.startswith("papyrus ") for text, _ in terms(whole)), "words that may follow"
    assert ("papyrus egypt", 3) in terms(whole)
    assert titles(ask(user, "papyrus -scroll l")) == ["Papyrus leaf"]


def test_kinds_limit_and_filter_say_what_is_suggested(user: Client) -> None:
    assert titles(ask(user, "pap", "term")) == []
    assert len(titles(ask(user, "pap", "title", limit=1))) == 1
    assert titles(ask(user, "pap", filter="kind = leaf")) == ["Papyrus leaf"]
    assert terms(ask(user, "e", "term", filter="tags:marsh")) == [("egypt", 1)]
    nothing = ask(user, "xqzwv", *KINDS)
    assert not [*nothing.titles, *nothing.terms, *nothing.related]
    assert not nothing.HasField("correction")


def test_typing_errors_in_any_word_are_tolerated_unless_refused(user: Client) -> None:
    assert len(titles(ask(user, "papyrsu"))) == 3
    assert titles(ask(user, "papirus scr")) == ["Papyrus scroll"]
    assert titles(ask(user, "papirus scr", typos=False)) == []
    assert terms(ask(user, "vellmu")) == [("vellum", 1)]


def test_a_correction_comes_with_what_a_search_then_finds(made: Shelf, user: Client) -> None:
    for wrong, right in (
        ("papirus", "papyrus"),
        ("papirus -scroll", "papyrus -scroll"),
        ("clay tabelt", "clay tablet"),
    ):
        suggested = ask(user, wrong, "correction").correction
        assert suggested.query == right
        assert suggested.total_size == user.search(right, collection=COLLECTION).total_size > 0
        meant = user.search(wrong, collection=COLLECTION).correction
        assert (meant.query, meant.total_size) == (right, suggested.total_size)
        strict = user.search(wrong, collection=COLLECTION, typos=False)
        assert (strict.correction.query, strict.total_size <= suggested.total_size) == (right, True)
    assert not user.search("papyrus", collection=COLLECTION).HasField("correction")
    assert not ask(user, "papyrus", "correction").HasField("correction")
    assert not user.search("xqzwv", collection=COLLECTION).HasField("correction")
    filtered = user.search("papirus", collection=COLLECTION, filter="kind = leaf")
    assert filtered.correction.total_size == 1
    assert not user.search("papirus", collection=COLLECTION, filter="kind = none").HasField("correction")


def test_a_correction_counts_what_curations_of_the_corrected_query_show_and_hide(made: Shelf) -> None:
    made.change(
        {
            "curations": [
                {"query": "papyrus", "hides": ["leaf", "plant"], "pins": ["vellum"]},
                {"query": "papirus", "hides": ["tablet"]},
            ]
        }
    )
    try:
        for told in (made.search("papirus").correction, made.suggest("papirus", "correction").correction):
            assert told.query == "papyrus"
            assert told.total_size == made.search("papyrus").total_size == 3
        plain = made.search("papirus", without_curation=True).correction
        assert plain.total_size == made.search("papyrus", without_curation=True).total_size == 4
    finally:
        made.change({})


def test_related_words_stand_out_in_what_the_query_finds(user: Client) -> None:
    answer = ask(user, "papyrus", "related")
    related = {one.text for one in answer.related}
    assert "egypt" in related
    assert not related & {"papyrus", "sumer", "europe"}


def test_words_without_spaces_are_suggested_too(user: Client) -> None:
    assert titles(ask(user, "東京")) == ["東京都の図書館"]
    assert titles(ask(user, "図書館")) == ["東京都の図書館"]


@pytest.mark.parametrize(
    "typed", ["zwei", "zweihandr", "zweihander", "quick", "quicksilvr", "papyrus z", "papyrus quickslver"]
)
def test_nothing_is_suggested_of_documents_that_the_caller_may_not_read(made: Shelf, user: Client, typed: str) -> None:
    for options in ({}, {"limit": 20}):
        told = str(ask(user, typed, *KINDS, **options)).lower()
        assert "zweihander" not in told
        assert "quicksilver" not in told
    assert not user.search(typed, collection=COLLECTION).correction.query.count("zweihander")
    with Client(made.platform.endpoint, key=made.key("user", ["bob"])) as bob:
        told = str(ask(bob, typed, "title", "term")).lower()
        assert "zweihander" in told or "quicksilver" in told


@pytest.mark.parametrize(
    "typed", ["papyr", "papyrog", "papyrgraph", "papyrus", "papyrophobi", "vellum", "vellumi", "velumize"]
)
def test_another_tenants_words_are_never_suggested(made: Shelf, typed: str) -> None:
    answer = made.suggest(typed, *KINDS, limit=20)
    told = [
        *titles(answer),
        *(text for text, _ in terms(answer)),
        *(one.text for one in answer.related),
        answer.correction.query,
    ]
    foreign = ("papyrograph", "papyruss", "papyrophobia", "vellumize")
    assert not [text for text in told for word in foreign if word in text.lower() and word != typed]
    corrected = made.search(typed, typos=False).correction.query
    assert corrected not in foreign


def test_an_expired_or_deleted_document_is_suggested_no_more(made: Shelf) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=7)  # time enough to see it, also where other tests run beside this one
    made.write({"brief": {"title": "Ephemeral ostracon", "expire_time": soon}, "gone": {"title": "Ephemerid"}})
    assert sorted(titles(made.suggest("ephem"))) == ["Ephemeral ostracon", "Ephemerid"]
    made.client.delete_document("gone", collection=COLLECTION, mode="searchable")
    assert titles(made.suggest("ephem")) == ["Ephemeral ostracon"]
    time.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()) + 1.2)
    answer = made.suggest("ephem", *KINDS)
    assert (titles(answer), terms(answer)) == ([], [])
    assert not made.suggest("ostrakon", *KINDS).HasField("correction")


_MANY = " ".join("".join(chr(0x4E00 + (n * 31 + i * 7) % 4000) for i in range(15)) for n in range(31))


@pytest.mark.parametrize(
    "typed",
    ["", " ", "-", '"', "*", "a*b", "--papyrus", "title:pap", "\0", "\U0001f600", "x" * 500, "a.b.c." * 80, _MANY],
)
def test_whatever_is_typed_is_answered(made: Shelf, typed: str) -> None:
    answer = made.suggest(typed, *KINDS)
    if typed == "--papyrus":
        assert not answer.titles, "what is excluded isn't completed"


@pytest.mark.parametrize(
    ("request_fields", "field", "reason"),
    [
        ({"query": "x" * 501}, "query", "QUERY_TOO_LONG"),
        ({"query": " ".join(f"w{n}" for n in range(33))}, "query", "QUERY_TOO_MANY_CLAUSES"),
        ({"query": "x", "limit": 21}, "limit", "INVALID_ARGUMENT"),
        ({"query": "x", "limit": -1}, "limit", "INVALID_ARGUMENT"),
        ({"query": "x", "kinds": [0]}, "kinds[0]", "INVALID_ARGUMENT"),
        ({"query": "x", "kinds": [9]}, "kinds[0]", "INVALID_ARGUMENT"),
        ({"query": "x", "kinds": [1, 1]}, "kinds", "INVALID_ARGUMENT"),
        ({"query": "x", "typos": 9}, "typos", "INVALID_ARGUMENT"),
        ({"query": "x", "filter": "colour = red"}, "filter", "FILTER_UNKNOWN_FIELD"),
        ({"query": "x", "filter": "(" * 9}, "filter", "FILTER_TOO_DEEP"),
        ({"parent": "tenants/-", "query": "x"}, "parent", "INVALID_ARGUMENT"),
    ],
)
def test_what_cannot_be_suggested_for_says_why(
    made: Shelf, request_fields: dict[str, Any], field: str, reason: str
) -> None:
    request = SuggestRequest(**{"parent": made.name, **request_fields})
    with Door(made.platform.endpoint) as door:
        refusal = door.refusal(SEARCH + "Suggest", request, made.key("user"))
    assert (refusal.fields, refusal.reason) == ({field}, reason)
