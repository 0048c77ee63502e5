# SPDX-License-Identifier: Apache-2.0
"""Personal data through the front door: what each role sees of it and may ask about it, whichever RPC it calls."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2
from google.protobuf import duration_pb2
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from pinakes.client import scoped_token
from pinakes.v1 import (
    facets_pb2,
    index_pb2,
    personal_data_pb2,
    ranking_pb2,
    resources_pb2,
    search_pb2,
    suggest_pb2,
)  # fmt: skip
from pinakes.v1 import operations_pb2 as verbs_pb2
from tests.wire import INDEX, OPERATIONS, ROLES, SEARCH, Door, Home, home, new_key, put, read_status

DENIED, INVALID = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT
PEOPLE, PARENT = "people", "tenants/-/collections/people"
MAIL, NAME, WORD, NOTE, SALARY = "zelda.zork@quagmire-example.com", "Zeldazork", "xylophagous", "ruminative", 87_654_321
COLLECTION = {
    "attributes": [
        {"name": "mail", "type": "TYPE_STRING", "sortable": True, "pii": "PERSONAL_DATA_CLASS_HASH"},
        {"name": "salary", "type": "TYPE_NUMBER", "sortable": True, "pii": "PERSONAL_DATA_CLASS_MASK"},
        {"name": "note", "type": "TYPE_TEXT", "pii": "PERSONAL_DATA_CLASS_MASK"},
        {"name": "team", "type": "TYPE_STRING"},
    ],
    "personalData": {"rules": [
        {"path": "title", "pii": "PERSONAL_DATA_CLASS_MASK"},
        {"path": "body", "pii": "PERSONAL_DATA_CLASS_MASK"},
        {"path": "source_uri", "pii": "PERSONAL_DATA_CLASS_MASK"},
        {"path": "attributes.home.street", "pii": "PERSONAL_DATA_CLASS_MASK"},
        {"path": "attributes.contact", "pii": "PERSONAL_DATA_CLASS_MASK"},
        {"path": "attributes.nick", "pii": "PERSONAL_DATA_CLASS_OMIT_FROM_LOGS"},
    ]},
    "search": {"ranking": {
        "textAttributes": {"note": 1.0}, "boosts": [{"number": "attributes.salary", "weight": 1.0}],
    }},
}  # fmt: skip
# Whatever of these is in an answer has come through. Words are looked for in any case, as suggestions have them.
SECRETS = (MAIL, NAME, WORD, NOTE, "Quillfeather", "zork-home", "87654321")
DOCUMENT = {
    "title": f"{NAME} Quillfeather", "body": f"{NAME} is {WORD}.", "tags": ["open"], "source_uri": "https://x.test/zork-home",
    "attributes": {
        "mail": MAIL, "salary": SALARY, "note": f"She is {NOTE}.", "team": "red", "nick": "zed",
        "home": {"street": "Quillfeather Road", "city": "Ur"}, "contact": MAIL,
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class World:
    """A tenant with a collection of people, and keys of those who see them and of those who don't."""

    door: Door
    home: Home
    reader: str
    administrator: str

    @property
    def blind(self) -> dict[str, str]:
        """Keys that see no personal data."""
        token = scoped_token(self.home.service, expire=300, filter='NOT mail = "nobody@example.com"')
        return {"user": self.home.user, "a user bound to readers": self.reader, "a token of a service": token}

    @property
    def sighted(self) -> dict[str, str]:
        """Keys that see all."""
        return {"admin": self.home.admin, "service": self.home.service}

    def call(self, method: str, request: Message, key: str) -> Any:
        """Call an RPC."""
        return self.door.call(method, request, key)


@pytest.fixture(scope="module")
def world(platform: Any) -> Iterator[World]:
    """Fill the collection."""
    with Door(platform.endpoint) as door, home(door, platform.admin_key, "people") as own:
        request = index_pb2.CreateCollectionRequest(parent=own.name, collection_id=PEOPLE)
        door.call(INDEX + "CreateCollection", ParseDict({"collection": COLLECTION}, request), own.service)
        put(door, own.service, own.document("zelda", PEOPLE), **DOCUMENT)
        put(door, own.service, own.document("other", PEOPLE), title="Nobody", body="nothing", attributes={"mail": MAIL})
        reader = new_key(door, platform.admin_key, own.tenant_id, ROLES.ROLE_TENANT_USER, ("anyone",)).secret
        yield World(door, own, reader, platform.admin_key)


