# SPDX-License-Identifier: Apache-2.0
"""Requests made from the contract's descriptors: every field that holds a resource name, and a valid message around it.

What a field must hold is asked of the contract's own rules: a message is filled until protovalidate is content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import protovalidate
from google.api import field_behavior_pb2, resource_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.message import Message

from buf.validate import validate_pb2
from pinakes.core.identity.permissions import RULES
from pinakes.core.rpc import foreign
from pinakes.core.rpc.checks import field_path
from tests.wire import METHODS

TENANT = "tenants/{tenant}"
OPERATION = "tenants/{tenant}/operations/{operation}"
# Each is tried in turn where a rule refuses what there is.
_TEXTS = (
    "probe", "a", "probe-probe", "file:///probe.jsonl", "https://probe.example/", "en", "A" * 32, "1",
    "2026-01-31", "2026-01-31T00:00:00Z", "tenants/probe-probe",
)  # fmt: skip
_NUMBERS = (1, 2, 10, 60, 100, 1000, 100_000)
_DEPTH = 5


@dataclass(frozen=True, slots=True)
class NameField:
    """A field that holds a resource name: its path in the request, and the pattern of the name.

    `anchor` is the one that says whose the call is.
    """

    method: str
    path: tuple[str, ...]
    pattern: str
    anchor: bool

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.method.rpartition('/')[2]}.{'.'.join(self.path)}"


def _files() -> Iterator[FileDescriptor]:
    seen: set[str] = set()
    waiting = [method.containing_service.file for method in METHODS.values()]
    while waiting:
        file = waiting.pop()
        if file.name not in seen:
            seen.add(file.name)
            waiting += file.dependencies
            yield file


def _resources() -> dict[str, str]:
    """Return the pattern of each type of resource that the contract declares."""
    found = {"pinakes/Operation": OPERATION}
    for file in _files():
        for message in file.message_types_by_name.values():
            declared = message.GetOptions().Extensions[resource_pb2.resource]
            if declared.type:
                found[declared.type] = declared.pattern[0]
    return found


RESOURCES = _resources()


def pattern_of(field: FieldDescriptor) -> str:
    """Return the pattern of the name that a field holds; empty if it holds none."""
    message = field.containing_type
    if field.type != field.TYPE_STRING or message is None:
        return ""
    referenced = field.GetOptions().Extensions[resource_pb2.resource_reference].type
    if referenced:
        return RESOURCES[referenced]
    if field.name != "name":
        return ""
    if message.full_name.startswith("google.longrunning."):
        return TENANT if message.name == "ListOperationsRequest" else OPERATION
    declared = message.GetOptions().Extensions[resource_pb2.resource]
    return declared.pattern[0] if declared.type else ""


def has_name_rule(field: FieldDescriptor) -> bool:
    """Tell whether the contract's rules want a resource name in a field."""
    rules = field.GetOptions().Extensions[validate_pb2.field]
    wanted = (rules.string.pattern, rules.repeated.items.string.pattern)
    return any(pattern.startswith(("^tenants/", "^(tenants/")) for pattern in wanted)


def fields_of(message: Descriptor, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldDescriptor]]:
    """Yield all fields of a request, those of messages within it too, with their paths."""
    for field in message.fields:
        here = (*path, field.name)
        yield here, field
        inner = field.message_type
        is_map = inner is not None and inner.GetOptions().map_entry
        if inner is not None and not is_map and not inner.full_name.startswith("google.") and len(here) < _DEPTH:
            yield from fields_of(inner, here)


def _name_fields() -> list[NameField]:
    found = []
    for method, descriptor in METHODS.items():
        anchor = RULES[method].name_field
        for path, field in fields_of(descriptor.input_type):
            if pattern := pattern_of(field):
                found.append(NameField(method, path, pattern, ".".join(path) == anchor))
    return found


NAME_FIELDS = _name_fields()
ANCHORS = {field.method: field for field in NAME_FIELDS if field.anchor}


