# SPDX-License-Identifier: Apache-2.0
"""Facets, highlights, collapse, orders, reasons and explanations through Envoy, on the whole platform."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from pinakes.client import Client, InvalidArgument, NotFound, document
from pinakes.v1.facets_pb2 import Facet
from pinakes.v1.search_pb2 import ExplainDocumentResponse, Highlight

COLLECTION = "shop"


@pytest.fixture(scope="module")
def client(platform: Any) -> Iterator[Client]:
    """Give a client of a tenant with a collection of a few documents."""
    tenant = f"results-{secrets.token_hex(4)}"
    attributes = ["kind:string:sortable", "price:number:sortable", "made:time", "place:geo"]
    with Client(platform.endpoint, key=platform.admin_key, admin_reason="preparing a test") as admin:
        admin.create_tenant(tenant)
        key = admin.create_key("service", tenant=tenant, display_name="writer").secret
        admin.create_collection(COLLECTION, tenant=tenant, attributes=attributes)
        with Client(platform.endpoint, key=key) as made:
            made.batch_write(
                [
                    document(
                        f"d{n}", title=f"Lamp <{n}>", body="A lamp & its shade. It glows.", tags=[f"t{n % 2}"],
                        attributes={
                            "kind": "desk" if n < 4 else "wall", "price": n * 10, "made": f"2026-0{n + 1}-15T00:00:00Z",
                            "place": {"lat": n, "lon": n},
                        },
                    )
                    for n in range(6)
                ],
                collection=COLLECTION, mode="searchable",
            )  # fmt: skip
            yield made
        admin.delete_tenant(tenant)


def ids(answer: Any) -> list[str]:
    return [result.document.name.rpartition("/")[2] for result in answer.results]


def test_facets_of_all_kinds_come_with_one_search(client: Client) -> None:
    facets = [
        Facet(field="attributes.kind"),
        Facet(field="tags", contains="T1"),
        Facet(field="attributes.price", ranges=[Facet.Range(to="25", label="cheap"), Facet.Range(**{"from": "25"})]),
        Facet(field="attributes.made", calendar=Facet.CALENDAR_QUARTER),
        Facet(field="language"),
    ]
    answer = client.search("lamp", collection=COLLECTION, facets=facets, filter='attributes.kind = "desk"')
    told = [[(bucket.value, bucket.count) for bucket in facet.buckets] for facet in answer.facets]
    assert told == [
        [("desk", 4), ("wall", 2)],
        [("t1", 2)],
        [("cheap", 3), ("25..", 1)],
        [("2026-01-01T00:00:00Z", 3), ("2026-04-01T00:00:00Z", 1)],
        [("en", 4)],
    ]
    assert answer.total_size == 4
    with pytest.raises(InvalidArgument) as caught:
        client.search(collection=COLLECTION, facets=[Facet(field="attributes.kind", interval=5)])
    assert [violation.field for violation in caught.value.violations] == ["facets[0].interval"]


def test_passages_can_be_put_into_html(client: Client) -> None:
    asked = Highlight(before="<em>", after="</em>")
    answer = client.search("lamp", collection=COLLECTION, highlight=asked, order_by="id", page_size=1)
    assert [(one.field, list(one.texts)) for one in answer.results[0].highlights] == [
        ("title", ["<em>Lamp</em> &lt;0&gt;"]),
        ("body", ["A <em>lamp</em> &amp; its shade. It glows."]),
    ]


def test_a_result_has_the_fields_of_the_mask_or_all_but_the_body(client: Client) -> None:
    def fields(*mask: str) -> set[str]:
        answer = client.search("lamp", collection=COLLECTION, read_mask=mask)
        assert len(answer.results) == 6
        (names,) = {frozenset(field.name for field, _ in one.document.ListFields()) for one in answer.results}
        return set(names)

    always = {"name", "etag"}
    assert fields("title") == always | {"title"}
    usual = fields()
    assert "body" not in usual
    assert usual >= always | {"title", "tags", "attributes", "language", "create_time", "update_time"}
    assert fields("*") == usual | {"body"}
    (first,) = client.search("lamp", collection=COLLECTION, filter="id = d3", read_mask=["attributes.price"]).results
    assert dict(first.document.attributes) == {"price": 30.0}


def test_results_are_collapsed_and_ordered(client: Client) -> None:
    best = client.search("lamp", collection=COLLECTION, collapse="attributes.kind", order_by="attributes.price desc")
    assert ids(best) == ["d5", "d3"]
    near = client.search(collection=COLLECTION, order_by="distance(attributes.place, 3.1, 3.1)", page_size=3)
    assert ids(near) == ["d3", "d4", "d2"]
    assert all(result.score == 0 for result in near.results)


def test_every_result_says_why_it_is_there(client: Client) -> None:
    answer = client.search("lamp glowing", collection=COLLECTION, explain=True, page_size=1)
    assert [reason.text for reason in answer.results[0].reasons] == [
        'body has "lamp"',
        'title has "lamp"',
        'body has "glowing"',
    ]


def test_a_document_says_why_it_is_or_is_not_there(client: Client) -> None:
    there = client.explain_document("d1", "lamp", collection=COLLECTION, order_by="attributes.price")
    assert (there.verdict, there.position) == (ExplainDocumentResponse.VERDICT_FOUND, 2)
    filtered = client.explain_document("d1", "lamp", collection=COLLECTION, filter="attributes.price > 10")
    assert filtered.verdict == ExplainDocumentResponse.VERDICT_FILTER
    assert filtered.text == "the filter leaves it out: attributes.price > 10 doesn't hold"
    with pytest.raises(NotFound):
        client.explain_document("d99", "lamp", collection=COLLECTION)


@pytest.mark.parametrize("size", [1, 5, 16, 49, 50])
def test_pages_of_any_size_have_every_document_once(client: Client, size: int) -> None:
    found: list[str] = []
    token = ""
    while not found or token:
        answer = client.search("lamp", collection=COLLECTION, page_size=size, page_token=token)
        found += ids(answer)
        token = answer.next_page_token
    assert sorted(found) == [f"d{n}" for n in range(6)]
