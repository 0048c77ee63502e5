# SPDX-License-Identifier: Apache-2.0
"""Writing collection records: creation, change, soft deletion, and the slots that attributes get."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from pinakes.core.engine.mapping import SLOTS, slot
from pinakes.core.faults import Fault, Kind, Violation, not_found
from pinakes.core.query.schema import AttributeType
from pinakes.core.tenancy.directory import Directory, collection_rid
from pinakes.core.tenancy.models import (
    DEFAULT_COLLECTION,
    DELETED,
    CollectionRecord,
    SlotRecord,
    TenantRecord,
    now_ms,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pinakes.core.tenancy.marks import Mark

_KIND_OF_SLOT = {
    AttributeType.STRING: "kw",
    AttributeType.BOOL: "kw",
    AttributeType.NUMBER: "num",
    AttributeType.TIME: "time",
    AttributeType.TEXT: "text",
    AttributeType.GEO: "geo",
}


def new_collection(tenant: TenantRecord, collection_id: str, uid: str = "") -> CollectionRecord:
    """Return the record of a collection that is about to be created; its `uid` is random unless given."""
    now = now_ms()
    return CollectionRecord(
        tenant_uid=tenant.uid, collection_id=collection_id, uid=uid or uuid.uuid4().hex, create_ms=now, update_ms=now
    )


def resource_name(tenant: TenantRecord, collection_id: str) -> str:
    """Return the name that callers know."""
    return f"tenants/{tenant.tenant_id}/collections/{collection_id}"


async def create(directory: Directory, tenant: TenantRecord, record: CollectionRecord, mark: Mark) -> CollectionRecord:
    """Store a new collection. Over a deleted one of that id a new one begins, empty, with another uid."""
    rid = collection_rid(tenant.uid, record.collection_id)
    exists = Fault(
        Kind.EXISTS, "COLLECTION_EXISTS", f"{resource_name(tenant, record.collection_id)} exists",
        resource=("pinakes/Collection", resource_name(tenant, record.collection_id)),
    )  # fmt: skip
    return await directory.collections.create(rid, tenant.uid, record, exists, mark)


async def change(
    directory: Directory,
    tenant: TenantRecord,
    collection_id: str,
    decide: Callable[[CollectionRecord], CollectionRecord],
    *,
    mark: Mark | None = None,
    write: bool = True,
) -> CollectionRecord:
    """Replace an active collection's record by what `decide` makes of it; without `write` only return that.

    One that an earlier attempt of the request with this `mark` has changed is returned as it is.
    """

    def of_active(old: CollectionRecord | None) -> CollectionRecord:
        if old is None or not old.active:
            raise not_found("pinakes/Collection", resource_name(tenant, collection_id))
        return decide(old)

    rid = collection_rid(tenant.uid, collection_id)
    return await directory.collections.change(rid, tenant.uid, "collection", of_active, mark=mark, write=write)


def deleted(record: CollectionRecord) -> CollectionRecord:
    """Return the record as deleted. The collection `default` can't be."""
    if record.collection_id == DEFAULT_COLLECTION:
        raise Fault(Kind.PRECONDITION, "COLLECTION_DEFAULT", "the collection default can't be deleted")
    return record.changed(state=DELETED, delete_ms=now_ms())


def with_attributes(record: CollectionRecord, wanted: Sequence[tuple[str, AttributeType, bool]]) -> CollectionRecord:
    """Return the record with these attributes (name, type, sortable): known ones keep their slots and classes, new ones get free ones.

    A removed attribute's slot isn't given away again: documents still hold its values there.
    """
    known = {a.name: a for a in record.attributes}
    taken = {a.slot for a in record.attributes} | set(record.freed)
    attributes: list[SlotRecord] = []
    violations: list[Violation] = []
    seen: set[str] = set()
    for position, (name, kind, sortable) in enumerate(wanted):
        place = f"collection.attributes[{position}]"
        if name in seen:
            violations.append(Violation(f"{place}.name", f"{name} is declared twice"))
        seen.add(name)
        if sortable and kind in {AttributeType.TEXT, AttributeType.GEO}:
            violations.append(Violation(f"{place}.sortable", f"results can't be ordered by a {kind.value}"))
        before = known.get(name)
        if before is not None and before.type != kind.value:
            violations.append(
                Violation(f"{place}.type", f"{name} is a {before.type}; an attribute's type can't be changed")
            )
            continue
        chosen = before.slot if before is not None else _free(_KIND_OF_SLOT[kind], taken)
        if chosen is None:
            kinds = _KIND_OF_SLOT[kind]
            violations.append(Violation(place, f"all {SLOTS[kinds]} places for attributes of this kind are taken"))
            continue
        taken.add(chosen)
        record_of = before or SlotRecord(name=name, type=kind.value, slot=chosen)
        attributes.append(replace(record_of, sortable=sortable))
    if violations:
        first = violations[0]
        raise Fault(Kind.INVALID, "SCHEMA_INVALID", f"{first.field}: {first.description}", tuple(violations))
    gone = {a.slot for a in record.attributes if a.name not in seen}
    return replace(record, attributes=tuple(attributes), freed=tuple(sorted({*record.freed, *gone})))


def _free(kind: str, taken: set[str]) -> str | None:
    return next((name for n in range(SLOTS[kind]) if (name := slot(kind, n)) not in taken), None)
