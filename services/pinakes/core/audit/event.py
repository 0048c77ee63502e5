# SPDX-License-Identifier: Apache-2.0
"""An event of the audit log, as it goes from the process where it happened to the chain."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pinakes.core.tenancy.models import now_ms

Json = dict[str, Any]
FORMAT = 1
MOST_FIELDS = 50
MOST_CHARS = 300


class Kind(StrEnum):
    """What kind of event it is; the names are those of the contract."""

    ACCESS = "ACCESS"
    CHANGE = "CHANGE"
    SECURITY = "SECURITY"
    SYSTEM = "SYSTEM"


@dataclass(slots=True, kw_only=True)
class Event:
    """What happened: the contract's `AuditEvent` says what the fields mean. Times are in ms; `last` is 0 for a single event.

    `tenant_uid` says whose it is to see, `tenant` what the tenant was called.
    """

    kind: Kind
    action: str
    time: int = field(default_factory=now_ms)
    subject: str = ""
    role: str = ""
    credential: str = ""
    tenant: str = ""
    tenant_uid: str = ""
    resource: str = ""
    code: str = "OK"
    reason: str = ""
    request_id: str = ""
    justification: str = ""
    fields: tuple[str, ...] = ()
    details: dict[str, str] = field(default_factory=dict)
    count: int = 1
    last: int = 0

    def to_json(self) -> Json:
        """Return the event as it is kept, its texts cut to what the log takes."""
        body: Json = {"v": FORMAT, **dataclasses.asdict(self)}
        body["fields"] = [name[:MOST_CHARS] for name in self.fields[:MOST_FIELDS]]
        body["details"] = {name: value[:MOST_CHARS] for name, value in list(self.details.items())[:MOST_FIELDS]}
        for name in ("subject", "credential", "resource", "justification"):
            body[name] = body[name][:MOST_CHARS]
        return body
