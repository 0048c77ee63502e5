# SPDX-License-Identifier: Apache-2.0
"""Bad input through Envoy: each a precise status with its reason and the place of the fault, and nothing half-written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.message import Message

from pinakes.core.identity.permissions import RULES
from pinakes.v1 import index_pb2, resources_pb2, search_pb2, tenant_pb2
from tests.wire import INDEX, METHODS, ROLES, SEARCH, TENANT, Door, Home, Refusal, home, new_key, put, read_status

INVALID, UNAUTHENTICATED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAUTHENTICATED
NOT_FOUND, ABORTED = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ABORTED
Outcome = index_pb2.WriteResult
OWN = "tenants/-/collections/default"
ATTRIBUTES = (
    ("price", "NUMBER", True),
    ("kind", "STRING", True),
    ("due", "TIME", True),
    ("note", "TEXT", False),
    ("ok", "BOOL", True),
)


@pytest.fixture(scope="module")
def door(platform: Any) -> Iterator[Door]:
    """Connect."""
    with Door(platform.endpoint) as opened:
        yield opened


@pytest.fixture(scope="module")
def own(door: Door, platform: Any) -> Iterator[Home]:
    """Make a tenant whose collection declares an attribute of most types."""
    with home(door, platform.admin_key, "bad-input") as made:
        types = resources_pb2.AttributeDefinition.Type
        collection = resources_pb2.Collection(name=made.default)
        for name, kind, sortable in ATTRIBUTES:
            collection.attributes.add(name=name, type=types.Value(f"TYPE_{kind}"), sortable=sortable)
        door.call(INDEX + "UpdateCollection", index_pb2.UpdateCollectionRequest(collection=collection), made.service)
        for number in range(3):
            put(
                door,
                made.service,
                made.document(f"d{number}"),
                title=f"bad input {number}",
                attributes={"price": number},
            )
        yield made


def search(**fields: Any) -> search_pb2.SearchRequest:
    """Make a search of the caller's default collection."""
    return search_pb2.SearchRequest(parent=OWN, **fields)


def create(document_id: str, **fields: Any) -> index_pb2.CreateDocumentRequest:
    """Make the request that creates a document; attributes may be a mapping."""
    attributes = fields.pop("attributes", None)
    document = resources_pb2.Document(**fields)
    if attributes is not None:
        document.attributes.update(attributes)
    return index_pb2.CreateDocumentRequest(parent=OWN, document_id=document_id, document=document)


def missing(door: Door, own: Home, *ids: str) -> bool:
    """Tell whether none of the documents is there."""
    names = [own.document(document_id) for document_id in ids]
    request = index_pb2.BatchGetDocumentsRequest(parent=own.default, names=names)
    return list(door.call(INDEX + "BatchGetDocuments", request, own.service).missing) == names


# ---- who calls

_WRONG_SECRET = "A" * 43


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "CREDENTIAL_MISSING"),
        ("pk_short", "API_KEY_MALFORMED"),
        ("pk_" + "a" * 16 + "_" + "!" * 43, "API_KEY_MALFORMED"),
        ("pk_" + "a" * 16 + "_" + _WRONG_SECRET, "API_KEY_UNKNOWN"),
        ("nonsense", "CREDENTIAL_MALFORMED"),
    ],
)
def test_a_credential_that_is_missing_malformed_or_unknown_is_told_apart(
    door: Door, key: str | None, reason: str
) -> None:
    refusal = door.refusal(SEARCH + "Search", search(query="x"), key)
    assert (refusal.code, refusal.reason) == (UNAUTHENTICATED, reason)
    assert not key or key not in refusal.message


def test_the_right_key_id_with_a_wrong_secret_is_as_wrong_as_an_unknown_id(door: Door, own: Home) -> None:
    forged = own.service[: -len(_WRONG_SECRET)] + _WRONG_SECRET
    refusals = [door.refusal(SEARCH + "Search", search(), key) for key in (forged, f"pk_{'a' * 16}_{_WRONG_SECRET}")]
    assert refusals[0].code is UNAUTHENTICATED
    assert len({(refusal.message, refusal.reason) for refusal in refusals}) == 1