NAME_OF = f"{PARENT}/documents/zelda"
ALL_FIELDS = {"paths": ["*"]}
READS: dict[str, tuple[str, Message]] = {
    "Search": (SEARCH + "Search", ParseDict(
        {"parent": PARENT, "read_mask": "title,body,tags,attributes,sourceUri,contentHash",
         "filter": "tags = open", "explain": True, "highlight": {}, "facets": [{"field": "attributes.team"}]},
        search_pb2.SearchRequest())),
    "Search by a word": (SEARCH + "Search", ParseDict(
        {"parent": PARENT, "query": f"{NAME} {WORD} {NOTE} open", "explain": True, "highlight": {}, "pageSize": 1},
        search_pb2.SearchRequest())),
    "Search by a misspelt word": (SEARCH + "Search", ParseDict(
        {"parent": PARENT, "query": "Zeldazorc", "explain": True}, search_pb2.SearchRequest())),
    "BatchSearch": (SEARCH + "BatchSearch", ParseDict(
        {"parent": PARENT, "requests": [{"query": "open", "readMask": "body,attributes.home"}, {"query": NAME[:-1]}]},
        search_pb2.BatchSearchRequest())),
    "Suggest": (SEARCH + "Suggest", ParseDict(
        {"parent": PARENT, "query": "zeld", "kinds": ["KIND_TITLE", "KIND_TERM", "KIND_CORRECTION", "KIND_RELATED"]},
        suggest_pb2.SuggestRequest())),
    "Suggest after a word": (SEARCH + "Suggest", ParseDict(
        {"parent": PARENT, "query": "open ", "kinds": ["KIND_TITLE", "KIND_TERM", "KIND_CORRECTION", "KIND_RELATED"]},
        suggest_pb2.SuggestRequest())),
    "ExplainDocument": (SEARCH + "ExplainDocument", ParseDict(
        {"name": NAME_OF, "search": {"query": "open zeldazorc"}}, search_pb2.ExplainDocumentRequest())),
    "GetDocument": (INDEX + "GetDocument", index_pb2.GetDocumentRequest(name=NAME_OF)),
    "GetDocument in part": (INDEX + "GetDocument", ParseDict(
        {"name": NAME_OF, "readMask": "attributes.home.street,attributes.mail"}, index_pb2.GetDocumentRequest())),
    "BatchGetDocuments": (INDEX + "BatchGetDocuments", index_pb2.BatchGetDocumentsRequest(parent=PARENT, names=[NAME_OF])),
    "ListDocuments": (INDEX + "ListDocuments", index_pb2.ListDocumentsRequest(parent=PARENT, page_size=1)),
    "GetCollection": (INDEX + "GetCollection", index_pb2.GetCollectionRequest(name=PARENT)),
}  # fmt: skip


def leaked(answer: bytes) -> list[str]:
    """Return what has come through."""
    lower = answer.lower()
    # Queries come back in reasons, as they were typed.
    return [secret for secret in SECRETS if secret.lower().encode() in lower]


@pytest.mark.parametrize("what", READS)
def test_no_value_comes_through_any_rpc_to_who_may_not_see_it(world: World, what: str) -> None:
    method, request = READS[what]
    typed = str(request)
    for who, key in world.blind.items():
        answer = world.door.raw(method, request.SerializeToString(), key)
        found = [secret for secret in leaked(answer) if secret.lower() not in typed.lower()]
        assert not found, (who, found)


def test_who_may_see_it_sees_it_as_it_is(world: World) -> None:
    for key in (*world.sighted.values(),):
        document = world.call(INDEX + "GetDocument", index_pb2.GetDocumentRequest(name=NAME_OF), key)
        assert document.title == DOCUMENT["title"]
        assert document.attributes["mail"] == MAIL
        assert document.attributes["home"]["street"] == "Quillfeather Road"
        for what in ("Search by a misspelt word", "Suggest", "Suggest after a word"):
            assert shows(world, what, key), what


def shows(world: World, what: str, key: str) -> bool:
    """Tell whether an answer has any of the values, asking again: a busy engine's corrections come later."""
    method, request = READS[what]
    for _ in range(20):
        if leaked(world.door.raw(method, request.SerializeToString(), key)):
            return True
        time.sleep(1)
    return False


