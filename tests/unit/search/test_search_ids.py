# SPDX-License-Identifier: Apache-2.0
"""Ids of searches: good for the collection that they were made in, for a day, and as they came."""

from __future__ import annotations

import base64

import pytest

from pinakes.core.faults import Fault, Kind
from pinakes.search import search_ids
from pinakes.search.search_ids import SearchIds, asked

IDS = SearchIds(b"s" * 32)
DIGEST = asked("Wine").digest
MADE = IDS.make("t1", "c1", DIGEST)


def refusal(search_id: str, tenant: str = "t1", collection: str = "c1", ids: SearchIds = IDS) -> Fault:
    with pytest.raises(Fault) as caught:
        ids.read(search_id, tenant, collection)
    return caught.value


def test_an_id_tells_what_was_asked_for_in_its_own_collection() -> None:
    assert IDS.read(MADE, "t1", "c1") == DIGEST
    assert asked("  WINE ").digest == DIGEST


@pytest.mark.parametrize(("tenant", "collection"), [("t2", "c1"), ("t1", "c2"), ("t1c", "1"), ("", "")])
def test_an_id_of_another_tenant_or_collection_is_none(tenant: str, collection: str) -> None:
    assert refusal(MADE, tenant, collection).reason == "SEARCH_ID_INVALID"


def test_an_id_of_another_deployment_is_none() -> None:
    assert refusal(MADE, ids=SearchIds(b"r" * 32)).reason == "SEARCH_ID_INVALID"


@pytest.mark.parametrize(
    "text",
    ["", "x", "made-up", "%%%", "A" * 43, MADE[:-2], MADE + "AAAA"],
    ids=["empty", "short", "words", "signs", "letters", "cut", "longer"],
)
def test_what_was_made_up_or_cut_is_none(text: str) -> None:
    assert refusal(text).reason == "SEARCH_ID_INVALID"


def test_any_changed_byte_is_noticed() -> None:
    raw = base64.urlsafe_b64decode(MADE + "=" * (-len(MADE) % 4))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        assert refusal(base64.urlsafe_b64encode(bytes(changed)).decode()).reason == "SEARCH_ID_INVALID"


def test_an_id_is_good_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_ids, "SECONDS", -2)
    fault = refusal(MADE)
    assert (fault.kind, fault.reason) == (Kind.PRECONDITION, "SEARCH_ID_EXPIRED")
