# SPDX-License-Identifier: Apache-2.0
"""The slots that a collection's attributes get, keep and leave behind."""

from __future__ import annotations

import orjson
import pytest

from pinakes.core.engine.mapping import SLOTS, document_mapping
from pinakes.core.faults import Fault, Kind
from pinakes.core.query.schema import AttributeType
from pinakes.core.tenancy.collections import deleted, new_collection, with_attributes
from pinakes.core.tenancy.models import CollectionRecord, KeyRecord, SlotRecord, TenantRecord

TENANT = TenantRecord(tenant_id="a", uid="uid-a")
EMPTY = new_collection(TENANT, "books")
STRING, NUMBER, BOOL = AttributeType.STRING, AttributeType.NUMBER, AttributeType.BOOL


def _slots(record: CollectionRecord) -> dict[str, str]:
    return {attribute.name: attribute.slot for attribute in record.attributes}


def _refused(record: CollectionRecord, *wanted: tuple[str, AttributeType, bool]) -> Fault:
    with pytest.raises(Fault) as caught:
        with_attributes(record, wanted)
    assert caught.value.kind is Kind.INVALID
    assert caught.value.reason == "SCHEMA_INVALID"
    return caught.value


def test_each_type_gets_a_slot_of_its_kind() -> None:
    record = with_attributes(EMPTY, [(kind.value, kind, False) for kind in AttributeType])
    assert _slots(record) == {
        "string": "kw_00", "text": "text_00", "number": "num_00", "bool": "kw_01", "time": "time_00", "geo": "geo_00",
    }  # fmt: skip
    assert set(_slots(record).values()) <= document_mapping()["properties"].keys()


def test_known_attributes_keep_their_slots_in_any_order() -> None:
    before = with_attributes(EMPTY, [("a", STRING, False), ("b", STRING, False)])
    after = with_attributes(before, [("new", STRING, True), ("b", STRING, True), ("a", STRING, False)])
    assert _slots(after) == {"a": "kw_00", "b": "kw_01", "new": "kw_02"}
    assert [a.sortable for a in after.attributes] == [True, True, False]


def test_a_freed_slot_is_not_given_away_again_not_even_to_the_same_name() -> None:
    record = with_attributes(EMPTY, [("a", STRING, False), ("b", STRING, False)])
    record = with_attributes(record, [("b", STRING, False)])
    assert record.freed == ("kw_00",)
    record = with_attributes(record, [("a", NUMBER, False), ("b", STRING, False), ("c", BOOL, False)])
    assert _slots(record) == {"a": "num_00", "b": "kw_01", "c": "kw_02"}
    assert record.freed == ("kw_00",)
    assert with_attributes(record, []).freed == ("kw_00", "kw_01", "kw_02", "num_00")


@pytest.mark.parametrize("kind", list(AttributeType))
def test_exactly_as_many_as_there_are_slots_fit_and_one_more_is_told(kind: AttributeType) -> None:
    size = SLOTS[{"string": "kw", "bool": "kw", "number": "num"}.get(kind.value, kind.value)]
    full = [(f"a{n}", kind, False) for n in range(size)]
    record = with_attributes(EMPTY, full)
    assert len(set(_slots(record).values())) == size
    fault = _refused(record, *full, ("more", kind, False))
    assert fault.violations[0].field == f"collection.attributes[{size}]"
    assert f"all {size} places" in fault.violations[0].description


def test_strings_and_bools_share_their_slots() -> None:
    _refused(EMPTY, *[(f"s{n}", STRING, False) for n in range(31)], ("b", BOOL, False), ("c", BOOL, False))


def test_freed_slots_count_as_taken() -> None:
    record = with_attributes(EMPTY, [("x", AttributeType.GEO, False), ("y", AttributeType.GEO, False)])
    record = with_attributes(record, [("y", AttributeType.GEO, False)])
    _refused(record, ("y", AttributeType.GEO, False), ("z", AttributeType.GEO, False))


def test_a_type_cannot_be_changed() -> None:
    record = with_attributes(EMPTY, [("a", STRING, False)])
    fault = _refused(record, ("a", NUMBER, False))
    assert fault.violations[0].field == "collection.attributes[0].type"


def test_all_that_is_wrong_is_told_at_once() -> None:
    fault = _refused(EMPTY, ("a", STRING, False), ("a", STRING, False), ("t", AttributeType.TEXT, True))
    assert [v.field for v in fault.violations] == ["collection.attributes[1].name", "collection.attributes[2].sortable"]


def test_the_record_that_is_changed_stays_as_it_was() -> None:
    with_attributes(EMPTY, [("a", STRING, False)])
    assert EMPTY.attributes == ()


def test_default_cannot_be_deleted_and_others_are_deleted_softly() -> None:
    gone = deleted(EMPTY)
    assert not gone.active
    assert gone.version == EMPTY.version + 1
    assert gone.delete_ms > 0
    with pytest.raises(Fault) as caught:
        deleted(new_collection(TENANT, "default"))
    assert caught.value.kind is Kind.PRECONDITION


def test_a_collection_created_again_has_another_uid() -> None:
    assert new_collection(TENANT, "books").uid != EMPTY.uid


def test_records_are_read_back_from_json_as_they_were() -> None:
    record = with_attributes(EMPTY, [("a", STRING, True), ("b", NUMBER, False)])
    record = with_attributes(record, [("b", NUMBER, False)])
    assert CollectionRecord.from_json(orjson.loads(orjson.dumps(record.to_json()))) == record
    key = KeyRecord(
        key_id="k", tenant_id="a", tenant_uid="u", role="service", digest="d", public_key="p", readers=("x", "y")
    )
    assert KeyRecord.from_json(orjson.loads(orjson.dumps(key.to_json()))) == key
    tenant = TenantRecord(tenant_id="a", uid="u", labels={"x": "y"}, rate_limit=1.5)
    assert TenantRecord.from_json(orjson.loads(orjson.dumps(tenant.to_json()))) == tenant


def test_the_compiler_sees_what_the_record_declares() -> None:
    record = with_attributes(EMPTY, [("a", BOOL, True)])
    attribute = record.schema().attributes["a"]
    assert (attribute.slot, attribute.type, attribute.sortable) == ("kw_00", BOOL, True)
    assert record.attributes[0] == SlotRecord(name="a", type="bool", slot="kw_00", sortable=True)
