# SPDX-License-Identifier: Apache-2.0
"""Search settings of a collection: merged by mask, and checked when they are set, so that no search meets a wrong one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, Kind, Violation
from pinakes.core.query.curation import normalised, period
from pinakes.core.query.expression import And, Call, Comparison, Expression, Not, Or, Path
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import ATTRIBUTES, FIELDS
from pinakes.core.query.options import collection_options, search_settings
from pinakes.core.query.ranking import ranked
from pinakes.core.query.synonyms import group_of
from pinakes.v1 import ranking_pb2

if TYPE_CHECKING:
    from pinakes.core.settings import Limits
    from pinakes.core.tenancy.models import CollectionRecord

FIELD = "search"
PARTS = frozenset(field.name for field in ranking_pb2.SearchSettings.DESCRIPTOR.fields)
PATHS = frozenset({FIELD, *(f"{FIELD}.{part}" for part in PARTS)})
"""What an update mask may name."""

GROUP_WORDS = 5
_PREFIX = "attributes."
Wrong = Iterator[Violation]


def merged(
    settings: ranking_pb2.SearchSettings, given: ranking_pb2.SearchSettings, paths: frozenset[str]
) -> ranking_pb2.SearchSettings:
    """Return settings with the parts that `paths` name as they are in `given`; what isn't set there is cleared."""
    if FIELD in paths:
        return given
    chosen = ranking_pb2.SearchSettings()
    chosen.CopyFrom(settings)
    named = {path.removeprefix(f"{FIELD}.") for path in paths & PATHS}
    for part in named:
        chosen.ClearField(part)
    wanted = ranking_pb2.SearchSettings()
    wanted.CopyFrom(given)
    for part in PARTS - named:
        wanted.ClearField(part)
    chosen.MergeFrom(wanted)
    return chosen


def check(record: CollectionRecord, limits: Limits) -> None:
    """Refuse settings that a search couldn't follow. Raises a `Fault` of reason SEARCH_SETTINGS_INVALID with each place."""
    settings = search_settings(record)
    found: list[Violation] = []
    if (size := settings.ByteSize()) > limits.search_settings_bytes:
        text = f"has {size} bytes; at most {limits.search_settings_bytes} are allowed (limit search_settings_bytes)"
        found.append(Violation("", text))
    else:
        found += _ranking(record, limits)
        found += _synonyms(settings.synonyms)
        found += _stop_words(settings.stop_words)
        found += _curations(settings.curations)
    if found:
        base = f"collection.{FIELD}"
        placed = tuple(Violation(f"{base}.{v.field}" if v.field else base, v.description) for v in found)
        text = f"{placed[0].field}: {placed[0].description}"
        raise Fault(Kind.INVALID, "SEARCH_SETTINGS_INVALID", text, placed)


def check_removed(settings: ranking_pb2.SearchSettings, removed: set[str], limits: Limits) -> None:
    """Refuse to remove attributes that search settings use. Raises a `Fault` of reason ATTRIBUTE_IN_USE."""
    found = tuple(
        Violation("collection.attributes", f"{name} is used by {FIELD}.{place}; change that before, or in the same update")
        for place, name in _uses(settings.ranking, limits)
        if name in removed
    )  # fmt: skip
    if found:
        raise Fault(Kind.INVALID, "ATTRIBUTE_IN_USE", f"{found[0].field}: {found[0].description}", found)


# ---- ranking


def _ranking(record: CollectionRecord, limits: Limits) -> Wrong:
    """Do what a search does with the ranking."""
    try:
        options = collection_options(record)
        ranked(None, options, record.schema(), limits, now_ms=0)
    except Fault as fault:
        yield from fault.violations
    else:
        if not options.fields:
            yield Violation("ranking", "every field has weight 0; at least one must be searched")


def _uses(ranking: ranking_pb2.Ranking, limits: Limits) -> Iterator[tuple[str, str]]:
    """Yield which part of the settings uses which attribute."""
    for name in sorted(ranking.text_attributes):
        yield f'ranking.text_attributes["{name}"]', name
    if ranking.HasField("freshness"):
        yield "ranking.freshness.field", ranking.freshness.field.removeprefix(_PREFIX)
    for place, boost in enumerate(ranking.boosts):
        if boost.WhichOneof("what") == "number":
            yield f"ranking.boosts[{place}].number", boost.number.removeprefix(_PREFIX)
        elif boost.WhichOneof("what") == "filter":
            for name in sorted(_attributes(parse_filter(boost.filter, limits))):
                yield f"ranking.boosts[{place}].filter", name


