# SPDX-License-Identifier: Apache-2.0
"""Writes docs/reference/permissions.md from the table of permissions, so that a change of who may do what is seen in a review.

`--check` writes nothing and fails if the file isn't what would be written.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pinakes.core.identity.permissions import (
    ADMINISTRATION,
    BEYOND_COLLECTIONS,
    FILTERED,
    GRANTS,
    RULES,
    TENANT_DATA,
    Permission,
    Role,
    states_of,
)

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference" / "permissions.md"
_HEAD = """# Permissions

<!-- Written by tools/permissions_reference.py from services/pinakes/core/identity/permissions.py; `make gen` renews it. -->

Which RPC needs which permission, and which role has it. An RPC that isn't in the table can't start. `admin` is of the deployment; the
other roles act in their own tenant alone, which the credential says. [Keys and roles](../guides/authentication.md) explains them.

## RPCs

The tenant is the one that the field names. *States* are those of a tenant in which administrators may call; a tenant's own credentials
open an active one. *Reason* means that an administrator [says why](../decisions/0023-administrators-say-why.md). *Audited* is what is
taken down beside refusals: `data` only what administrators do, `access` every look, `change` every change.
"""
_ROLES_HEAD = """
## Roles

*Fresh* permissions want a credential that was confirmed within the last minute, even when the engine can't be asked.
*Filtered* permissions are what a filter in a [scoped token](../guides/authentication.md) leaves of its role's. Collections in one leave all
of them in these collections; where a name says no collection, only the *beyond* permissions.
"""


def _mark(yes: bool) -> str:  # the cell of a table
    return "yes" if yes else ""


def rpcs() -> str:
    """Return the table of RPCs."""
    roles = list(Role)
    rows = [
        f"| RPC | permission | tenant by | {' | '.join(roles)} | reason | audited | states |",
        f"|---|---|---|{'---|' * len(roles)}---|---|---|",
    ]
    for method, rule in sorted(RULES.items()):
        held = " | ".join(_mark(rule.permission in GRANTS[role]) for role in roles)
        states = ", ".join(sorted(states_of(method, administrator=True))) if rule.name_field else ""
        name = method.removeprefix("/pinakes.v1.").removeprefix("/google.longrunning.").replace("/", ".")
        field = f"`{rule.name_field}`" if rule.name_field else "over all"
        reason = _mark(rule.permission in TENANT_DATA)
        rows.append(f"| `{name}` | `{rule.permission}` | {field} | {held} | {reason} | {rule.audit} | {states} |")
    return "\n".join(rows) + "\n"


def grants() -> str:
    """Return the table of roles."""
    roles = list(Role)
    rows = [
        f"| permission | {' | '.join(roles)} | fresh | filtered | beyond |",
        f"|---|{'---|' * len(roles)}---|---|---|",
    ]
    for permission in Permission:
        held = " | ".join(_mark(permission in GRANTS[role]) for role in roles)
        more = " | ".join(_mark(permission in one) for one in (ADMINISTRATION, FILTERED, BEYOND_COLLECTIONS))
        rows.append(f"| `{permission}` | {held} | {more} |")
    return "\n".join(rows) + "\n"


def reference() -> str:
    """Return the text of docs/reference/permissions.md."""
    own = ", ".join(sorted(states_of("", administrator=False)))
    return f"{_HEAD}\n{rpcs()}{_ROLES_HEAD}\n{grants()}\nOwn credentials open a tenant that is: {own}.\n"


def main() -> None:
    """Write the file, or compare it with `--check`."""
    if "--check" not in sys.argv[1:]:
        REFERENCE.write_text(reference(), encoding="utf-8")
    elif not REFERENCE.exists() or REFERENCE.read_text(encoding="utf-8") != reference():
        sys.exit("stale: docs/reference/permissions.md; run tools/permissions_reference.py")


if __name__ == "__main__":
    main()
