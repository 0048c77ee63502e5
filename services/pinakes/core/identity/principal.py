# SPDX-License-Identifier: Apache-2.0
"""Who calls, as it was verified, and how far its credential is narrowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pinakes.core.identity.permissions import Role
from pinakes.core.limits.figures import KeyLimits

if TYPE_CHECKING:
    from pinakes.core.tenancy.models import TenantRecord


class Principal(NamedTuple):
    """A verified caller. A tuple, because one is made for each credential that comes for the first time.

    `tenants` are the ids it may name, None for all (administrators). `readers` are the names it reads documents as,
    None for every document. A tenant's id may be another's later (docs/decisions/0005): `tenant_uids` binds a credential to the
    tenants that it was made for, None where that isn't known; `issued_ms` is when a JWT was issued, in ms since 1970.

    `credential` stands for what it authenticates with, for limits per credential: `key:ID`, `jwt:SUBJECT`,
    `spiffe://…`. The scoped tokens of a key have the key's, and an id of their own in `token`; `rate` is the rate that
    such a token allows itself, in requests a second, 0 for none. `collections` are the ids it is narrowed to, None for
    all; `filter` is the AIP-160 filter that all it reads must match, empty for none. `limits` are those of the API key, if
    it has any. `maker` is the role of the key that a scoped token was made with: what that may not see, the filter can't
    look at.
    """

    subject: str
    role: Role
    tenants: tuple[str, ...] | None
    readers: tuple[str, ...] | None
    tenant_uids: tuple[str, ...] | None = None
    credential: str = ""
    token: str = ""
    rate: float = 0.0
    collections: tuple[str, ...] | None = None
    filter: str = ""
    maker: Role | None = None
    limits: KeyLimits | None = None
    issued_ms: int | None = None

    @property
    def home(self) -> str | None:
        """Id of the tenant that `tenants/-` means, if there is just one."""
        return self.tenants[0] if self.tenants is not None and len(self.tenants) == 1 else None

    def belongs_to(self, tenant: TenantRecord) -> bool:
        """Tell whether it is a caller of this tenant, not of an earlier one that had its id. An administrator is of all."""
        tenants, uids = self.tenants, self.tenant_uids
        if tenants is None:
            return True
        if tenant.tenant_id not in tenants or (uids is not None and tenant.uid not in uids):
            return False
        return self.issued_ms is None or self.issued_ms >= tenant.create_ms

    @property
    def sees_all(self) -> bool:
        """Whether it may read every document of its collections."""
        return self.readers is None and not self.filter
