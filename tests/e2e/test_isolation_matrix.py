# SPDX-License-Identifier: Apache-2.0
"""Every RPC of the contract, with every kind of credential, on every kind of name that isn't the caller's."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2
from google.protobuf.message import Message

from pinakes.v1 import (
    failures_pb2,
    index_pb2,
    insights_pb2,
    lifecycle_pb2,
    resources_pb2,
    search_pb2,
    suggest_pb2,
    tenant_pb2,
)
from pinakes.v1 import operations_pb2 as verbs_pb2
from tests.wire import INDEX, METHODS, OPERATIONS, ROLES, SEARCH, TENANT, Door, Home, home, new_key, put

DENIED, UNAUTHENTICATED = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
Build = Callable[["Names"], Message]


@dataclass(frozen=True, slots=True)
class Names:
    """What a request may name: a tenant and things in it, there or not."""

    tenant: str
    collection: str
    document: str
    key: str

    @property
    def parent(self) -> str:
        """Name of the collection."""
        return f"{self.tenant}/collections/{self.collection}"

    @property
    def of_document(self) -> str:
        """Name of the document."""
        return f"{self.parent}/documents/{self.document}"

    @property
    def of_operation(self) -> str:
        """Name of an operation."""
        return f"{self.tenant}/operations/{self.key}"


def _update_document(n: Names) -> Message:
    return index_pb2.UpdateDocumentRequest(
        document=resources_pb2.Document(name=n.of_document, title="taken"), allow_missing=True
    )


def _batch_write(n: Names) -> Message:
    request = index_pb2.BatchWriteDocumentsRequest(parent=n.parent)
    request.writes.add(put=resources_pb2.Document(name=n.of_document, title="taken"))
    request.writes.add(delete=index_pb2.DocumentDeletion(name=n.of_document + "2"))
    return request


def _stream_write(n: Names) -> Message:
    request = index_pb2.StreamWriteDocumentsRequest(parent=n.parent, stream_id="taken", sequence=1)
    request.writes.add(put=resources_pb2.Document(name=n.of_document, title="taken"))
    return request


# One entry an RPC that names a tenant. An RPC that is missing here fails the first test.
NAMED: dict[str, Build] = {
    SEARCH + "Search": lambda n: search_pb2.SearchRequest(parent=n.parent, query="secret"),
    SEARCH + "BatchSearch": lambda n: search_pb2.BatchSearchRequest(
        parent=n.parent, requests=[search_pb2.SearchRequest(query="secret")]
    ),
    SEARCH + "Suggest": lambda n: suggest_pb2.SuggestRequest(parent=n.parent, query="secr"),
    SEARCH + "CountDocuments": lambda n: search_pb2.CountDocumentsRequest(parent=n.parent, query="secret"),
    SEARCH + "ExplainDocument": lambda n: search_pb2.ExplainDocumentRequest(
        name=n.of_document, search=search_pb2.SearchRequest(query="secret")
    ),
    SEARCH + "RecordEvent": lambda n: insights_pb2.RecordEventRequest(
        parent=n.parent, search_id="made-up", type=insights_pb2.RecordEventRequest.TYPE_CLICK, document=n.document
    ),
    SEARCH + "GetSearchInsights": lambda n: insights_pb2.GetSearchInsightsRequest(parent=n.parent),
    INDEX + "CreateCollection": lambda n: index_pb2.CreateCollectionRequest(
        parent=n.tenant, collection_id=n.collection, collection=resources_pb2.Collection()
    ),
    INDEX + "GetCollection": lambda n: index_pb2.GetCollectionRequest(name=n.parent),
    INDEX + "ListCollections": lambda n: index_pb2.ListCollectionsRequest(parent=n.tenant),
    INDEX + "UpdateCollection": lambda n: index_pb2.UpdateCollectionRequest(
        collection=resources_pb2.Collection(name=n.parent, display_name="taken")
    ),
    INDEX + "DeleteCollection": lambda n: index_pb2.DeleteCollectionRequest(name=n.parent),
    INDEX + "CreateDocument": lambda n: index_pb2.CreateDocumentRequest(
        parent=n.parent, document_id=n.document, document=resources_pb2.Document(title="taken")
    ),
    INDEX + "GetDocument": lambda n: index_pb2.GetDocumentRequest(name=n.of_document),
    INDEX + "UpdateDocument": _update_document,
    INDEX + "DeleteDocument": lambda n: index_pb2.DeleteDocumentRequest(name=n.of_document, allow_missing=True),
    INDEX + "ListDocuments": lambda n: index_pb2.ListDocumentsRequest(parent=n.parent),
    INDEX + "BatchGetDocuments": lambda n: index_pb2.BatchGetDocumentsRequest(parent=n.parent, names=[n.of_document]),
    INDEX + "BatchWriteDocuments": _batch_write,
    INDEX + "StreamWriteDocuments": _stream_write,
    INDEX + "UndeleteDocument": lambda n: index_pb2.UndeleteDocumentRequest(name=n.of_document),
    INDEX + "ListFailedWrites": lambda n: failures_pb2.ListFailedWritesRequest(parent=n.parent),
    INDEX + "RetryFailedWrites": lambda n: failures_pb2.RetryFailedWritesRequest(
        parent=n.parent, names=[f"{n.parent}/failedWrites/{n.key}"]
    ),
    INDEX + "DiscardFailedWrites": lambda n: failures_pb2.DiscardFailedWritesRequest(parent=n.parent, all=True),
    INDEX + "PurgeDocuments": lambda n: verbs_pb2.PurgeDocumentsRequest(
        parent=n.parent, force=True, all_documents=True
    ),
    INDEX + "ImportDocuments": lambda n: verbs_pb2.ImportDocumentsRequest(
        parent=n.parent, source_uri="file:///taken.jsonl"
    ),
    INDEX + "ExportDocuments": lambda n: verbs_pb2.ExportDocumentsRequest(
        parent=n.parent, destination_uri="file:///taken.jsonl"
    ),
    INDEX + "ReindexCollection": lambda n: verbs_pb2.ReindexCollectionRequest(name=n.parent),
    OPERATIONS + "ListOperations": lambda n: operations_pb2.ListOperationsRequest(name=n.tenant),
    OPERATIONS + "GetOperation": lambda n: operations_pb2.GetOperationRequest(name=n.of_operation),
    OPERATIONS + "WaitOperation": lambda n: operations_pb2.WaitOperationRequest(name=n.of_operation),
    OPERATIONS + "CancelOperation": lambda n: operations_pb2.CancelOperationRequest(name=n.of_operation),
    OPERATIONS + "DeleteOperation": lambda n: operations_pb2.DeleteOperationRequest(name=n.of_operation),
    TENANT + "GetTenant": lambda n: tenant_pb2.GetTenantRequest(name=n.tenant),
    TENANT + "UpdateTenant": lambda n: tenant_pb2.UpdateTenantRequest(
        tenant=resources_pb2.Tenant(name=n.tenant, display_name="taken")
    ),
    TENANT + "DeleteTenant": lambda n: tenant_pb2.DeleteTenantRequest(name=n.tenant),
    TENANT + "SuspendTenant": lambda n: lifecycle_pb2.SuspendTenantRequest(name=n.tenant, reason="taken"),
    TENANT + "ResumeTenant": lambda n: lifecycle_pb2.ResumeTenantRequest(name=n.tenant),
    TENANT + "UndeleteTenant": lambda n: lifecycle_pb2.UndeleteTenantRequest(name=n.tenant),
    TENANT + "CreateApiKey": lambda n: tenant_pb2.CreateApiKeyRequest(
        parent=n.tenant, api_key=resources_pb2.ApiKey(role=ROLES.ROLE_SERVICE)
    ),
    TENANT + "ListApiKeys": lambda n: tenant_pb2.ListApiKeysRequest(parent=n.tenant),
    TENANT + "RevokeApiKey": lambda n: tenant_pb2.RevokeApiKeyRequest(name=f"{n.tenant}/apiKeys/{n.key}"),
}
# RPCs over all tenants: administrators' only.
OVER_ALL: dict[str, Callable[[], Message]] = {
    TENANT + "CreateTenant": lambda: tenant_pb2.CreateTenantRequest(tenant_id=f"stolen-{secrets.token_hex(4)}"),
    TENANT + "ListTenants": tenant_pb2.ListTenantsRequest,
}
# What a key that reads may not call: all that changes something, and what tells of documents whoever may read them.
WRITES = frozenset({
    INDEX + "ListFailedWrites", SEARCH + "GetSearchInsights", *(name for name in METHODS if name.startswith(OPERATIONS)),
    *(name for name in METHODS if name.startswith(INDEX) and not name.removeprefix(INDEX).startswith(("Get", "List", "BatchGet"))),
    *(name for name in METHODS if name.startswith(TENANT) and not name.removeprefix(TENANT).startswith(("GetTenant",))),
})  # fmt: skip
CREDENTIALS = ("admin", "service", "user")


@dataclass(frozen=True, slots=True)
class World:
    """Two tenants: one that calls, and one that has something to hide."""

    door: Door
    mine: Home
    theirs: Home
    foreign: dict[str, Names]
    their_key: str


@pytest.fixture(scope="module")
def world(platform: Any) -> Iterator[World]:
    """Fill the other tenant, and name what is in it and what isn't."""
    with (
        Door(platform.endpoint) as door,
        home(door, platform.admin_key, "mine") as mine,
        home(door, platform.admin_key, "theirs") as theirs,
    ):
        put(door, theirs.service, theirs.document("secret"), title="secret", body="nobody else's")
        put(door, mine.service, mine.document("own"), title="own")
        key = new_key(door, platform.admin_key, theirs.tenant_id, ROLES.ROLE_SERVICE).api_key.name
        key_id = key.rpartition("/")[2]
        absent_tenant = f"tenants/absent-{secrets.token_hex(4)}"
        foreign = {
            "all of it exists": Names(theirs.name, "default", "secret", key_id),
            "the document is absent": Names(theirs.name, "default", "absent", "a" * 16),
            "the collection is absent": Names(theirs.name, "absent", "secret", "a" * 16),
            "the tenant is absent": Names(absent_tenant, "default", "secret", key_id),
        }
        yield World(door, mine, theirs, foreign, key_id)


