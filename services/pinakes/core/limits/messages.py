# SPDX-License-Identifier: Apache-2.0
"""Limits as the messages that callers see and send."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pinakes.core.limits.figures import DRY_RUN, REFUSE, InForce, KeyLimits, TenantLimits, in_force, names_of
from pinakes.v1 import limits_pb2

if TYPE_CHECKING:
    from pinakes.core.tenancy.models import KeyRecord, TenantRecord

_Enforcement = limits_pb2.TenantLimits.Enforcement
_ENFORCEMENT = {
    limits_pb2.TenantLimits.ENFORCEMENT_UNSPECIFIED: "",
    limits_pb2.TenantLimits.ENFORCEMENT_REFUSE: REFUSE,
    limits_pb2.TenantLimits.ENFORCEMENT_DRY_RUN: DRY_RUN,
}
_ENFORCED = {name: number for number, name in _ENFORCEMENT.items()}
_TENANT = names_of(TenantLimits)
_KEY = names_of(KeyLimits)
_WHOLE = "limits"
PATHS = frozenset({_WHOLE, *(f"{_WHOLE}.{name}" for name in _TENANT)})
KEY_PATHS = frozenset({_WHOLE, *(f"{_WHOLE}.{name}" for name in _KEY)})
"""What an update mask of a tenant, and of a key, may name: all limits, or one."""


def of_tenant(record: TenantRecord, defaults: InForce) -> limits_pb2.TenantLimits:
    """Return a tenant's limits, and what is in force."""
    held: Any = in_force(record, defaults)
    values: dict[str, Any] = {name: getattr(record.limits, name) for name in _TENANT}
    values["enforcement"] = _ENFORCED[record.limits.enforcement]
    force = limits_pb2.LimitsInForce(**{name: getattr(held, name) for name in names_of(InForce)})
    return limits_pb2.TenantLimits(**values, in_force=force)


def of_key(record: KeyRecord) -> limits_pb2.KeyLimits:
    """Return a key's limits."""
    return limits_pb2.KeyLimits(**{name: getattr(record.limits, name) for name in _KEY})


def key_limits(given: limits_pb2.KeyLimits) -> KeyLimits:
    """Read a key's limits."""
    return KeyLimits(**{name: getattr(given, name) for name in _KEY})


def merged_key(old: KeyLimits, given: limits_pb2.KeyLimits, paths: frozenset[str]) -> KeyLimits:
    """Return a key's old limits with the given ones of `paths`, which are of `KEY_PATHS`."""
    values: dict[str, Any] = {name: getattr(given, name) for name in _KEY}
    if _WHOLE in paths:
        return KeyLimits(**values, more=old.more)
    return replace(old, **{name: value for name, value in values.items() if f"{_WHOLE}.{name}" in paths})


def merged(old: TenantLimits, given: limits_pb2.TenantLimits, paths: frozenset[str]) -> TenantLimits:
    """Return the old limits with the given ones of `paths`, which are of `PATHS`."""
    values: dict[str, Any] = {name: getattr(given, name) for name in _TENANT}
    values["enforcement"] = _ENFORCEMENT[given.enforcement]
    if _WHOLE in paths:
        return TenantLimits(**values, more=old.more)
    return replace(old, **{name: value for name, value in values.items() if f"{_WHOLE}.{name}" in paths})
