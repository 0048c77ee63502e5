# SPDX-License-Identifier: Apache-2.0
"""What a scope adds to whatever is asked of the engine, and what it lets through of what the engine answers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from pinakes.core.engine.scope import TenantScope
from pinakes.core.faults import Fault, Kind
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.privacy.masks import MASKED
from pinakes.core.query import allowlist
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_filter
from pinakes.core.settings import Limits
from pinakes.core.tenancy.models import CollectionRecord, TenantRecord, now_ms
from pinakes.v1 import resources_pb2

ACME = TenantRecord(tenant_id="acme", uid="u-acme")
DEFAULT = CollectionRecord(tenant_uid="u-acme", collection_id="default", uid="c-default")
SERVICE = Principal("key:k", Role.SERVICE, ("acme",), None, ("u-acme",))
# No engine: nothing is sent here.
ENGINE: Any = SimpleNamespace(prefix="p", placements=None, limits=Limits(), pseudonyms=None)


def scope(principal: Principal = SERVICE, collection: CollectionRecord = DEFAULT) -> TenantScope:
    return TenantScope(ENGINE, principal, ACME, collection)


def reader(*readers: str) -> TenantScope:
    return scope(Principal("key:k", Role.TENANT_USER, ("acme",), readers, ("u-acme",)))


def body(**changes: Any) -> dict[str, Any]:
    source = {"tenant": "u-acme", "collection": "c-default", "id": "d", "deleted": False, "revision": 1} | changes
    return {"found": True, "_source": source, "_seq_no": 1, "_primary_term": 1, "_version": 1}


@pytest.mark.parametrize(
    ("principal", "collection"),
    [
        (SERVICE._replace(tenants=("other",)), DEFAULT),
        (SERVICE._replace(tenants=()), DEFAULT),
        (SERVICE._replace(tenant_uids=("u-acme-before",)), DEFAULT),
        (SERVICE, replace(DEFAULT, tenant_uid="u-other")),
        (SERVICE._replace(collections=("other",)), DEFAULT),
    ],
    ids=[
        "another tenant's",
        "nobody's",
        "an earlier tenant's of the name",
        "a collection of another tenant",
        "narrowed",
    ],
)
def test_a_scope_cannot_be_made_for_who_is_not_of_the_tenant(
    principal: Principal, collection: CollectionRecord
) -> None:
    with pytest.raises(Fault) as caught:
        scope(principal, collection)
    assert caught.value.kind is Kind.DENIED


@pytest.mark.parametrize(
    "principal",
    [
        SERVICE,
        SERVICE._replace(tenants=None),
        SERVICE._replace(tenant_uids=None),
        SERVICE._replace(tenants=("other", "acme")),
        SERVICE._replace(collections=("other", "default")),
    ],
)
def test_a_scope_is_made_for_who_is_of_the_tenant(principal: Principal) -> None:
    assert scope(principal).owner.tenant_uid == "u-acme"


def test_every_search_is_of_one_tenant_and_collection_and_of_what_is_there() -> None:
    tenant, collection, deleted, expired = scope().filters()
    assert tenant == {"term": {"tenant": "u-acme"}}
    assert collection == {"term": {"collection": "c-default"}}
    assert deleted == {"term": {"deleted": False}}
    until = expired["bool"]["must_not"][0]["range"]["expire_time"]["lte"]
    assert 0 <= now_ms() - until < 2000


def test_a_collection_that_keeps_documents_for_a_time_shows_none_that_are_older() -> None:
    kept = scope(collection=replace(DEFAULT, retention_ms=60_000)).filters()[4]
    assert 60_000 <= now_ms() - kept["range"]["update_time"]["gt"] < 62_000


@pytest.mark.parametrize("readers", [(), ("ann",), ("ann", "bob")])
def test_who_reads_as_somebody_gets_what_is_for_all_or_for_them(readers: tuple[str, ...]) -> None:
    added = reader(*readers).filters()[len(scope().filters()) :]
    unrestricted = {"bool": {"must_not": [{"exists": {"field": "readers"}}]}}
    mine = [{"terms": {"readers": list(readers)}}] if readers else []
    assert added == [{"bool": {"should": [unrestricted, *mine], "minimum_should_match": 1}}]


def test_a_credential_that_is_narrowed_by_a_filter_gets_what_that_lets_through() -> None:
    added = scope(SERVICE._replace(filter="tags = red")).filters()[len(scope().filters()) :]
    assert added == [compile_filter(parse_filter("tags = red", Limits()), DEFAULT.schema())]


def test_the_filters_stand_around_whatever_is_asked() -> None:
    made = reader("ann")
    asked = {"query": {"match": {"title": "wine"}}, "filter": {"term": {"tags": "red"}}, "size": 3}
    sent = orjson.loads(made._search(asked, ACME.placement, cheap=False).body)  # nothing goes out without it
    assert sent["size"] == 3
    assert sent["query"]["bool"]["must"] == [asked["query"]]
    *added, condition = sent["query"]["bool"]["filter"]
    assert condition == asked["filter"]
    assert _timeless(added) == _timeless(made.filters())
    bare = orjson.loads(made._search({"size": 0}, ACME.placement, cheap=False).body)
    assert _timeless(bare["query"]["bool"]["filter"]) == _timeless(made.filters())


def test_a_body_that_could_look_beyond_the_scope_is_not_made_into_a_search() -> None:
    for asked in ({"suggest": {}}, {"query": {"script": {}}}, {"aggs": {"all": {"global": {}}}}):
        with pytest.raises(Exception, match=r"."):
            scope()._search(asked, ACME.placement, cheap=False)


def test_what_words_are_compared_with_is_the_scope_too() -> None:
    asked = {
        "aggs": {"words": {"significant_terms": {"field": "words", "background_filter": allowlist.SCOPE_BACKGROUND}}},
        "size": 0,
    }
    sent = orjson.loads(reader("ann")._search(asked, ACME.placement, cheap=False).body)
    background = sent["aggs"]["words"]["significant_terms"]["background_filter"]
    assert background == {"bool": {"filter": [{"term": {"tenant": "u-acme"}}, {"term": {"collection": "c-default"}}]}}


@pytest.mark.parametrize(
    "changes", [{"tenant": "u-other"}, {"collection": "c-other"}, {"id": "e"}, {"tenant": None}], ids=str
)
def test_a_document_out_of_the_scope_is_none_whatever_the_engine_returned(changes: dict[str, Any]) -> None:
    place = ACME.placement.active
    assert scope()._checked(body(), "d", place) is not None
    assert scope()._checked(body(**changes), "d", place) is None


def test_what_is_not_found_is_none_and_an_error_is_not_absence() -> None:
    place = ACME.placement.active
    assert scope()._checked({"found": False}, "d", place) is None
    with pytest.raises(Fault) as caught:
        scope()._checked({"error": {"type": "x"}}, "d", place)
    assert caught.value.kind is Kind.UNAVAILABLE


@pytest.mark.parametrize(
    ("of", "wanted"),
    [
        (None, {"seen by all": True, "empty": True, "ann's": True, "bob's": True, "both": True}),
        ((), {"seen by all": True, "empty": True, "ann's": False, "bob's": False, "both": False}),
        (("ann",), {"seen by all": True, "empty": True, "ann's": True, "bob's": False, "both": True}),
        (("zoe", "bob"), {"seen by all": True, "empty": True, "ann's": False, "bob's": True, "both": True}),
    ],
)
def test_a_document_for_some_is_read_by_them_alone(of: tuple[str, ...] | None, wanted: dict[str, bool]) -> None:
    documents: dict[str, dict[str, Any]] = {
        "seen by all": {}, "empty": {"readers": []}, "ann's": {"readers": ["ann"]}, "bob's": {"readers": ["bob"]},
        "both": {"readers": ["ann", "bob"]},
    }  # fmt: skip
    made = scope() if of is None else reader(*of)
    place = ACME.placement.active
    assert {name: made.may_read(document) for name, document in documents.items()} == wanted
    assert {name: made._checked(body(**one), "d", place) is not None for name, one in documents.items()} == wanted


@pytest.mark.parametrize(
    ("role", "readers", "masked_for_services", "masked"),
    [
        (Role.TENANT_ADMIN, None, False, False),
        (Role.SERVICE, None, False, False),
        (Role.SERVICE, None, True, True),
        (Role.TENANT_USER, (), False, True),
        (Role.SERVICE, ("ann",), False, True),
    ],
)
def test_personal_data_is_masked_for_who_may_not_see_it(
    role: Role, readers: tuple[str, ...] | None, masked_for_services: bool, masked: bool
) -> None:
    principal = Principal("key:k", role, ("acme",), readers, ("u-acme",))
    assert not scope(principal, replace(DEFAULT, masked_for_services=masked_for_services)).masked  # nothing is classed
    classed = replace(DEFAULT, personal=(("title", "mask"),), masked_for_services=masked_for_services)
    assert scope(principal, classed).masked is masked


def test_a_document_is_shown_masked_to_who_may_not_see_what_is_in_it() -> None:
    classed = replace(DEFAULT, personal=(("title", "mask"),))
    user = SERVICE._replace(role=Role.TENANT_USER, readers=())
    for principal, title in ((SERVICE, "Jane"), (user, MASKED)):
        document = resources_pb2.Document(title="Jane", body="text")
        shown = scope(principal, classed).shown(document)
        assert (shown.title, shown.body) == (title, "text")


def _timeless(filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return filters without the one that holds the present."""
    return [one for one in filters if "range" not in str(one)]
