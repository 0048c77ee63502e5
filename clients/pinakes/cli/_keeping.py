# SPDX-License-Identifier: Apache-2.0
"""What `pinakes collections` says of keeping documents: which fields have personal data, and how long documents stay."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import typer

from pinakes.cli._session import usage
from pinakes.client import _documents
from pinakes.v1.personal_data_pb2 import PersonalData
from pinakes.v1.resources_pb2 import Collection

Personal = Annotated[
    list[str],
    typer.Option(
        "--personal", metavar="PATH:CLASS",
        help="A field with personal data that isn't a declared attribute, such as title:mask or attributes.owner:hash; "
        "CLASS is mask, hash, omit_from_logs or none.",
    ),
]  # fmt: skip
Retention = Annotated[
    str | None,
    typer.Option(
        "--retention", help="How long documents stay after a change: 90d, 12h, 30m; 0 for ever.", metavar="TIME"
    ),
]
NAMES = {number: name for name, number in _documents.PERSONAL.items()}
_UNITS = {"m": 60, "h": 3600, "d": 86_400}
_TIME = re.compile(r"(\d{1,8})([mhd])|0")


def classes(given: Sequence[str]) -> dict[str, str] | None:
    """Return classes by path; None if nothing was given."""
    found: dict[str, str] = {}
    for text in given:
        path, colon, name = text.rpartition(":")
        if not colon or not path or name not in _documents.PERSONAL:
            raise usage(f"--personal {text}: not PATH:CLASS with a class of {', '.join(_documents.PERSONAL)}")
        found[path] = name
    return found or None


def changed(current: PersonalData, given: Sequence[str], masked_for_services: bool | None) -> PersonalData:
    """Return what a collection says of personal data with some classes set or, by `none`, taken away."""
    wanted = {rule.path: NAMES[rule.pii] for rule in current.rules} | (classes(given) or {})
    kept = {path: name for path, name in wanted.items() if name != "none"}
    masked = current.masked_for_services if masked_for_services is None else masked_for_services
    return _documents.personal_data(kept, masked_for_services=masked) or PersonalData()


def seconds(given: str | None) -> int | None:
    """Return a time such as 90d in seconds."""
    if given is None:
        return None
    found = _TIME.fullmatch(given)
    if found is None:
        raise usage(f"--retention {given}: not a time such as 90d, 12h or 30m, or 0")
    return int(found[1]) * _UNITS[found[2]] if found[1] else 0


def rows(collection: Collection) -> list[tuple[str, str]]:
    """Return the lines that say how documents are kept; none for a collection that says nothing of it."""
    found: list[tuple[str, str]] = []
    rules = [f"{rule.path}:{NAMES[rule.pii]}" for rule in collection.personal_data.rules]
    if collection.personal_data.masked_for_services:
        rules.append("masked for services too")
    if rules:
        found.append(("personal data", "\n".join(rules)))
    if total := collection.retention.seconds:
        unit = next((name for name in "dhm" if total % _UNITS[name] == 0), "")
        found.append(("retention", f"{total // _UNITS[unit]}{unit}" if unit else f"{total}s"))
    return found