def test_a_user_sees_masks_and_hashes_that_can_be_joined(world: World) -> None:
    for key in world.blind.values():
        request = index_pb2.ListDocumentsRequest(parent=PARENT)
        other, zelda = world.call(INDEX + "ListDocuments", request, key).documents
        assert (zelda.title, zelda.body, zelda.source_uri) == ("•••", "•••", "•••")
        assert list(zelda.tags) == ["open"]
        attributes = zelda.attributes
        assert attributes["contact"] == "z***@q***.com"
        assert attributes["note"] == "•••"
        assert attributes["salary"] is None
        assert dict(attributes["home"]) == {"street": "•••", "city": "Ur"}
        assert (attributes["team"], attributes["nick"]) == ("red", "zed")
        assert re.fullmatch(r"h:[\w-]{22}", attributes["mail"])
        assert other.attributes["mail"] == attributes["mail"]


def searching(**parts: Any) -> search_pb2.SearchRequest:
    """Return a search."""
    return search_pb2.SearchRequest(parent=PARENT, **parts)


PROBES: dict[str, tuple[str, Message, str]] = {
    "a filter by equality": (SEARCH + "Search", searching(filter=f'mail = "{MAIL}"'), "filter"),
    "a filter by range": (SEARCH + "CountDocuments", search_pb2.CountDocumentsRequest(parent=PARENT, filter="salary > 5"), "filter"),
    "a filter on what isn't declared": (INDEX + "ListDocuments", index_pb2.ListDocumentsRequest(parent=PARENT, filter='attributes.contact = "x"'), "filter"),
    "a filter below a path": (SEARCH + "Search", searching(filter='attributes.home.street = "x"'), "filter"),
    "an order": (INDEX + "ListDocuments", index_pb2.ListDocumentsRequest(parent=PARENT, order_by="salary"), "order_by"),
    "an order by title": (SEARCH + "Search", searching(order_by="title"), "order_by"),
    "a facet": (SEARCH + "Search", searching(facets=[facets_pb2.Facet(field="attributes.mail")]), "facets[0].field"),
    "a collapse": (SEARCH + "Search", searching(collapse="attributes.mail"), "collapse"),
    "a word of a field": (SEARCH + "CountDocuments", search_pb2.CountDocumentsRequest(parent=PARENT, query=f"title:{NAME}"), "query"),
    "passages": (SEARCH + "Search", searching(query="a", highlight=search_pb2.Highlight(fields=["body"])), "highlight.fields[0]"),
    "a ranking": (SEARCH + "Search", searching(ranking=ranking_pb2.Ranking(boosts=[ranking_pb2.Boost(filter="salary > 5", weight=2)]), order_by="relevance"), "ranking.boosts[0].filter"),
    "a suggestion's filter": (SEARCH + "Suggest", suggest_pb2.SuggestRequest(parent=PARENT, query="a", filter="salary > 5"), "filter"),
    "an explained search": (SEARCH + "ExplainDocument", search_pb2.ExplainDocumentRequest(name=NAME_OF, search=search_pb2.SearchRequest(filter="salary > 5")), "search.filter"),
}  # fmt: skip


@pytest.mark.parametrize("what", PROBES)
def test_nothing_can_be_found_out_by_asking(world: World, what: str) -> None:
    method, request, field = PROBES[what]
    for key in world.blind.values():
        refusal = world.door.refusal(method, request, key)
        assert (refusal.code, refusal.reason) == (DENIED, "FIELD_NOT_READABLE"), refusal
        assert refusal.fields == {field}
        assert not leaked(refusal.message.encode())
    for key in world.sighted.values():
        world.call(method, request, key)


def test_a_search_of_a_batch_that_asks_for_it_is_refused_alone(world: World) -> None:
    requests = [search_pb2.SearchRequest(filter="salary > 5"), search_pb2.SearchRequest(query="open")]
    request = search_pb2.BatchSearchRequest(parent=PARENT, requests=requests)
    refused, answered = world.call(SEARCH + "BatchSearch", request, world.home.user).outcomes
    assert read_status(refused.error).reason == "FIELD_NOT_READABLE"
    assert len(answered.response.results) == 1


