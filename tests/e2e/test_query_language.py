# SPDX-License-Identifier: Apache-2.0
"""The query language, synonyms, stop words and ranking functions through Envoy, on the whole platform."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from pinakes.client import Client, InvalidArgument, document
from pinakes.v1.ranking_pb2 import Ranking, SearchSettings

COLLECTION = "shelf"
SETTINGS = {
    "synonyms": [{"words": ["NY", "New York"]}, {"words": ["laptop"], "means": ["notebook"]}],
    "stopWords": ["please"],
}


@pytest.fixture(scope="module")
def client(platform: Any) -> Iterator[Client]:
    """Give a client of a tenant with a collection of a few documents."""
    tenant = f"query-{secrets.token_hex(4)}"
    with Client(platform.endpoint, key=platform.admin_key, admin_reason="preparing a test") as admin:
        admin.create_tenant(tenant)
        key = admin.create_key("service", tenant=tenant, display_name="writer").secret
        admin.create_collection(
            COLLECTION, tenant=tenant, attributes=["stars:number", "published:time", "abstract:text", "kind:string"],
            search=ParseDict(SETTINGS, SearchSettings()),
        )  # fmt: skip
        with Client(platform.endpoint, key=key) as made:
            made.batch_write(
                [
                    document("files", title="Reading large files", body="Streams of lines.", tags=["io"]),
                    document("lines", title="Writing lines", body="A file, line by line, in parallel threads."),
                    document("city", title="New York", body="A city.", attributes={"abstract": "skyline"}),
                    document("old", title="Garden shed", attributes={"published": "2001-01-01T00:00:00Z", "stars": 1}),
                    document("new", title="Garden shed", attributes={"published": "2026-01-01T00:00:00Z", "stars": 9}),
                    document("pad", title="Notebook", attributes={"kind": "paper"}),
                ],
                collection=COLLECTION,
                mode="searchable",
            )
            yield made
        admin.delete_tenant(tenant)


def found(client: Client, query: str, **options: Any) -> list[str]:
    answer = client.search(query, collection=COLLECTION, **options)
    return [result.document.name.rpartition("/")[2] for result in answer.results]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("large files", {"files", "lines"}),
        ("parallel writing threads absent", {"lines"}),
        ('"large files"', {"files"}),
        ('"files large"', set()),
        ("lines -parallel", {"files"}),
        ("paral*", {"lines"}),
        ("title:lines", {"lines"}),
        ("tags:io", {"files"}),
        ("ny", {"city"}),
        ("laptop", {"pad"}),
        ("please reading", {"files"}),
        ("the reading", {"files"}),
        ("http://reading.example", set()),
    ],
)
def test_what_a_query_finds(client: Client, query: str, expected: set[str]) -> None:
    assert set(found(client, query)) == expected


def test_all_or_any_of_the_words(client: Client) -> None:
    assert found(client, "parallel writing threads absent", matching="all") == []
    assert set(found(client, "parallel skyline reading", matching="any")) == {"lines", "files"}


def test_text_attributes_count_when_they_have_a_weight(client: Client) -> None:
    assert found(client, "skyline") == []
    ranking = {"text_attributes": {"abstract": 2}}
    assert found(client, "skyline", ranking=ranking) == found(client, "abstract:skyline", ranking=ranking) == ["city"]


def test_freshness_and_boosts_order_what_the_words_leave_equal(client: Client) -> None:
    def ranking(given: dict[str, Any]) -> Ranking:
        return ParseDict(given, Ranking())

    fresh = ranking({"freshness": {"field": "attributes.published", "halfLife": "31536000s"}})
    assert found(client, "garden shed", ranking=fresh) == ["new", "old"]
    few = ranking({"boosts": [{"filter": "stars < 5", "weight": 3}]})
    assert found(client, "garden shed", ranking=few) == ["old", "new"]
    many = ranking({"boosts": [{"number": "attributes.stars", "weight": 2}]})
    assert found(client, "garden shed", ranking=many) == ["new", "old"]
    assert found(client, "", order_by="relevance", ranking=many)[:2] == ["new", "old"]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("x" * 501, "QUERY_TOO_LONG"),
        (" ".join(f"w{n}" for n in range(33)), "QUERY_TOO_MANY_CLAUSES"),
        (" ".join(f"w{n}*" for n in range(9)), "QUERY_TOO_MANY_PREFIXES"),
        ("a*", "QUERY_PREFIX_TOO_SHORT"),
    ],
)
def test_what_is_too_much_is_told_with_the_limit(client: Client, query: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        found(client, query)
    assert caught.value.reason == reason
    assert caught.value.violations[0].field == "query"


def test_a_boost_that_cannot_be_read_is_told_with_its_place(client: Client) -> None:
    boosts = [{"filter": "kind = a", "weight": 2}, {"filter": "kint = a", "weight": 2}]
    with pytest.raises(InvalidArgument) as caught:
        found(client, "x", ranking=ParseDict({"boosts": boosts}, Ranking()))
    assert caught.value.violations[0].field == "ranking.boosts[1].filter"
    assert caught.value.violations[0].description.startswith("at character 1: there is no field kint")


def test_filters_know_times_relative_to_now(client: Client) -> None:
    assert len(found(client, "", filter='update_time > ago("1h") AND update_time < from_now("1h")')) == 6
    assert found(client, "", filter='update_time < ago("1h")') == []
    assert found(client, "", filter='attributes.published < timestamp("2010-01-01T00:00:00Z")') == ["old"]
