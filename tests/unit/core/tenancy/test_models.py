# SPDX-License-Identifier: Apache-2.0
"""Records of the next version are read by this one, and come out of a change as they were but for the change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from pinakes.core.query.schema import AttributeType
from pinakes.core.tenancy.collections import with_attributes
from pinakes.core.tenancy.models import CollectionRecord, KeyRecord, Record, SlotRecord, TenantRecord

Json = dict[str, Any]
TENANT = TenantRecord(tenant_id="a", uid="u")
COLLECTION = CollectionRecord(
    tenant_uid="u", collection_id="c", uid="v", attributes=(SlotRecord(name="colour", type="string", slot="kw_00"),)
)
KEY = KeyRecord(key_id="k", tenant_id="a", tenant_uid="u", role="service", digest="d", public_key="p")
READ: list[tuple[Record, Callable[[Json], Record]]] = [
    (TENANT, TenantRecord.from_json),
    (COLLECTION, CollectionRecord.from_json),
    (KEY, KeyRecord.from_json),
]


@pytest.mark.parametrize(("record", "read"), READ, ids=["tenant", "collection", "key"])
def test_fields_of_a_newer_version_outlive_a_change_by_this_one(record: Record, read: Callable[[Json], Record]) -> None:
    newer = record.to_json() | {"invented": {"later": [1, 2]}}
    found = read(orjson.loads(orjson.dumps(newer)))
    assert found.active
    changed = found.changed(state="deleted").to_json()
    assert changed["invented"] == {"later": [1, 2]}
    assert changed["version"] == record.version + 1
    assert changed.keys() == newer.keys()


@pytest.mark.parametrize(("record", "read"), READ, ids=["tenant", "collection", "key"])
def test_fields_that_an_older_version_did_not_write_have_their_defaults(
    record: Record, read: Callable[[Json], Record]
) -> None:
    older = {name: value for name, value in record.to_json().items() if name not in {"delete_ms", "update_ms"}}
    assert read(older) == record


def test_an_attribute_keeps_what_a_newer_version_said_of_it_when_others_are_declared() -> None:
    stored = COLLECTION.to_json()
    stored["attributes"][0]["invented"] = "later"
    found = CollectionRecord.from_json(stored)
    wanted = [("colour", AttributeType.STRING, True), ("size", AttributeType.NUMBER, False)]
    colour, size = with_attributes(found, wanted).to_json()["attributes"]
    assert colour == {
        "name": "colour",
        "type": "string",
        "slot": "kw_00",
        "sortable": True,
        "pii": "",
        "invented": "later",
    }
    assert size == {"name": "size", "type": "number", "slot": "num_00", "sortable": False, "pii": ""}
    assert found.schema().attributes.keys() == {"colour"}