def test_every_rpc_of_the_contract_is_in_this_matrix() -> None:
    assert set(METHODS) == set(NAMED) | set(OVER_ALL)
    for name, build in NAMED.items():
        assert METHODS[name].input_type == build(Names("tenants/a", "default", "a", "a")).DESCRIPTOR


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("method", sorted(NAMED))
def test_a_foreign_name_is_one_and_the_same_refusal_whether_it_exists_or_not(
    world: World, method: str, credential: str
) -> None:
    key = getattr(world.mine, credential)
    refusals = {kind: world.door.refusal(method, NAMED[method](names), key) for kind, names in world.foreign.items()}
    assert {refusal.code for refusal in refusals.values()} == {DENIED}
    assert len({(r.message, r.reason, r.details) for r in refusals.values()}) == 1, refusals
    refusal = refusals["all of it exists"]
    assert world.theirs.tenant_id not in refusal.message + repr(refusal.details)


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("method", sorted(OVER_ALL))
def test_what_is_over_all_tenants_is_refused_to_the_keys_of_one(world: World, method: str, credential: str) -> None:
    assert world.door.refusal(method, OVER_ALL[method](), getattr(world.mine, credential)).code is DENIED


@pytest.mark.parametrize(
    "key",
    [None, "", "nonsense", "pk_short", "pk_" + "a" * 16 + "_" + "A" * 43, "pk_bootstrap_" + "A" * 43, "e30.e30.e30"],
    ids=["none", "empty", "no key", "malformed", "unknown", "a guessed administrator's", "a made-up token"],
)
@pytest.mark.parametrize("method", sorted(METHODS))
def test_without_a_credential_that_is_known_nothing_can_be_told_of_any_name(
    world: World, method: str, key: str | None
) -> None:
    seen = set()
    for names in (*world.foreign.values(), Names("tenants/-", "default", "own", "a" * 16)):
        request = NAMED[method](names) if method in NAMED else OVER_ALL[method]()
        refusal = world.door.refusal(method, request, key)
        assert refusal.code is UNAUTHENTICATED
        seen.add((refusal.message, refusal.reason, refusal.details))
    assert len(seen) == 1


