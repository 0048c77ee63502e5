# SPDX-License-Identifier: Apache-2.0
"""What it costs to turn a typed query into the engine's, in this process: no platform is needed."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

from pinakes.core.query import allowlist
from pinakes.core.query.options import encoded, options_of
from pinakes.core.query.text import compile_query, parse_query
from pinakes.core.query.weights import Weights
from pinakes.core.settings import Limits
from pinakes.core.tenancy.models import CollectionRecord
from pinakes.v1 import ranking_pb2
from tests.bench.report import Value, at_most, told

Sample = TypeVar("Sample")
WORDS = 5
_SAMPLE = (
    "reading", "large", "files", "in", "parallel", "threads", "the", "queue", "of", "an", "event", "loop", "how", "to",
    "parse", "command", "line", "arguments", "socket", "server", "timeout", "json", "decoder", "archive", "folder",
)  # fmt: skip


def run(*, quick: bool, seed: int) -> list[Value]:
    """Measure queries of five words in two languages, in a collection with a hundred synonyms and known weights."""
    dice = random.Random(seed)
    synonyms = [ranking_pb2.Synonym(words=[f"word{n}", f"other word{n}"]) for n in range(99)]
    synonyms.append(ranking_pb2.Synonym(words=["folder", "directory"]))
    settings = encoded(ranking_pb2.SearchSettings(synonyms=synonyms))
    record = CollectionRecord(tenant_uid="t", collection_id="c", uid="c", languages=("en", "de"), search=settings)
    limits = Limits()
    weights = Weights({word: 1.0 + dice.random() for word in _SAMPLE})
    queries = [" ".join(dice.sample(_SAMPLE, WORDS)) for _ in range(200 if quick else 2000)]
    options = options_of(record)

    def compiled(text: str) -> object:
        return compile_query(parse_query(text, options, limits), options, weights)

    bodies = [compile_query(parse_query(text, options, limits), options, weights) or {} for text in queries]
    return [
        at_most("search.compile_us", _median_us(compiled, queries), "µs", 150),
        told("search.check_us", _median_us(allowlist.check, bodies), "µs"),
    ]


def _median_us(work: Callable[[Sample], object], samples: list[Sample]) -> float:
    """Return the median time of a call, in µs."""
    times = []
    for sample in samples:
        started = time.perf_counter()
        work(sample)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e6
