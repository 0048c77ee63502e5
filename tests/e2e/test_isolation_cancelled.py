# SPDX-License-Identifier: Apache-2.0
"""Calls of two tenants, the same to the byte, many at a time, cancelled at random: each gets its own answer or none."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from collections import Counter
from typing import Any

import grpc
from google.protobuf.message import Message

from pinakes.v1 import index_pb2, search_pb2, suggest_pb2, tenant_pb2
from tests.wire import INDEX, SEARCH, TENANT, Door, home, put

SECONDS, WORKERS = 4.0, 24
# Envoy closes a connection of which more than half of the streams were reset before they were answered (rapid reset).
CANCELLED = 0.3
PARENT = "tenants/-/collections/default"
# As many of each as tell the two apart by a count alone.
DOCUMENTS = {"osiris": 3, "hathor": 5}
WORDS = ("wine", "grain", "salt")


def requests() -> list[tuple[str, bytes]]:
    """Return what both tenants ask for: cached and not, by query, by count and by name."""
    made: list[tuple[str, Message]] = []
    for word in WORDS:
        search = search_pb2.SearchRequest(parent=PARENT, query=word)
        made += [
            (SEARCH + "Search", search),
            (SEARCH + "BatchSearch", search_pb2.BatchSearchRequest(parent=PARENT, requests=[search, search])),
            (SEARCH + "Suggest", suggest_pb2.SuggestRequest(parent=PARENT, query=word[:3])),
            (SEARCH + "CountDocuments", search_pb2.CountDocumentsRequest(parent=PARENT, query=word)),
        ]
    made += [
        (INDEX + "GetDocument", index_pb2.GetDocumentRequest(name=f"{PARENT}/documents/d0")),
        (INDEX + "ListDocuments", index_pb2.ListDocumentsRequest(parent=PARENT)),
        (TENANT + "GetTenant", tenant_pb2.GetTenantRequest(name="tenants/-")),
    ]
    return [(method, request.SerializeToString()) for method, request in made]


async def test_calls_cancelled_at_random_under_load_never_get_another_tenants_answer(platform: Any) -> None:
    seed = int(os.environ.get("PINAKES_SEED", secrets.randbits(32)))
    print(f"PINAKES_SEED={seed}")
    dice = random.Random(seed)
    answered: Counter[str] = Counter()
    cancelled: Counter[str] = Counter()
    asked = requests()
    with (
        Door(platform.endpoint) as door,
        home(door, platform.admin_key, "osiris") as osiris,
        home(door, platform.admin_key, "hathor") as hathor,
    ):
        homes = {"osiris": osiris, "hathor": hathor}
        for god, count in DOCUMENTS.items():
            for number in range(count):
                put(door, homes[god].service, homes[god].document(f"d{number}"), title=f"{' '.join(WORDS)} of {god}")
        keys = {god: (("authorization", f"Bearer {one.user}"),) for god, one in homes.items()}
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = {god: grpc.aio.insecure_channel(platform.endpoint, options=options) for god in homes}
        end = time.monotonic() + SECONDS

        async def work() -> None:
            while time.monotonic() < end:
                god = dice.choice(sorted(homes))
                other = next(one for one in homes if one != god)
                method, request = dice.choice(asked)
                # One connection for both, as from a proxy before them, or one each.
                channel = channels[dice.choice(sorted(channels))]
                call: Any = channel.unary_unary(method)(request, metadata=keys[god], timeout=20)
                if dice.random() < CANCELLED:
                    await asyncio.sleep(dice.expovariate(200))
                    call.cancel()
                try:
                    answer: bytes = await call
                except asyncio.CancelledError:
                    cancelled[god] += 1
                    continue
                answered[god] += 1
                assert homes[other].tenant_id.encode() not in answer
                assert other.encode() not in answer
                if method.endswith("CountDocuments"):
                    assert search_pb2.CountDocumentsResponse.FromString(answer).total_size == DOCUMENTS[god]
                elif not method.endswith("Suggest"):
                    assert homes[god].tenant_id.encode() in answer

        try:
            await asyncio.gather(*(work() for _ in range(WORKERS)))
        finally:
            await asyncio.gather(*(channel.close() for channel in channels.values()))
    assert min(answered[god] for god in homes) > 20, answered
    assert min(cancelled[god] for god in homes) > 20, cancelled