@pytest.mark.parametrize("word", [NAME, WORD, NOTE, f"{NAME[:6]}*", "Quillfeather"])
def test_words_of_masked_texts_find_nothing_for_who_may_not_see_them(world: World, word: str) -> None:
    request = search_pb2.CountDocumentsRequest(parent=PARENT, query=word)
    assert [world.call(SEARCH + "CountDocuments", request, key).total_size for key in world.blind.values()] == [0, 0, 0]
    assert [world.call(SEARCH + "CountDocuments", request, key).total_size for key in world.sighted.values()] == [1, 1]


def test_a_token_cannot_look_at_what_its_maker_may_not_see(world: World) -> None:
    """What a token is narrowed by is looked at whatever its holder sees, so that who makes one could try values."""
    request = searching(query="open")
    for maker, sees in ((world.home.service, True), (world.home.user, False)):
        token = scoped_token(maker, expire=300, filter=f'mail = "{MAIL}"')
        if sees:
            assert len(world.call(SEARCH + "Search", request, token).results) == 1
        else:
            refusal = world.door.refusal(SEARCH + "Search", request, token)
            assert (refusal.code, refusal.reason) == (DENIED, "SCOPED_TOKEN_FILTER")
            assert not leaked(refusal.message.encode())


def test_tokens_of_one_filter_share_no_answer_if_one_of_their_makers_sees_less(world: World) -> None:
    """By a word a token looks in titles if its maker may; what that found is nothing to another maker's token."""
    request = searching(query="open")
    makers = {"service": world.home.service, "user": world.home.user}
    tokens = {who: scoped_token(key, expire=300, filter=NAME) for who, key in makers.items()}
    for who in ("service", "user", "service", "user"):
        found = world.call(SEARCH + "Search", request, tokens[who]).results
        assert bool(found) is (who == "service")


@pytest.mark.parametrize("first", ["user", "service"])
def test_who_sees_and_who_does_not_never_share_an_answer(world: World, first: str) -> None:
    """One asks what the other has just asked, twice each: from the cache and not."""
    request = searching(filter=f'tags = open AND NOT id = "{first}"', page_size=5)
    order = [first, "service" if first == "user" else "user"] * 2
    keys = {"user": world.home.user, "service": world.home.service}
    answers = [world.call(SEARCH + "Search", request, keys[who]) for who in order]
    for who, answer in zip(order, answers, strict=True):
        (result,) = answer.results
        assert (result.document.title == DOCUMENT["title"]) is (who == "service")


@pytest.fixture(scope="module")
def closed(world: World) -> Home:
    """Give the tenant with a collection whose personal data services don't see either."""
    collection = {**COLLECTION, "personalData": {**COLLECTION["personalData"], "maskedForServices": True}}  # type: ignore[dict-item]
    request = ParseDict(
        {"collection": collection}, index_pb2.CreateCollectionRequest(parent=world.home.name, collection_id="closed")
    )
    world.call(INDEX + "CreateCollection", request, world.home.admin)
    put(world.door, world.home.service, world.home.document("zelda", "closed"), **DOCUMENT)
    return world.home


def test_a_service_that_may_not_see_it_can_write_it_and_changes_only_what_it_means_to(
    world: World, closed: Home
) -> None:
    name = closed.document("zelda", "closed")
    update = index_pb2.UpdateDocumentRequest(document=resources_pb2.Document(name=name, tags=["changed"]))
    update.update_mask.paths.append("tags")
    answer = world.door.raw(INDEX + "UpdateDocument", update.SerializeToString(), closed.service)
    assert not leaked(answer)
    found = world.call(INDEX + "GetDocument", index_pb2.GetDocumentRequest(name=name), closed.admin)
    assert (found.title, list(found.tags), found.attributes["salary"]) == (DOCUMENT["title"], ["changed"], SALARY)
    deletion = index_pb2.DeleteDocumentRequest(name=name)
    world.call(INDEX + "DeleteDocument", deletion, closed.service)
    undeletion = index_pb2.UndeleteDocumentRequest(name=name)
    assert not leaked(world.door.raw(INDEX + "UndeleteDocument", undeletion.SerializeToString(), closed.service))


