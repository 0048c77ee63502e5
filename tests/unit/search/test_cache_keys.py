# SPDX-License-Identifier: Apache-2.0
"""Two callers share a cached answer only if they see the same documents alike and ask for the same."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.engine.scope import TenantScope
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.settings import Limits
from pinakes.core.tenancy.models import CollectionRecord, TenantRecord
from pinakes.search.servicer import _key
from pinakes.v1 import search_pb2

ENGINE: Any = SimpleNamespace(prefix="p", placements=None, limits=Limits())
# Few values, so that two callers often agree in all but one thing.
NAMES = st.sampled_from(["a", "b", "ab", "a,b"])
READERS = st.none() | st.lists(NAMES, max_size=3, unique=True).map(lambda names: tuple(sorted(names)))
PERSONAL = st.sampled_from([(), (("title", "mask"),)])
REQUESTS = st.builds(
    search_pb2.SearchRequest, query=NAMES, filter=st.sampled_from(["", "tags:a"]), page_size=st.integers(0, 2),
    parent=st.just("tenants/-/collections/default"),
)  # fmt: skip


@st.composite
def callers(draw: st.DrawFn) -> tuple[Any, TenantScope, CollectionRecord, str, search_pb2.SearchRequest]:
    """A caller with its scope, the collection as it has it, and what it asks for."""
    uid = draw(st.sampled_from(["u1", "u2"]))
    tenant = TenantRecord(tenant_id="acme", uid=uid)
    tenant = replace(tenant, placement=replace(tenant.placement, epoch=draw(st.integers(1, 2))))
    principal = Principal(
        draw(st.sampled_from(["key:k", "key:l"])), draw(st.sampled_from(list(Role))), ("acme",), draw(READERS), (uid,),
        # A word is looked for in titles, too, if who made the credential may see them.
        filter=draw(st.sampled_from(["", "red", "tags:b"])), maker=draw(st.sampled_from([None, *Role])),
    )  # fmt: skip
    collection = CollectionRecord(
        tenant_uid=uid, collection_id="default", uid=draw(st.sampled_from(["c1", "c2"])),
        version=draw(st.integers(1, 2)), personal=draw(PERSONAL), masked_for_services=draw(st.booleans()),
    )  # fmt: skip
    scope = TenantScope(ENGINE, principal, tenant, collection)
    call = SimpleNamespace(tenant=tenant, principal=principal)
    method = draw(st.sampled_from(["Search", "Suggest"]))
    return call, scope, replace(collection, masked=scope.masked), method, draw(REQUESTS)


def test_a_filter_of_whom_titles_are_hidden_from_is_another_than_the_same_of_who_sees_them() -> None:
    tenant, request = TenantRecord(tenant_id="acme", uid="u"), search_pb2.SearchRequest(query="x")
    plain = CollectionRecord(tenant_uid="u", collection_id="default", uid="c", masked=True)
    for collection, apart in ((plain, False), (replace(plain, personal=(("title", "mask"),)), True)):
        keys = set()
        for maker in (Role.SERVICE, Role.TENANT_USER):
            holder = Principal("key:k", Role.TENANT_USER, ("acme",), (), ("u",), filter="red", maker=maker)
            call: Any = SimpleNamespace(tenant=tenant, principal=holder)
            keys.add(_key(call, collection, "Search", request))
        assert (len(keys) == 2) is apart


def _sees(scope: TenantScope, call: Any, collection: CollectionRecord) -> tuple[Any, ...]:
    """Return what decides about what a caller sees: the filters that the engine is given, without the present, and more.

    Whether a filter is blind is in the key, also where it says the same to the blind: that costs a miss, and no leak.
    """
    filters = [one for one in scope.filters() if "expire_time" not in str(one)]
    return filters, scope.masked, scope.narrowing[1], collection.version, call.tenant.placement.epoch


@given(callers(), callers())
def test_keys_meet_only_where_callers_see_the_same_and_ask_the_same(one: Any, other: Any) -> None:
    keys, asked = [], []
    for call, scope, collection, method, request in (one, other):
        keys.append(_key(call, collection, method, request))
        asked.append((_sees(scope, call, collection), method, request.SerializeToString(deterministic=True)))
    assert (keys[0] == keys[1]) is (asked[0] == asked[1])


@given(
    callers(),
    st.sampled_from(["filter", "readers", "masked", "uid", "collection", "version", "epoch", "method", "request"]),
)
def test_each_thing_that_a_caller_sees_by_is_in_the_key(caller: Any, what: str) -> None:
    """Two random callers seldom differ in one thing alone, so that is made."""
    call, _, collection, method, request = caller
    key = _key(call, collection, method, request)
    tenant, principal = call.tenant, call.principal
    match what:
        case "readers":
            principal = principal._replace(readers=(*(principal.readers or ()), "z"))
        case "filter":
            # It says nothing of a principal that isn't narrowed: only what the scope adds must be in the key.
            principal = principal._replace(filter="tags:c")
            narrowed = TenantScope(ENGINE, principal, tenant, collection).filters()
            if str(narrowed).count("tags") == 0:
                return
        case "masked":
            collection = replace(collection, masked=not collection.masked)
        case "uid":
            tenant = replace(tenant, uid="u3")
        case "collection":
            collection = replace(collection, uid="c3")
        case "version":
            collection = replace(collection, version=collection.version + 2)
        case "epoch":
            tenant = replace(tenant, placement=replace(tenant.placement, epoch=9))
        case "method":
            method += "er"
        case "request":
            changed = search_pb2.SearchRequest()
            changed.CopyFrom(request)
            changed.query += "x"
            request = changed
    assert _key(SimpleNamespace(tenant=tenant, principal=principal), collection, method, request) != key  # type: ignore[arg-type]  # what is read of a call
