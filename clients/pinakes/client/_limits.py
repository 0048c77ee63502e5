# SPDX-License-Identifier: Apache-2.0
"""Limits by their names, as people write them: of a tenant, and of a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from pinakes.v1.limits_pb2 import KeyLimits, TenantLimits
from pinakes.v1.resources_pb2 import Tenant

Limits = Mapping[str, float | str]
"""Limits by name: numbers, 0 for the platform's default; `enforcement` is refuse, dry_run or default."""

REQUESTS = "requests_per_second"
_ENFORCEMENT = {
    "default": TenantLimits.ENFORCEMENT_UNSPECIFIED,
    "refuse": TenantLimits.ENFORCEMENT_REFUSE,
    "dry_run": TenantLimits.ENFORCEMENT_DRY_RUN,
}
_INT = {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64}
_NAMES = tuple(name for name in TenantLimits.DESCRIPTOR.fields_by_name if name != "in_force")
TENANT_NAMES = (REQUESTS, *_NAMES)
KEY_NAMES = tuple(KeyLimits.DESCRIPTOR.fields_by_name)
M = TypeVar("M", bound=Message)


def limited(tenant: Tenant, limits: Limits) -> list[str]:
    """Set limits in a tenant, and return the paths of an update mask that are theirs. Raises ValueError."""
    given = dict(limits)
    paths = [f"limits.{name}" for name in given if name != REQUESTS]
    if REQUESTS in given:
        tenant.rate_limit = float(given.pop(REQUESTS))
        paths.append("rate_limit")
    if given:
        tenant.limits.CopyFrom(_filled(TenantLimits(), given, TENANT_NAMES))
    return paths


def of_key(limits: Limits) -> KeyLimits:
    """Return a key's limits. Raises ValueError."""
    return _filled(KeyLimits(), limits, KEY_NAMES)


def _filled(message: M, limits: Limits, known: tuple[str, ...]) -> M:
    for name, value in limits.items():
        if name not in known:
            text = f"{name} isn't a limit; there are {', '.join(known)}"
            raise ValueError(text)
        field = message.DESCRIPTOR.fields_by_name[name]
        if name == "enforcement":
            if value not in _ENFORCEMENT:
                text = f"enforcement is {', '.join(_ENFORCEMENT)}, not {value}"
                raise ValueError(text)
            setattr(message, name, _ENFORCEMENT[str(value)])
        else:
            setattr(message, name, int(value) if field.cpp_type in _INT else float(value))
    return message
