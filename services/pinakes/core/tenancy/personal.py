# SPDX-License-Identifier: Apache-2.0
"""Personal data and retention in a collection's record: changed by what callers send, and checked as a whole."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, Kind, Violation, invalid
from pinakes.core.privacy.classes import ATTRIBUTE, OWN_FIELDS, Pii, plain_path

if TYPE_CHECKING:
    from google.protobuf import duration_pb2

    from pinakes.core.tenancy.models import CollectionRecord

SHORTEST_MS, LONGEST_MS = 60_000, 36_500 * 86_400_000
RULES, DECLARED = "collection.personal_data.rules", "collection.attributes"


def with_classes(record: CollectionRecord, said: Mapping[str, Pii | None]) -> CollectionRecord:
    """Return the record with the classes of these declared attributes; None takes a class away."""
    attributes = tuple(
        replace(one, pii=(said[one.name] or "") if one.name in said else one.pii) for one in record.attributes
    )
    return replace(record, attributes=attributes)


def with_rules(record: CollectionRecord, rules: Sequence[tuple[str, Pii]]) -> CollectionRecord:
    """Return the record with the classes of fields that aren't declared attributes."""
    return replace(record, personal=tuple((plain_path(path), pii.value) for path, pii in rules))


def check_personal(before: CollectionRecord, record: CollectionRecord) -> None:
    """Refuse classes that mean nothing, and a removal that would show values. Raises a `Fault`: PERSONAL_DATA_INVALID."""
    found = (*_rules(record), *_removed(before, record))
    if found:
        text = f"{found[0].field}: {found[0].description}"
        raise Fault(Kind.INVALID, "PERSONAL_DATA_INVALID", text, found)


def _rules(record: CollectionRecord) -> Iterator[Violation]:
    declared = {one.name: place for place, one in enumerate(record.attributes)}
    paths = [path for path, _ in record.personal]
    for place, path in enumerate(paths):
        where = f"{RULES}[{place}].path"
        if wrong := _path(path, declared):
            yield Violation(where, wrong)
        elif (first := paths.index(path)) != place:
            yield Violation(where, f"{path[:80]} is classed by {RULES}[{first}] already")
        elif above := next((p for p in paths if path.startswith(f"{p}.")), ""):
            yield Violation(where, f"{path[:80]} is below {above[:80]}, whose class it has; leave it out")


def _path(path: str, declared: Mapping[str, int]) -> str:
    """Return what is wrong with the path of a rule; empty if nothing is."""
    if path in OWN_FIELDS:
        return ""
    known = f"known: {', '.join(OWN_FIELDS)}, {ATTRIBUTE}NAME"
    name = path.removeprefix(ATTRIBUTE)
    if name == path:
        near = difflib.get_close_matches(path, OWN_FIELDS, 1)
        return f"there is no field {path[:80]} that can be classed; {f'did you mean {near[0]}?' if near else known}"
    if not all(name.split(".")) or re.search(r"[\x00-\x1f]", name):
        return f"expected {ATTRIBUTE} and names joined by dots, found {path[:80]!r}"
    first = name.partition(".")[0]
    owner = name if name in declared else first
    if owner in declared:
        return f"{ATTRIBUTE}{owner} is declared; set {DECLARED}[{declared[owner]}].pii instead"
    return ""


def _removed(before: CollectionRecord, record: CollectionRecord) -> Iterator[Violation]:
    """Yield which removed attributes would show the values that documents still have of them."""
    left, ruled = {one.name for one in record.attributes}, {path for path, _ in record.personal}
    for one in before.attributes:
        if one.pii and one.name not in left and ATTRIBUTE + one.name not in ruled:
            advice = f"add {ATTRIBUTE}{one.name} to personal_data.rules in the same update"
            yield Violation(DECLARED, f"{one.name} is classed {one.pii}, and documents keep its values; {advice}")


def may_change(before: CollectionRecord, record: CollectionRecord, *, sees: bool) -> None:
    """Refuse a change of who sees what by a caller who doesn't see it. Raises a fault of kind DENIED."""
    same = before.classes == record.classes and before.masked_for_services == record.masked_for_services
    if not sees and not same:
        text = "only who sees personal data may change which fields have it, and who sees it"
        raise Fault(Kind.DENIED, "PERSONAL_DATA_DENIED", text)


def retention_ms(given: duration_pb2.Duration) -> int:
    """Return a retention in ms; 0 is for ever. Raises a `Fault` of reason RETENTION_INVALID."""
    try:
        found = given.ToMilliseconds()
    except ValueError:
        found = -1
    if (given.seconds or given.nanos) and not SHORTEST_MS <= found <= LONGEST_MS:
        text = "expected 0 or 1 minute (60s) to 36,500 days (3153600000s)"
        raise invalid("collection.retention", text, "RETENTION_INVALID")
    return found