def test_nor_can_it_purge_by_it_export_it_or_let_itself_see_it(world: World, closed: Home, platform: Any) -> None:
    parent = f"{closed.name}/collections/closed"
    purge = verbs_pb2.PurgeDocumentsRequest(parent=parent, filter="salary > 5")
    assert world.door.refusal(INDEX + "PurgeDocuments", purge, closed.service).reason == "FIELD_NOT_READABLE"
    opened = resources_pb2.Collection(name=parent, personal_data=personal_data_pb2.PersonalData())
    update = index_pb2.UpdateCollectionRequest(collection=opened)
    refusal = world.door.refusal(INDEX + "UpdateCollection", update, closed.service)
    assert (refusal.code, refusal.reason) == (DENIED, "PERSONAL_DATA_DENIED")
    assert not leaked(exported(world, closed, platform, closed.service))
    assert len(leaked(exported(world, closed, platform, closed.admin))) == len(SECRETS)


def exported(world: World, closed: Home, platform: Any, key: str, text: str = "") -> bytes:
    """Export what a filter lets through, and return the file."""
    parent, name = f"{closed.name}/collections/closed", f"{secrets.token_hex(4)}.jsonl"
    request = verbs_pb2.ExportDocumentsRequest(parent=parent, destination_uri=f"file:///{name}", filter=text)
    operation = world.call(INDEX + "ExportDocuments", request, key)
    wait = operations_pb2.WaitOperationRequest(name=operation.name, timeout=duration_pb2.Duration(seconds=15))
    done = world.door.call(OPERATIONS + "WaitOperation", wait, key, 20)
    assert done.done
    assert not done.HasField("error"), done
    data: bytes = (platform.home / "export" / closed.tenant_id / name).read_bytes()
    return data


def test_nor_are_documents_chosen_by_words_that_it_may_not_see(world: World, closed: Home, platform: Any) -> None:
    """Which documents an export or a purge takes would tell of each word whether it is in them."""
    put(world.door, closed.service, closed.document("jane", "closed"), title=NAME, tags=["chosen"])
    word, other = f"tags = chosen AND {NAME}", f"tags = chosen AND NOT {NAME}"
    assert b"jane" in exported(world, closed, platform, closed.admin, word)
    assert not exported(world, closed, platform, closed.service, word)
    assert b"jane" in exported(world, closed, platform, closed.service, other)
    # What a token is narrowed by is looked at with the eyes of who made it.
    for maker, text, found in ((closed.admin, other, False), (closed.service, other, True)):
        token = scoped_token(maker, expire=300, role="service", filter=text)
        search = search_pb2.SearchRequest(parent=f"{closed.name}/collections/closed", query="chosen")
        assert bool(world.call(SEARCH + "Search", search, token).results) is found
        assert bool(exported(world, closed, platform, token)) is found


def test_what_cannot_be_classed_is_refused_with_its_place(world: World) -> None:
    rules = [
        {"path": "titel", "pii": "PERSONAL_DATA_CLASS_MASK"},
        {"path": "attributes.mail", "pii": "PERSONAL_DATA_CLASS_HASH"},
    ]
    collection = ParseDict({"personalData": {"rules": rules}}, resources_pb2.Collection(name=PARENT))
    refusal = world.door.refusal(
        INDEX + "UpdateCollection", index_pb2.UpdateCollectionRequest(collection=collection), world.home.admin
    )
    assert (refusal.code, refusal.reason) == (INVALID, "PERSONAL_DATA_INVALID")
    assert refusal.fields == {f"collection.personal_data.rules[{n}].path" for n in (0, 1)}
    assert "did you mean title?" in refusal.message
    unsaid = ParseDict({"personalData": {"rules": [{"path": "title"}]}}, resources_pb2.Collection(name=PARENT))
    refusal = world.door.refusal(
        INDEX + "UpdateCollection", index_pb2.UpdateCollectionRequest(collection=unsaid), world.home.admin
    )
    assert refusal.fields == {"collection.personal_data.rules[0].pii"}
    short = resources_pb2.Collection(name=PARENT, retention=duration_pb2.Duration(seconds=5))
    refusal = world.door.refusal(
        INDEX + "UpdateCollection", index_pb2.UpdateCollectionRequest(collection=short), world.home.admin
    )
    assert (refusal.reason, refusal.fields) == ("RETENTION_INVALID", {"collection.retention"})
