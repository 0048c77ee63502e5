# SPDX-License-Identifier: Apache-2.0
"""Limits as they are set for a tenant or a key, and as they are in force, the deployment's defaults among them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pinakes.core.settings import Settings
    from pinakes.core.tenancy.models import TenantRecord

REFUSE, DRY_RUN = "refuse", "dry_run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What may be used in a time: requests saved up and at once, cost of searches, documents and bytes a second; 0 is unset.

    `more` are limits that a newer version of the platform has stored.
    """

    burst: float = 0.0
    concurrent_requests: int = 0
    search_cost_per_second: float = 0.0
    documents_per_second: float = 0.0
    bytes_per_second: float = 0.0
    more: dict[str, Any] = field(default_factory=dict, repr=False, hash=False)

    @classmethod
    def from_json(cls, stored: dict[str, Any] | None) -> Self:
        """Read what is stored."""
        stored, known = stored or {}, names_of(cls)
        more = {name: value for name, value in stored.items() if name not in known}
        return cls(**{name: value for name, value in stored.items() if name in known}, more=more)

    def to_json(self) -> dict[str, Any]:
        """Return what is stored."""
        return self.more | {name: getattr(self, name) for name in names_of(type(self))}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimits(Rates):
    """What one key may use, within what its tenant may."""

    requests_per_second: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantLimits(Rates):
    """What a tenant may use, beside its record's `rate_limit`, and hold. `enforcement` is empty where the deployment decides."""

    documents: int = 0
    bytes: int = 0
    collections: int = 0
    keys: int = 0
    enforcement: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce(KeyLimits):
    """What holds for a tenant; 0 means that there is no limit. With `dry_run` nothing is refused by these."""

    documents: int = 0
    bytes: int = 0
    collections: int = 0
    keys: int = 0
    dry_run: bool = False


def names_of(kind: type[Rates]) -> tuple[str, ...]:
    """Return the names of the limits of a class, as messages and records have them."""
    return tuple(one.name for one in fields(kind) if one.name != "more")


NO_KEY_LIMITS = KeyLimits()
NO_TENANT_LIMITS = TenantLimits()


def defaults_of(settings: Settings) -> InForce:
    """Return what holds for a tenant that has no limits of its own."""
    return InForce(
        requests_per_second=settings.rate_limit, burst=settings.rate_burst,
        concurrent_requests=settings.concurrent_requests,
        search_cost_per_second=settings.search_cost_per_second,
        documents_per_second=settings.documents_per_second, bytes_per_second=settings.bytes_per_second,
        documents=settings.tenant_documents, bytes=settings.tenant_bytes,
        collections=settings.limits.collections, keys=settings.tenant_keys, dry_run=settings.limits_dry_run,
    )  # fmt: skip


def in_force(tenant: TenantRecord, defaults: InForce) -> InForce:
    """Return what holds for a tenant. A burst of the defaults doesn't go with a rate of the tenant's own."""
    own = tenant.limits
    rate = tenant.rate_limit or defaults.requests_per_second
    burst = own.burst or (0.0 if tenant.rate_limit else defaults.burst)
    return InForce(
        requests_per_second=rate, burst=burst_of(rate, burst),
        concurrent_requests=own.concurrent_requests or defaults.concurrent_requests,
        search_cost_per_second=own.search_cost_per_second or defaults.search_cost_per_second,
        documents_per_second=own.documents_per_second or defaults.documents_per_second,
        bytes_per_second=own.bytes_per_second or defaults.bytes_per_second,
        documents=own.documents or defaults.documents, bytes=own.bytes or defaults.bytes,
        collections=own.collections or defaults.collections, keys=own.keys or defaults.keys,
        dry_run=own.enforcement == DRY_RUN if own.enforcement else defaults.dry_run,
    )  # fmt: skip


def burst_of(rate: float, burst: float = 0.0) -> float:
    """Return how many requests may be saved up: those of a second unless said otherwise, and at least one."""
    return max(1.0, burst or rate)