def build(method: str, names: Mapping[NameField, str], own: Mapping[str, str], *, bold: bool = False) -> Message:
    """Return a valid request with these names, each at the first place of its kind; others are of the ids in `own`.

    A bold one asks for all that can be asked for by a flag; any other only asks to be checked, where that can be asked for.
    """
    message = message_factory.GetMessageClass(METHODS[method].input_type)()
    for field, name in names.items():
        _put(message, field.path, name)
    for flag in message.DESCRIPTOR.fields:
        if flag.type == flag.TYPE_BOOL and not flag.is_repeated and not flag.containing_oneof:
            setattr(message, flag.name, (flag.name != "validate_only") if bold else (flag.name == "validate_only"))
    _require(message)
    tries: dict[str, int] = {}
    for _ in range(100):
        places = [violation.proto.field.elements for violation in protovalidate.collect_violations(message)]
        if not places:
            for violation in foreign.violations(message):
                message.ClearField(violation.field)  # flags of messages that aren't ours
            return message
        for elements in places:
            place = field_path(elements)
            _repair(message, list(elements), tries.setdefault(place, 0), own)
            tries[place] += 1
    text = (
        f"{method}: no valid request is found; the rules refuse {sorted(tries)}: teach tests/e2e/_requests.py a value"
    )
    raise AssertionError(text)


def _put(message: Message, path: tuple[str, ...], value: str) -> None:
    for part in path[:-1]:
        field = message.DESCRIPTOR.fields_by_name[part]
        inner = getattr(message, part)
        message = (inner[0] if len(inner) else inner.add()) if field.is_repeated else inner
    leaf = message.DESCRIPTOR.fields_by_name[path[-1]]
    if leaf.is_repeated:
        getattr(message, path[-1]).append(value)
    else:
        setattr(message, path[-1], value)


def _require(message: Message) -> None:
    """Make the messages that must be there."""
    for field in message.DESCRIPTOR.fields:
        if (
            field_behavior_pb2.REQUIRED in _behaviours(field)
            and field.message_type is not None
            and not field.is_repeated
        ):
            getattr(message, field.name).SetInParent()


def _behaviours(field: FieldDescriptor) -> Any:
    return field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


def _repair(message: Any, elements: list[Any], tried: int, own: Mapping[str, str]) -> None:
    """Put another value where a rule is broken."""
    for element in elements[:-1]:
        message = getattr(message, element.field_name)
        if element.subscript is not None:
            message = message[element.subscript.value]
    assert elements, f"{message.DESCRIPTOR.name}: a rule of the whole message is broken: teach tests/e2e/_requests.py"
    name, subscript = elements[-1].field_name, elements[-1].subscript
    inner = getattr(message, name, None)
    if subscript is not None and isinstance(inner[subscript.value], Message):
        message = inner[subscript.value]
        name, subscript = next(iter(message.DESCRIPTOR.oneofs_by_name)), None
    if name in message.DESCRIPTOR.oneofs_by_name:
        name = message.DESCRIPTOR.oneofs_by_name[name].fields[0].name
    field = message.DESCRIPTOR.fields_by_name[name]
    if field.is_repeated:
        if subscript is not None:
            inner[subscript.value] = _value(field, tried, own)
        elif field.message_type is not None:
            inner.add()
        else:
            inner.append(_value(field, tried, own))
    elif field.message_type is not None:
        _set_message(getattr(message, name), own)
    else:
        setattr(message, name, _value(field, tried, own))


def _set_message(inner: Message, own: Mapping[str, str]) -> None:
    inner.SetInParent()
    for field in inner.DESCRIPTOR.fields:
        if pattern := pattern_of(field):
            setattr(inner, field.name, pattern.format_map(own))
        elif field.enum_type is not None and field_behavior_pb2.IMMUTABLE in _behaviours(field):
            setattr(inner, field.name, field.enum_type.values[1].number)  # what is said once has to be said
    if inner.DESCRIPTOR.full_name in {"google.protobuf.Timestamp", "google.protobuf.Duration"}:
        inner.seconds = 3600  # type: ignore[attr-defined]  # both have it


def _value(field: FieldDescriptor, tried: int, own: Mapping[str, str]) -> Any:
    if pattern := pattern_of(field):
        return pattern.format_map(own)
    if field.enum_type is not None:
        values = field.enum_type.values
        return values[(tried + 1) % len(values)].number
    if field.type == field.TYPE_STRING:
        return _TEXTS[tried % len(_TEXTS)]
    if field.type == field.TYPE_BYTES:
        return b"p" * (1 << tried)
    if field.type == field.TYPE_BOOL:
        return True
    return _NUMBERS[tried % len(_NUMBERS)]