def _attributes(expression: Expression | Call) -> set[str]:
    """Return the names of the attributes that a filter looks at."""
    if isinstance(expression, And | Or):
        return {name for operand in expression.operands for name in _attributes(operand)}
    if isinstance(expression, Not):
        return _attributes(expression.operand)
    if isinstance(expression, Call):
        # A function takes fields as words: `distance(attributes.place, …)`.
        return {getattr(argument, "text", "").removeprefix(_PREFIX) for argument in expression.arguments}
    if isinstance(expression, Comparison):
        left = expression.left
        if not isinstance(left, Path):
            return _attributes(left)
        # Attributes may be named without their prefix; a document's own fields come first.
        named = left.keys[1:] if left.keys[0] == ATTRIBUTES else left.keys
        return set(named[:1]) if str(left) not in FIELDS else set()
    return set()


# ---- words


def _synonyms(synonyms: Sequence[ranking_pb2.Synonym]) -> Wrong:
    for place, synonym in enumerate(synonyms):
        where = f"synonyms[{place}]"
        yield from _groups(f"{where}.words", synonym.words)
        yield from _groups(f"{where}.means", synonym.means)
        if len(synonym.words) == 1 and not synonym.means:
            yield Violation(f"{where}.words", "has one entry; give another one that means the same, or `means`")


def _groups(where: str, groups: Sequence[str]) -> Wrong:
    yield from _distinct(where, groups, lambda text: " ".join(group_of(text)))
    for place, group in enumerate(groups):
        words = group_of(group)
        if not words:
            yield Violation(f"{where}[{place}]", "has no letter or digit; expected a word")
        elif len(words) > GROUP_WORDS:
            yield Violation(f"{where}[{place}]", f"has {len(words)} words; at most {GROUP_WORDS} are allowed")


def _stop_words(words: Sequence[str]) -> Wrong:
    yield from _distinct("stop_words", words, normalised)
    for place, word in enumerate(words):
        text = normalised(word)
        if not group_of(word):
            yield Violation(f"stop_words[{place}]", "has no letter or digit; expected a word")
        elif " " in text:
            yield Violation(f"stop_words[{place}]", "has several words; give them one by one")


def _distinct(where: str, texts: Sequence[str], key: Callable[[str], str]) -> Wrong:
    seen: dict[str, int] = {}
    for place, text in enumerate(texts):
        first = seen.setdefault(key(text), place)
        if first != place:
            yield Violation(
                f"{where}[{place}]", f"{text[:80]} is the same as {where}[{first}], but for case and accents"
            )


# ---- curations


def _curations(curations: Sequence[ranking_pb2.Curation]) -> Wrong:
    held: dict[tuple[str, bool], list[tuple[int, int, int]]] = {}
    for place, curation in enumerate(curations):
        where = f"curations[{place}]"
        text = normalised(curation.query)
        if not text:
            yield Violation(f"{where}.query", "has nothing but spaces; expected a query")
        if not curation.pins and not curation.hides:
            yield Violation(where, "neither pins nor hides anything")
        hides = set(curation.hides)
        for number, pin in enumerate(curation.pins):
            if pin in hides:
                yield Violation(f"{where}.pins[{number}]", f"{pin} is hidden by the same curation; pin it or hide it")
        try:
            start, end = period(curation)
        except ValueError:
            yield Violation(where, "start_time and end_time must be from 0001-01-01 to 9999-12-31")
            continue
        if start >= end:
            yield Violation(f"{where}.end_time", "must be after start_time")
        prefix = curation.match == ranking_pb2.Curation.MATCH_PREFIX
        held.setdefault((text, prefix), []).append((start, end, place))
    for same in held.values():
        yield from _at_once(sorted(same))


def _at_once(periods: Sequence[tuple[int, int, int]]) -> Wrong:
    """Refuse two curations of one query that hold at the same time; `periods` are (start, end, place), by start."""
    until, latest = periods[0][1], periods[0][2]
    for start, end, place in periods[1:]:
        if start < until:
            one, other = sorted((latest, place))
            text = f"the same query as curations[{one}] at the same time; put them together, or part their times"
            yield Violation(f"curations[{other}].query", text)
        if end > until:
            until, latest = end, place