def test_a_revoked_key_is_refused_by_every_service_within_five_seconds(door: Door, own: Home, platform: Any) -> None:
    made = new_key(door, platform.admin_key, own.tenant_id, ROLES.ROLE_TENANT_ADMIN)
    calls: dict[str, Message] = {
        SEARCH + "Search": search(query="x"),
        INDEX + "ListDocuments": index_pb2.ListDocumentsRequest(parent=OWN),
        TENANT + "GetTenant": tenant_pb2.GetTenantRequest(name="tenants/-"),
    }
    for method, request in calls.items():
        door.call(method, request, made.secret)
    door.call(TENANT + "RevokeApiKey", tenant_pb2.RevokeApiKeyRequest(name=made.api_key.name), own.admin)
    time.sleep(5)
    for method, request in calls.items():
        refusal = door.refusal(method, request, made.secret)
        assert (refusal.code, refusal.reason) == (UNAUTHENTICATED, "API_KEY_REVOKED")


def test_a_tenant_that_is_unknown_is_told_to_administrators_only(door: Door, own: Home, platform: Any) -> None:
    request = tenant_pb2.GetTenantRequest(name="tenants/nobody-at-all")
    assert door.refusal(TENANT + "GetTenant", request, platform.admin_key).code is NOT_FOUND
    assert door.refusal(TENANT + "GetTenant", request, own.admin).code is grpc.StatusCode.PERMISSION_DENIED


def test_an_administrator_has_no_tenant_of_its_own(door: Door, platform: Any) -> None:
    refusal = door.refusal(SEARCH + "Search", search(), platform.admin_key)
    assert (refusal.code, refusal.reason, refusal.fields) == (INVALID, "TENANT_AMBIGUOUS", {"parent"})


# ---- searching