@pytest.mark.parametrize("method", sorted(WRITES & set(NAMED)))
def test_a_key_that_reads_cannot_write_in_its_own_tenant(world: World, method: str) -> None:
    own = Names(world.mine.name, "default", "own", "a" * 16)
    assert world.door.refusal(method, NAMED[method](own), world.mine.user).code is DENIED


@pytest.mark.parametrize("method", sorted(name for name in NAMED if name.startswith(TENANT) and "ApiKey" in name))
def test_a_service_cannot_touch_keys_of_its_own_tenant(world: World, method: str) -> None:
    own = Names(world.mine.name, "default", "own", "a" * 16)
    assert world.door.refusal(method, NAMED[method](own), world.mine.service).code is DENIED


def test_a_foreign_key_under_ones_own_name_is_as_absent_as_one_that_never_was(world: World) -> None:
    def revoke(key_id: str) -> Any:
        request = NAMED[TENANT + "RevokeApiKey"](Names(world.mine.name, "", "", key_id))
        return world.door.refusal(TENANT + "RevokeApiKey", request, world.mine.admin)

    there, absent = revoke(world.their_key), revoke("z" * 16)
    assert there.code is absent.code is grpc.StatusCode.NOT_FOUND
    assert there.message.replace(world.their_key, "") == absent.message.replace("z" * 16, "")
    assert there.reason == absent.reason


