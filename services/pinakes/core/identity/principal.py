# SPDX-License-Identifier: Apache-2.0
"""Who calls, as it was verified."""

from __future__ import annotations

from dataclasses import dataclass

from pinakes.core.identity.permissions import Role


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller.

    `tenants` are the ids it may name, None for all (administrators). `readers` are the names it reads documents as,
    None for every document. `tenant_uid` binds a key to the tenant it was made for, not to a later one of that name.
    """

    subject: str
    role: Role
    tenants: tuple[str, ...] | None
    readers: tuple[str, ...] | None
    tenant_uid: str | None = None

    @property
    def home(self) -> str | None:
        """Id of the tenant that `tenants/-` means, if there is just one."""
        return self.tenants[0] if self.tenants is not None and len(self.tenants) == 1 else None