_SEARCHES: dict[str, tuple[search_pb2.SearchRequest, str, str, str]] = {
    "a malformed name": (search_pb2.SearchRequest(parent="tenants/A/collections/x"), "parent", "INVALID_ARGUMENT", ""),
    "a collection's name with more behind it": (
        search_pb2.SearchRequest(parent=OWN + "/documents/a"), "parent", "INVALID_ARGUMENT", ""
    ),
    "a name with a line break": (search_pb2.SearchRequest(parent=OWN + "\n"), "parent", "INVALID_ARGUMENT", ""),
    "an operator without a value": (search(filter="attributes.kind ="), "filter", "FILTER_SYNTAX", "at character 18"),
    "an open parenthesis": (search(filter="(tags:a"), "filter", "FILTER_SYNTAX", "parenthesis"),
    "a second operator": (search(filter="tags:a AND AND b"), "filter", "FILTER_SYNTAX", "at character 12"),
    "a filter that is too long": (search(filter="a" * 2001), "filter", "FILTER_TOO_LONG", "2000"),
    "a filter that is too deep": (search(filter="(" * 9 + "a" + ")" * 9), "filter", "FILTER_TOO_DEEP", "8"),
    "a filter of a million parentheses": (search(filter="(" * 1_000_000), "filter", "FILTER_TOO_LONG", "2000"),
    "a filter of too many terms": (search(filter="tags:a " * 65), "filter", "FILTER_TOO_MANY_TERMS", "64"),
    "an unknown field": (search(filter='colour = "red"'), "filter", "FILTER_UNKNOWN_FIELD", "at character 1"),
    "a number for a text": (search(filter="attributes.price = cheap"), "filter", "FILTER_WRONG_TYPE", "number"),
    "a word for a time": (search(filter='attributes.due < "tomorrow"'), "filter", "FILTER_WRONG_TYPE", "at character"),
    "a word for a bool": (search(filter="attributes.ok = perhaps"), "filter", "FILTER_WRONG_TYPE", "true or false"),
    "a query that is too long": (search(query="a" * 501), "query", "QUERY_TOO_LONG", "500"),
    "a query of too many words": (search(query=" ".join(f"w{i}" for i in range(33))), "query", "QUERY_TOO_MANY_CLAUSES", "32"),
    "an order by an unknown field": (search(order_by="colour"), "order_by", "ORDER_UNKNOWN_FIELD", "colour"),
    "an order by a text": (search(order_by="attributes.note"), "order_by", "ORDER_NOT_SORTABLE", "note"),
    "an order that can't be read": (search(order_by="id sideways"), "order_by", "ORDER_SYNTAX", "sideways"),
    "a negative page size": (search(page_size=-1), "page_size", "INVALID_ARGUMENT", "0"),
    "a page token that is none": (search(page_token="garbage"), "page_token", "PAGE_TOKEN_MALFORMED", "next_page_token"),
    "a page token that isn't text of one": (search(page_token="ü" * 40), "page_token", "PAGE_TOKEN_MALFORMED", ""),
    "a page token that is too long": (search(page_token="A" * 5000), "page_token", "PAGE_TOKEN_MALFORMED", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(_SEARCHES))
def test_a_search_that_cannot_be_done_says_where_and_why(door: Door, own: Home, case: str) -> None:
    request, field, reason, words = _SEARCHES[case]
    refusal = door.refusal(SEARCH + "Search", request, own.user)
    assert (refusal.code, refusal.fields, refusal.reason) == (INVALID, {field}, reason), refusal
    assert words in refusal.violations[0][1], refusal
    assert len(refusal.message) <= 1000


def test_a_filter_that_stops_too_soon_says_what_was_expected(door: Door, own: Home) -> None:
    refusal = door.refusal(SEARCH + "Search", search(filter="tags:"), own.user)
    assert "at character 6" in refusal.message
    assert "expected" in refusal.message


def test_a_read_mask_of_an_unknown_field_is_refused_by_every_read(door: Door, own: Home) -> None:
    reads: dict[str, Any] = {
        SEARCH + "Search": search(),
        INDEX + "GetDocument": index_pb2.GetDocumentRequest(name=own.document("d0")),
        INDEX + "ListDocuments": index_pb2.ListDocumentsRequest(parent=OWN),
        INDEX + "BatchGetDocuments": index_pb2.BatchGetDocumentsRequest(parent=OWN, names=[own.document("d0")]),
    }
    for method, request in reads.items():
        request.read_mask.paths.extend(["title", "titel"])
        refusal = door.refusal(method, request, own.user)
        assert (refusal.code, refusal.reason, refusal.fields) == (INVALID, "MASK_UNKNOWN_FIELD", {"read_mask"})
        assert "title" in refusal.message


def test_a_page_token_continues_its_own_request_only(door: Door, own: Home) -> None:
    request = search(query="bad", page_size=1)
    token = door.call(SEARCH + "Search", request, own.user).next_page_token
    assert token
    others: list[tuple[str, Any]] = [
        (SEARCH + "Search", search(query="input", page_token=token)),
        (SEARCH + "Search", search(query="bad", filter="tags:a", page_token=token)),
        (SEARCH + "Search", search(query="bad", order_by="id", page_token=token)),
        (SEARCH + "Search", search(query="bad", page_token=token[:-2] + ("AA" if token[-2:] != "AA" else "BB"))),
        (INDEX + "ListDocuments", index_pb2.ListDocumentsRequest(parent=OWN, page_token=token)),
    ]
    for method, other in others:
        refusal = door.refusal(method, other, own.user)
        assert (refusal.code, refusal.reason, refusal.fields) == (INVALID, "PAGE_TOKEN_MISMATCH", {"page_token"})
    request.page_token, request.page_size = token, 2
    assert len(door.call(SEARCH + "Search", request, own.user).results) == 2


def test_a_collection_that_is_absent_is_not_found_by_reads_and_writes(door: Door, own: Home) -> None:
    parent = f"{own.name}/collections/absent"
    calls: dict[str, Message] = {
        SEARCH + "Search": search_pb2.SearchRequest(parent=parent),
        INDEX + "ListDocuments": index_pb2.ListDocumentsRequest(parent=parent),
        INDEX + "CreateDocument": index_pb2.CreateDocumentRequest(parent=parent, document=resources_pb2.Document()),
        INDEX + "DeleteCollection": index_pb2.DeleteCollectionRequest(name=parent),
    }
    for method, request in calls.items():
        refusal = door.refusal(method, request, own.service)
        assert (refusal.code, refusal.reason) == (NOT_FOUND, "COLLECTION_NOT_FOUND")


# ---- writing one document

_DOCUMENTS: dict[str, tuple[index_pb2.CreateDocumentRequest, str, str]] = {
    "an id with a slash": (create("a/b", title="x"), "document_id", ""),
    "an id that is too long": (create("a" * 129, title="x"), "document_id", ""),
    "a title that is too long": (create("bad", title="é" * 501), "document.title", "1000"),
    "an empty tag": (create("bad", tags=["fine", ""]), "document.tags[1]", ""),
    "too many tags": (create("bad", tags=[f"t{i}" for i in range(101)]), "document.tags", "100"),
    "too many readers": (create("bad", readers=[f"r{i}" for i in range(101)]), "document.readers", "100"),
    "a language that is no code": (create("bad", language="English"), "document.language", ""),
    "a document that is too large": (create("bad", body="x" * (1 << 20)), "document", "1048576"),
    "attributes nested too deep": (
        create("bad", attributes={"a": {"b": {"c": {"d": {"e": 1}}}}}), "document.attributes.a.b.c.d.e", "4 deep"
    ),
    "too many attributes": (create("bad", attributes={f"a{i}": i for i in range(257)}), "document.attributes", "256"),
    "an integer beyond 2^53": (create("bad", attributes={"n": 2.0**53 + 2}), "document.attributes.n", "2^53"),
    "a number that isn't one": (create("bad", attributes={"n": float("nan")}), "document.attributes.n", "finite"),
    "a word for a declared number": (create("bad", attributes={"price": "cheap"}), "document.attributes.price", "number"),
    "a number for a declared string": (create("bad", attributes={"kind": 1}), "document.attributes.kind", "string"),
    "a date that isn't one": (create("bad", attributes={"due": "tomorrow"}), "document.attributes.due", "RFC 3339"),
    "a declared string that is too long": (create("bad", attributes={"kind": "x" * 1001}), "document.attributes.kind", "1000"),
    "a mode that isn't defined": (
        index_pb2.CreateDocumentRequest(parent=OWN, document_id="bad", document=resources_pb2.Document(), mode=99),  # type: ignore[arg-type]  # the fault
        "mode", "",
    ),
    "no document at all": (index_pb2.CreateDocumentRequest(parent=OWN, document_id="bad"), "document", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(_DOCUMENTS))
def test_a_document_that_cannot_be_written_says_where_and_why_and_isnt_there(door: Door, own: Home, case: str) -> None:
    request, field, words = _DOCUMENTS[case]
    refusal = door.refusal(INDEX + "CreateDocument", request, own.service)
    assert (refusal.code, refusal.fields) == (INVALID, {field}), refusal
    assert refusal.reason in {"INVALID_ARGUMENT", "DOCUMENT_INVALID"}
    assert words in refusal.violations[0][1], refusal
    assert missing(door, own, "bad")


def test_a_document_is_created_once_and_deleted_once(door: Door, own: Home) -> None:
    door.call(INDEX + "CreateDocument", create("once", title="first"), own.service)
    refusal = door.refusal(INDEX + "CreateDocument", create("once", title="second"), own.service)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "DOCUMENT_EXISTS")
    request = index_pb2.GetDocumentRequest(name=own.document("once"))
    assert door.call(INDEX + "GetDocument", request, own.user).title == "first"
    deletion = index_pb2.DeleteDocumentRequest(name=own.document("once"))
    door.call(INDEX + "DeleteDocument", deletion, own.service)
    assert door.refusal(INDEX + "DeleteDocument", deletion, own.service).reason == "DOCUMENT_NOT_FOUND"
    refusal = door.refusal(INDEX + "GetDocument", request, own.user)
    assert (refusal.code, refusal.reason) == (NOT_FOUND, "DOCUMENT_NOT_FOUND")


@pytest.mark.parametrize("etag", ["current of another time", "not-an-etag"])
def test_an_etag_that_isnt_the_current_one_changes_nothing(door: Door, own: Home, etag: str) -> None:
    old = put(door, own.service, own.document("etag"), title="old")
    put(door, own.service, own.document("etag"), title="new")
    given = old.etag if etag.startswith("current") else etag
    document = resources_pb2.Document(name=own.document("etag"), title="lost", etag=given)
    batch = index_pb2.BatchWriteDocumentsRequest(parent=OWN)
    batch.writes.add(put=document)
    calls: dict[str, Message] = {
        "UpdateDocument": index_pb2.UpdateDocumentRequest(document=document),
        "DeleteDocument": index_pb2.DeleteDocumentRequest(name=own.document("etag"), etag=given),
    }
    for method, request in calls.items():
        refusal = door.refusal(INDEX + method, request, own.service)
        assert (refusal.code, refusal.reason) == (ABORTED, "ETAG_MISMATCH")
    (result,) = door.call(INDEX + "BatchWriteDocuments", batch, own.service).results
    assert (result.outcome, result.etag, result.revision) == (Outcome.OUTCOME_CONFLICT, "", 0)
    assert read_status(result.status).reason == "ETAG_MISMATCH"
    read = door.call(INDEX + "GetDocument", index_pb2.GetDocumentRequest(name=own.document("etag")), own.user)
    assert read.title == "new"


def test_an_update_of_a_field_that_cannot_be_changed_is_refused(door: Door, own: Home) -> None:
    request = index_pb2.UpdateDocumentRequest(document=resources_pb2.Document(name=own.document("d0")))
    request.update_mask.paths.append("create_time")
    refusal = door.refusal(INDEX + "UpdateDocument", request, own.service)
    assert (refusal.code, refusal.reason, refusal.fields) == (INVALID, "MASK_UNKNOWN_FIELD", {"update_mask"})


# ---- bytes that no client library would send


def field(number: int, payload: bytes) -> bytes:
    """Encode a length-delimited field."""
    length, size = len(payload), b""
    while True:
        low, length = length & 0x7F, length >> 7
        size += bytes([low | (0x80 if length else 0)])
        if not length:
            return bytes([number << 3 | 2]) + size + payload


def nested(depth: int) -> bytes:
    """Encode the creation of a document `deep` whose attributes are nested so deep."""
    value = field(3, b"x")
    for _ in range(depth - 1):
        value = field(5, field(1, field(1, b"a") + field(2, value)))
    struct = field(1, field(1, b"a") + field(2, value))
    return field(1, OWN.encode()) + field(2, field(6, struct)) + field(3, b"deep")


def test_text_that_isnt_utf_8_is_refused_whole(door: Door, own: Home) -> None:
    document = field(2, field(2, b"\xff\xfe title"))
    request = field(1, OWN.encode()) + document + field(3, b"not-utf-8")
    refusal = door.refusal(INDEX + "CreateDocument", request, own.service)
    assert (refusal.code, refusal.reason) == (INVALID, "MALFORMED_REQUEST")
    assert missing(door, own, "not-utf-8")


@pytest.mark.parametrize("method", sorted(METHODS))
def test_bytes_that_are_no_message_are_refused_by_every_rpc(door: Door, own: Home, platform: Any, method: str) -> None:
    refusal = door.refusal(method, b"\xff\xff\xff not protobuf", platform.admin_key)
    assert (refusal.code, refusal.reason) == (INVALID, "MALFORMED_REQUEST")


@pytest.mark.parametrize("method", sorted(name for name in METHODS if RULES[name].name_field))
@pytest.mark.parametrize(
    "given", ["", "nonsense", "tenants/A", "tenants/-/collections/default/documents/a/b", "tenants/-\n"]
)
def test_a_name_that_is_none_is_refused_by_every_rpc_with_its_field(
    door: Door, own: Home, method: str, given: str
) -> None:
    path = str(RULES[method].name_field)
    request = message_factory.GetMessageClass(METHODS[method].input_type)()
    *parents, leaf = path.split(".")
    target: Any = request
    for part in parents:
        target = getattr(target, part)
        target.SetInParent()
    setattr(target, leaf, given)
    refusal = door.refusal(method, request, own.admin)
    assert refusal.code is INVALID, refusal
    assert path in refusal.fields or path.partition(".")[0] in refusal.fields, refusal


@pytest.mark.parametrize("depth", [5, 20, 200, 5000, 20_000])
def test_attributes_however_deep_are_refused_and_the_server_serves_on(door: Door, own: Home, depth: int) -> None:
    refusal = door.refusal(INDEX + "CreateDocument", nested(depth), own.service)
    assert refusal.code is INVALID
    # What the parser refuses to follow at all has no place to tell.
    assert refusal.reason == ("DOCUMENT_INVALID" if depth < 30 else "MALFORMED_REQUEST"), refusal
    assert missing(door, own, "deep")


def test_attributes_as_deep_as_allowed_are_kept(door: Door, own: Home) -> None:
    door.call(INDEX + "CreateDocument", index_pb2.CreateDocumentRequest.FromString(nested(4)), own.service)
    deletion = index_pb2.DeleteDocumentRequest(name=own.document("deep"))
    door.call(INDEX + "DeleteDocument", deletion, own.service)


# ---- writing many


def test_in_a_batch_each_bad_write_is_refused_for_itself_and_the_others_are_written(door: Door, own: Home) -> None:
    request = index_pb2.BatchWriteDocumentsRequest(parent=own.default)

    def add(name: str, **fields: Any) -> None:
        attributes = fields.pop("attributes", {})
        request.writes.add(put=resources_pb2.Document(name=name, **fields)).put.attributes.update(attributes)

    add(own.document("good"), title="good")
    add("tenants/A/nonsense", title="malformed name")
    add(own.document("long"), title="x" * 1001)
    add(own.document("deep"), attributes={"a": {"b": {"c": {"d": {"e": 1}}}}})
    add(own.document("twice"), title="one")
    add(own.document("twice"), title="two")
    add("tenants/-/collections/default/documents/alias", title="one name")
    add(own.document("alias"), title="another name of the same document")
    add(own.document("elsewhere", "other"), title="another collection")
    add(own.document("cheap"), attributes={"price": "cheap"})
    request.writes.add()
    request.writes.add(delete=index_pb2.DocumentDeletion(name=own.document("never-was")))
    request.writes.add(delete=index_pb2.DocumentDeletion(name="nonsense"))
    add(own.document("new"), title="conditional", etag="of-nothing")
    add("tenants/-/collections/default/documents/good-too", title="good too")
    results = door.call(INDEX + "BatchWriteDocuments", request, own.service).results
    expected = {
        0: (Outcome.OUTCOME_CREATED, "", ""),
        1: (Outcome.OUTCOME_REJECTED, "DOCUMENT_INVALID", "writes[1].put"),
        2: (Outcome.OUTCOME_REJECTED, "DOCUMENT_INVALID", "writes[2].put.title"),
        3: (Outcome.OUTCOME_REJECTED, "DOCUMENT_INVALID", "writes[3].put.attributes.a.b.c.d.e"),
        4: (Outcome.OUTCOME_REJECTED, "DUPLICATE_DOCUMENT", "writes[4].put.name"),
        5: (Outcome.OUTCOME_REJECTED, "DUPLICATE_DOCUMENT", "writes[5].put.name"),
        6: (Outcome.OUTCOME_REJECTED, "DUPLICATE_DOCUMENT", "writes[6].put.name"),
        7: (Outcome.OUTCOME_REJECTED, "DUPLICATE_DOCUMENT", "writes[7].put.name"),
        8: (Outcome.OUTCOME_REJECTED, "DOCUMENT_OUTSIDE_PARENT", "writes[8].put.name"),
        9: (Outcome.OUTCOME_REJECTED, "DOCUMENT_INVALID", "writes[9].put.attributes.price"),
        10: (Outcome.OUTCOME_REJECTED, "DOCUMENT_INVALID", "writes[10].operation"),
        11: (Outcome.OUTCOME_NOT_FOUND, "DOCUMENT_NOT_FOUND", ""),
        12: (Outcome.OUTCOME_REJECTED, "DOCUMENT_INVALID", "writes[12].delete.name"),
        13: (Outcome.OUTCOME_NOT_FOUND, "DOCUMENT_NOT_FOUND", ""),
        14: (Outcome.OUTCOME_CREATED, "", ""),
    }
    found = {i: _told(result) for i, result in enumerate(results)}
    assert found == expected
    assert missing(door, own, "long", "deep", "twice", "alias", "cheap", "never-was", "new")
    assert not missing(door, own, "good")
    assert not missing(door, own, "good-too")


def _told(result: index_pb2.WriteResult) -> tuple[int, str, str]:
    if not result.HasField("status"):
        assert result.etag
        assert result.revision
        return result.outcome, "", ""
    assert not result.etag
    assert not result.revision
    refusal: Refusal = read_status(result.status)
    assert refusal.domain == "pinakes"
    return result.outcome, refusal.reason, refusal.violations[0][0] if refusal.violations else ""


@pytest.mark.parametrize(("count", "size"), [(1001, 1), (17, 512 << 10)], ids=["documents", "bytes"])
def test_a_batch_that_is_too_large_is_refused_whole_and_writes_nothing(
    door: Door, own: Home, count: int, size: int
) -> None:
    request = index_pb2.BatchWriteDocumentsRequest(parent=OWN)
    for number in range(count):
        request.writes.add(put=resources_pb2.Document(name=own.document(f"much{number}"), body="x" * size))
    refusal = door.refusal(INDEX + "BatchWriteDocuments", request, own.service)
    assert (refusal.code, refusal.reason, refusal.fields) == (INVALID, "BATCH_TOO_LARGE", {"writes"})
    assert ("1000" if size == 1 else str(8 << 20)) in refusal.message
    assert missing(door, own, "much0", f"much{count - 1}")


def test_an_empty_batch_is_refused(door: Door, own: Home) -> None:
    refusal = door.refusal(INDEX + "BatchWriteDocuments", index_pb2.BatchWriteDocumentsRequest(parent=OWN), own.service)
    assert (refusal.code, refusal.fields) == (INVALID, {"writes"})
