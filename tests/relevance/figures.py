# SPDX-License-Identifier: Apache-2.0
"""Figures of a run: nDCG@10, reciprocal rank and recall@100, by collection, kind and half, and what they must not fall below."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ir_measures
from ir_measures import RR, Qrel, R, ScoredDoc, nDCG

from tests.relevance.judged import KINDS, OTHER_KIND, Judged, Query, Run

RECALL = "recall@100"
MEASURES = {"ndcg@10": nDCG @ 10, "mrr": RR, RECALL: R @ 100}
LARGE = 1000
REFERENCE = Path(__file__).with_name("reference.json")
TOLERANCE = 0.005
"""A figure of few queries moves by more when one document moves; one of many, by less."""
OVERALL = "overall"
Means = dict[str, float]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query with its figures, of the platform and of plain BM25; `size` is the number of documents in its collection."""

    collection: str
    size: int
    query: Query
    ours: Mapping[str, float]
    plain: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Fall:
    """A figure that is lower than it may be; `of` says which queries, `than` what it is compared with."""

    of: str
    measure: str
    value: float
    than: str
    bound: float

    def __str__(self) -> str:
        return f"{self.of}: {self.measure} is {self.value:.4f}, lower than {self.than} ({self.bound:.4f})"


def asked(judged: Judged, ours: Run, plain: Run, size: int) -> list[Asked]:
    """Measure every query of a collection of so many documents. One that found nothing counts 0."""
    mine, other = _measured(judged.queries, ours), _measured(judged.queries, plain)
    return [Asked(judged.name, size, query, mine[query.id], other[query.id]) for query in judged.queries]


def means(found: Iterable[Asked], of: Callable[[Asked], Mapping[str, float]]) -> Means:
    """Return the means of the figures over queries; empty without queries."""
    rows = [of(one) for one in found]
    return {name: sum(row[name] for row in rows) / len(rows) for name in MEASURES} if rows else {}


def by_kind(found: Sequence[Asked]) -> dict[str, list[Asked]]:
    """Return the queries of each kind, and all of them under `overall`."""
    groups = {kind: [one for one in found if one.query.kind == kind] for kind in (*KINDS, OTHER_KIND)}
    return {kind: group for kind, group in groups.items() if group} | {OVERALL: list(found)}


def falls_below_plain(found: Sequence[Asked]) -> list[Fall]:
    """Return the kinds of which a figure is lower than that of plain BM25.

    Recall is compared in large collections only: of a small one plain BM25 returns nearly all, by words such as "the".
    """
    falls = []
    for kind, group in by_kind(found).items():
        for name in MEASURES:
            compared = [one for one in group if one.size >= LARGE] if name == RECALL else group
            mine, other = means(compared, _ours), means(compared, _plain)
            if compared and mine[name] < other[name]:
                falls.append(Fall(kind, name, mine[name], "plain BM25", other[name]))
    return falls


def falls_below_reference(found: Sequence[Asked], path: Path = REFERENCE) -> list[Fall]:
    """Return the kinds of each collection of which a figure is lower than the committed one.

    A kind that isn't asked any more counts 0, and one that the reference doesn't have is to be perfect. Python's own
    documentation is compared only where the reference was made with the same Python.
    """
    kept = json.loads(path.read_text(encoding="utf-8"))
    measured, bounds = _reference(found), kept["figures"]
    falls = []
    for of in sorted(measured.keys() | bounds.keys()):
        if of.startswith("python/") and kept["python"] != _python():
            continue
        values, least = measured.get(of, {}), bounds.get(of, {})
        than = "the reference" if least else "what a kind without a reference must reach"
        falls += [
            Fall(of, name, value, than, bound)
            for name in MEASURES
            if (value := values.get(name, 0.0)) < (bound := least.get(name, 1.0)) - TOLERANCE
        ]
    return falls


def update_reference(found: Sequence[Asked], path: Path = REFERENCE) -> None:
    """Write the figures of this run as those that later ones must reach."""
    kept = {"python": _python(), "figures": _reference(found)}
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def report(found: Sequence[Asked], path: Path) -> None:
    """Write every query with its figures, so that two runs can be compared."""
    rows = [
        {
            "collection": one.collection, "id": one.query.id, "kind": one.query.kind, "split": one.query.split,
            "query": one.query.text, "ours": dict(one.ours), "bm25": dict(one.plain),
        }
        for one in found
    ]  # fmt: skip
    kinds = {kind: {"ours": means(g, _ours), "bm25": means(g, _plain)} for kind, g in by_kind(found).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"kinds": kinds, "queries": rows}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _ours(one: Asked) -> Mapping[str, float]:
    return one.ours


def _plain(one: Asked) -> Mapping[str, float]:
    return one.plain


def _reference(found: Sequence[Asked]) -> dict[str, Means]:
    groups: dict[str, list[Asked]] = {}
    for one in found:
        groups.setdefault(f"{one.collection}/{one.query.kind}", []).append(one)
    return {of: {name: round(v, 4) for name, v in means(group, _ours).items()} for of, group in sorted(groups.items())}


def _measured(queries: Sequence[Query], run: Run) -> dict[str, dict[str, float]]:
    grades = [Qrel(query.id, name, grade) for query in queries for name, grade in query.relevant.items()]
    # The order is what is measured: scores that are equal would be ordered anew, by name.
    found = [ScoredDoc(query, name, float(-place)) for query, names in run.items() for place, name in enumerate(names)]
    figures = {query.id: dict.fromkeys(MEASURES, 0.0) for query in queries}
    names = {measure: name for name, measure in MEASURES.items()}
    for metric in ir_measures.iter_calc(list(MEASURES.values()), grades, found):
        figures[metric.query_id][names[metric.measure]] = metric.value
    return figures


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
