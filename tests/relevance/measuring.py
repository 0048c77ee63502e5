# SPDX-License-Identifier: Apache-2.0
"""Measuring judged collections on a running platform, and on plain BM25 beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from pinakes.local import Platform
from tests.relevance import figures, ours
from tests.relevance.baseline import baseline
from tests.relevance.figures import Asked
from tests.relevance.judged import Judged, Run


async def measured(platform: Platform, collections: Iterable[Judged], say: Callable[[str], None]) -> list[Asked]:
    """Write and search every collection, in a tenant of its own and in an index of plain BM25; `say` is told of progress."""
    found: list[Asked] = []
    async with ours.tenant_of(platform) as client:
        for judged in collections:
            for note in judged.notes:
                say(f"note: {note}")
            started = time.monotonic()
            count = await ours.load(client, judged)
            run = await ours.search(client, judged)
            plain = await asyncio.to_thread(_plain, platform.opensearch_url, judged)
            found += figures.asked(judged, run, plain, count)
            seconds = time.monotonic() - started
            say(f"{judged.name}: {count} documents, {len(judged.queries)} queries, {seconds:.0f} s")
    return found


def _plain(engine_url: str, judged: Judged) -> Run:
    with baseline(engine_url, judged) as index:
        index.load(judged)
        return index.search(judged)
