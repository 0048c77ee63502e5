# SPDX-License-Identifier: Apache-2.0
"""An operation as the platform keeps it. Times are in ms since 1970; 0 means never."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from pinakes.core.faults import Fault, Kind, Violation
from pinakes.core.identity.permissions import Role

if TYPE_CHECKING:
    from pinakes.core.identity.principal import Principal

Json = dict[str, Any]
PENDING, RUNNING, CANCELLING = "pending", "running", "cancelling"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
UNFINISHED = (PENDING, RUNNING, CANCELLING)
FINISHED = (SUCCEEDED, FAILED, CANCELLED)
# How a deleted operation is filed: nobody sees it, but its request id goes on meaning it until it is swept.
HIDDEN = "deleted"
FAILURES = 100
MOVE = "move"
"""The verb of moving a tenant, which others must know of: its documents are there twice meanwhile."""
# The parameter that says which filter the credential was narrowed by that an operation was asked for with.
NARROWED = "narrowed"
# The parameter that says whether that filter is blind to personal data.
BLIND = "blind"


@dataclass(frozen=True, slots=True)
class Row:
    """A row that failed: number of the line (from 1), stable reason, and what is wrong, for people."""

    line: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an operation is, in documents or rows and in bytes. A total of 0 isn't known."""

    total: int = 0
    done: int = 0
    failed: int = 0
    total_bytes: int = 0
    done_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRecord:
    """One operation, bound to a collection of a tenant by uid and id, or to a whole tenant: then these are empty.

    `parameters` are the verb's own, made of the request by the server. `checkpoint` is the job's own; it, `progress` and
    `failures` are always of the same moment. `response` is a packed answer as JSON, `error` a fault's parts. The lease is
    `holder`, `lease_ms` (until when) and `fence`, which grows each time a worker takes the operation. `readers` are
    those of the caller (None: all documents), `role` is the caller's role; `payload` is the digest that a repeated request id is compared by.
    `administrative` ones are an administrator's: a tenant's own callers don't see them, and can't stop them.
    """

    operation_id: str
    tenant_uid: str
    tenant_id: str
    collection_uid: str = ""
    collection_id: str = ""
    verb: str
    parameters: Json = field(default_factory=dict)
    readers: tuple[str, ...] | None = None
    role: str = "service"
    payload: str = ""
    state: str = PENDING
    create_ms: int = 0
    start_ms: int = 0
    end_ms: int = 0
    progress: Progress = Progress()
    checkpoint: Json = field(default_factory=dict)
    failures: tuple[Row, ...] = ()
    response: Json | None = None
    error: Json | None = None
    holder: str = ""
    lease_ms: int = 0
    fence: int = 0
    hidden: bool = False
    administrative: bool = False

    @property
    def rid(self) -> str:
        """Id of the record; the tenant is in it, so that an id of another tenant's finds nothing."""
        return operation_rid(self.tenant_uid, self.operation_id)

    @property
    def finished(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in FINISHED

    def visible_to(self, principal: Principal) -> bool:
        """Whether a caller may know of it: it may tell of documents that the caller can't read.

        A caller whose credential is narrowed sees what is within its collections, and under a filter what was asked for
        under that very filter.
        """
        if self.administrative and principal.role is not Role.ADMIN:
            return False
        if principal.collections is not None and self.collection_id not in principal.collections:
            return False
        if principal.filter and self.parameters.get(NARROWED) != principal.filter:
            return False
        if principal.readers is None:
            return True
        return self.readers is not None and set(self.readers) <= set(principal.readers)

    @property
    def filed(self) -> str:
        """The state that the record is listed under."""
        return HIDDEN if self.hidden else self.state

    def changed(self, **changes: Any) -> Self:
        """Return the record with these changes."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> Json:
        """Return the record as it is stored."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: Json) -> OperationRecord:
        """Read a stored record. Fields of a newer version are passed over."""
        known = _known(cls, record)
        readers = known.get("readers")
        parts = {
            "readers": None if readers is None else tuple(readers),
            "progress": Progress(**_known(Progress, known["progress"])),
            "failures": tuple(Row(**_known(Row, row)) for row in known["failures"]),
        }
        return cls(**(known | parts))


def _known(kind: type, record: Json) -> Json:
    names = {one.name for one in dataclasses.fields(kind)}
    return {name: value for name, value in record.items() if name in names}


def operation_rid(tenant_uid: str, operation_id: str) -> str:
    """Return the id of an operation's record."""
    return f"{tenant_uid}/{operation_id}"


def fault_json(fault: Fault) -> Json:
    """Return the parts of a fault that are kept."""
    return {
        "kind": fault.kind.value,
        "reason": fault.reason,
        "message": fault.message,
        "violations": [[one.field, one.description] for one in fault.violations],
        "metadata": fault.metadata,
    }


def fault_from_json(parts: Json) -> Fault:
    """Return the fault that was kept."""
    violations = tuple(Violation(field_name, text) for field_name, text in parts["violations"])
    return Fault(Kind(parts["kind"]), parts["reason"], parts["message"], violations, dict(parts["metadata"]))