def test_a_batch_cannot_reach_out_of_its_own_collection(world: World) -> None:
    request = index_pb2.BatchWriteDocumentsRequest(parent=world.mine.default)
    targets = [world.theirs.document("secret"), world.theirs.document("absent"), world.mine.document("own", "other")]
    for name in targets:
        request.writes.add(put=resources_pb2.Document(name=name, title="taken"))
        request.writes.add(delete=index_pb2.DocumentDeletion(name=name))
    answer = world.door.call(INDEX + "BatchWriteDocuments", request, world.mine.service)
    assert [result.outcome for result in answer.results] == [index_pb2.WriteResult.OUTCOME_REJECTED] * 6
    reads = index_pb2.BatchGetDocumentsRequest(parent=world.mine.default, names=[world.theirs.document("secret")])
    refusal = world.door.refusal(INDEX + "BatchGetDocuments", reads, world.mine.service)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_stream_cannot_reach_out_of_its_own_collection(world: World) -> None:
    request = index_pb2.StreamWriteDocumentsRequest(parent=world.mine.default, sequence=1)
    for name in (world.theirs.document("secret"), world.mine.document("own", "other")):
        request.writes.add(put=resources_pb2.Document(name=name, title="taken"))
        request.writes.add(delete=index_pb2.DocumentDeletion(name=name))
    _, answer = world.door.stream([request], world.mine.service)
    assert list(answer.acknowledgement.outcomes) == [index_pb2.WriteResult.OUTCOME_REJECTED] * 4
    elsewhere = index_pb2.StreamWriteDocumentsRequest(parent=world.theirs.default, sequence=2)
    elsewhere.writes.add(put=resources_pb2.Document(name=world.theirs.document("secret"), title="taken"))
    with pytest.raises(grpc.RpcError) as caught:
        world.door.stream([request, elsewhere], world.mine.service)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]  # a failed call is a call too


def test_a_stream_of_another_tenant_is_one_that_never_was(world: World) -> None:
    request = index_pb2.StreamWriteDocumentsRequest(parent="tenants/-/collections/default", stream_id="shared")
    first = index_pb2.StreamWriteDocumentsRequest(sequence=1)
    first.writes.add(delete=index_pb2.DocumentDeletion(name=world.theirs.document("absent")))
    world.door.stream([request, first], world.theirs.service)
    positions = {home: world.door.stream([request], home.service)[0].opened for home in (world.theirs, world.mine)}
    assert positions[world.theirs].resume_after == 1
    assert positions[world.mine].resume_after == 0


def test_a_page_token_of_another_tenant_opens_nothing(world: World, platform: Any) -> None:
    for number in range(3):
        put(world.door, world.theirs.service, world.theirs.document(f"page{number}"), title="page")
    theirs = search_pb2.SearchRequest(parent="tenants/-/collections/default", query="page", page_size=1)
    token = world.door.call(SEARCH + "Search", theirs, world.theirs.user).next_page_token
    assert token
    theirs.page_token = token
    refusal = world.door.refusal(SEARCH + "Search", theirs, world.mine.user)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_MISMATCH")


def test_after_all_of_it_the_other_tenant_is_as_it_was(world: World) -> None:
    """Runs last: nothing that was refused above had an effect."""
    names = world.foreign["all of it exists"]
    found = world.door.call(INDEX + "GetDocument", NAMED[INDEX + "GetDocument"](names), world.theirs.user)
    assert (found.title, found.body) == ("secret", "nobody else's")
    collections = world.door.call(INDEX + "ListCollections", NAMED[INDEX + "ListCollections"](names), world.theirs.user)
    assert [c.name for c in collections.collections] == [world.theirs.default]
    keys = world.door.call(TENANT + "ListApiKeys", NAMED[TENANT + "ListApiKeys"](names), world.theirs.admin)
    assert len(keys.api_keys) == 4
    assert {key.state for key in keys.api_keys} == {resources_pb2.ApiKey.STATE_ACTIVE}
    tenant = world.door.call(TENANT + "GetTenant", NAMED[TENANT + "GetTenant"](names), world.theirs.user)
    assert not tenant.display_name
