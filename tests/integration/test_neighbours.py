# SPDX-License-Identifier: Apache-2.0
"""Invariant 7: what a tenant finds is the same, byte for byte, whatever the other tenants of its pool hold."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from google.protobuf import json_format

from pinakes.core.engine.setup import pool_alias
from pinakes.core.query.options import Options, options_of
from pinakes.core.query.text import Query, parse_query
from pinakes.search.parts import Parts
from pinakes.search.queries import search, suggest
from pinakes.search.vocabulary import Vocabulary
from pinakes.v1 import suggest_pb2
from tests.integration._search import Place, Searched, place

__all__ = ["place"]

Json = dict[str, Any]
DOCUMENTS, HOSTILE = 400, 2000
BATCHES = (20, 180, 50, 150, 600, 1000)
LETTERS = "etaoinshrdlucmf"
KINDS = ["KIND_TITLE", "KIND_TERM", "KIND_CORRECTION", "KIND_RELATED"]


def misspelt(word: str, chance: random.Random) -> str:
    """Return a word with a typing error."""
    place = chance.randrange(len(word) - 1)
    return chance.choice([
        word[:place] + word[place + 1] + word[place] + word[place + 2 :],
        word[:place] + word[place + 1 :],
        word[:place] + chance.choice(LETTERS) + word[place:],
        word[:place] + chance.choice(LETTERS) + word[place + 1 :],
    ])  # fmt: skip


def library(words: Sequence[str], chance: random.Random) -> Iterator[Json]:
    """Yield a tenant's own documents: some words in many of them, some in one, many of the same score."""
    for number in range(DOCUMENTS):
        title = chance.choices(words, [1 / (place + 1) for place in range(len(words))], k=3)
        body = chance.choices(words, k=12)
        yield {
            "id": f"d{number:03}", "title": " ".join(title), "body": " ".join(body), "tags": [chance.choice(words)],
            "attributes": {"kind": chance.choice(["x", "y"]), "price": chance.randrange(5)},
            "ms": 1_700_000_000_000 + chance.randrange(20) * 1000,
        }  # fmt: skip


def hostile(words: Sequence[str], own: Searched, chance: random.Random) -> Iterator[Json]:
    """Yield a neighbour's documents: the same ids and words at extreme frequency, words like them, very long titles."""
    owner = own.scope.owner
    for number in range(HOSTILE):
        word, near = chance.choice(words), misspelt(chance.choice(words), chance)
        document = {"id": f"d{number:03}", "title": f"{word} {near}", "body": f"{word} " * chance.randrange(1, 40)}
        if number % 50 == 0:
            document["title"] = " ".join(misspelt(chance.choice(words), chance) for _ in range(80))
        if number % 40 == 0:
            document["title"] = f"{owner.tenant_uid}\x1f{owner.collection_uid}\x1f{near} {owner.tenant_uid}"
        tags = [near, words[0], f"{owner.tenant_uid}\x1f{owner.collection_uid}\x1f{near}"]
        kind = {"kind": chance.choice(["x", "z"]), "price": -1}
        yield {**document, "tags": tags, "attributes": kind, "ms": 1_700_000_000_000 + chance.randrange(20) * 1000}


async def write(searched: Searched, documents: Iterator[Json]) -> None:
    """Write documents in batches of different sizes: segments of the index, which change their order when merged."""
    left = list(documents)
    for size in BATCHES:
        if left:
            await searched.write(*left[:size])
        left = left[size:]


def questions(words: Sequence[str], chance: random.Random) -> list[tuple[str, Json]]:
    """Return searches of many kinds."""
    asked: list[tuple[str, Json]] = []
    for _ in range(8):
        one, other = chance.sample(words[:20], 2)
        asked += [
            (one, {}), (f"{one} {other}", {"matching": "MATCHING_ANY"}), (misspelt(one, chance), {}),
            (f"{misspelt(one, chance)} {other}", {}), (f'"{one} {other}" -{words[30]}', {}), (f"{one[:3]}*", {}),
            (f"title:{one} {other}", {"orderBy": "attributes.price desc, relevance"}),
            (misspelt(other, chance), {"typos": "TYPOS_REFUSED"}),
        ]  # fmt: skip
    facets = {"facets": [{"field": "attributes.kind"}, {"field": "tags", "limit": 20}]}
    asked += [("", facets), (words[0], facets), (words[0], {"filter": "attributes.price > 2", "pageSize": 50})]
    return asked


async def snapshot(own: Searched, asked: Sequence[tuple[str, Json]]) -> dict[str, str]:
    """Return all answers, as a server that has just started gives them."""
    platform = own.parts.platform
    parts = Parts(platform, own.parts.search_ids, own.parts.insight, Vocabulary())
    answers: dict[str, str] = {}
    for query, how in asked:
        found = await search.run(own.request(query, **how), own.scope, own.collection, parts)
        found.ClearField("next_page_token")  # it holds the time of the search
        answers[f"search {query!r} {how}"] = str(found)
        beginning = query[: max(3, len(query) - 2)]
        request = json_format.ParseDict({"query": beginning, "kinds": KINDS, "limit": 20}, suggest_pb2.SuggestRequest())
        suggestions = await suggest.run(request, own.scope, own.collection, parts)
        answers[f"suggest {beginning!r}"] = str(suggestions)
        words = await parts.vocabulary.weights(own.scope, *_read(own, query))
        answers[f"words {query!r}"] = str(words)
    return answers


def _read(own: Searched, text: str) -> tuple[Query, Options]:
    options = options_of(own.collection)
    return parse_query(text, options, own.parts.platform.settings.limits), options


@pytest.fixture
def seed() -> int:
    """Give a seed, PINAKES_SEED if it is set, and print it."""
    found = int(os.environ.get("PINAKES_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"PINAKES_SEED={found}")
    return found


async def test_nothing_that_a_tenant_finds_depends_on_its_neighbours(
    place: Place, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine isn't what is tested here.
    monkeypatch.setattr("pinakes.search.vocabulary.WAIT_SECONDS", 30.0)
    chance = random.Random(seed)
    words = sorted({"".join(chance.choices(LETTERS, k=chance.randrange(5, 10))) for _ in range(60)})
    chance.shuffle(words)
    own = await place.collection()
    await write(own, library(words, chance))
    asked = questions(words, chance)
    before = await snapshot(own, asked)
    # The comparison is worth nothing if nothing is found.
    found = "\n".join(before.values())
    assert all(part in found for part in ("results {", "facets {", "titles {", "terms {", "related {", "correction {"))
    assert await snapshot(own, asked) == before

    for _ in range(2):
        await write(await place.collection(), hostile(words, own, chance))
    same(await snapshot(own, asked), before)

    # In other segments, documents are in another order.
    engine = place.core.engine
    index = pool_alias(engine.prefix)
    await engine.call("merge", "POST", f"/{index}/_forcemerge", params={"max_num_segments": "1"})
    await engine.call("refresh", "POST", f"/{index}/_refresh")
    same(await snapshot(own, asked), before)


def same(after: dict[str, str], before: dict[str, str]) -> None:
    """Fail with the first question that is answered otherwise."""
    for question, answer in before.items():
        assert after[question] == answer, question
