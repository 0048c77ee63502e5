# SPDX-License-Identifier: Apache-2.0
"""Classes of personal data and retention in a collection's record: what is refused, and with which words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf import duration_pb2

from pinakes.core.faults import Fault, Kind
from pinakes.core.privacy.classes import Pii
from pinakes.core.query.schema import AttributeType
from pinakes.core.tenancy.collections import new_collection, with_attributes
from pinakes.core.tenancy.models import CollectionRecord, TenantRecord
from pinakes.core.tenancy.personal import check_personal, may_change, retention_ms, with_classes, with_rules

EMPTY = new_collection(TenantRecord(tenant_id="a", uid="uid-a"), "people")
STRING = AttributeType.STRING
MAIL = with_classes(with_attributes(EMPTY, [("mail", STRING, False)]), {"mail": Pii.MASK})


def refused(before: CollectionRecord, record: CollectionRecord) -> list[tuple[str, str]]:
    """Return place and description of everything that is wrong."""
    with pytest.raises(Fault) as caught:
        check_personal(before, record)
    assert caught.value.kind is Kind.INVALID
    assert caught.value.reason == "PERSONAL_DATA_INVALID"
    return [(one.field, one.description) for one in caught.value.violations]


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("titel", "there is no field titel that can be classed; did you mean title?"),
        ("readers", "there is no field readers that can be classed; known: title, body, tags, source_uri, attributes.NAME"),
        ("attributes", "there is no field attributes that can be classed"),
        ("attributes.", "expected attributes. and names joined by dots, found 'attributes.'"),
        ("attributes.a..b", "expected attributes. and names joined by dots"),
        ("attributes.mail", "attributes.mail is declared; set collection.attributes[0].pii instead"),
        ("attributes.mail.host", "attributes.mail is declared; set collection.attributes[0].pii instead"),
    ],
)  # fmt: skip
def test_a_path_that_means_nothing_is_refused_with_what_would(path: str, wrong: str) -> None:
    ((place, description),) = refused(MAIL, with_rules(MAIL, [(path, Pii.MASK)]))
    assert place == "collection.personal_data.rules[0].path"
    assert description.startswith(wrong)


def test_a_field_has_one_class() -> None:
    rules = [("title", Pii.MASK), ("title", Pii.HASH), ("attributes.a.b", Pii.HASH), ("attributes.a", Pii.MASK)]
    assert [place for place, _ in refused(EMPTY, with_rules(EMPTY, rules))] == [
        "collection.personal_data.rules[1].path", "collection.personal_data.rules[2].path",
    ]  # fmt: skip


def test_what_can_be_classed_is() -> None:
    rules = [
        ("title", Pii.MASK),
        ("source_uri", Pii.HASH),
        ("attributes.a.b", Pii.OMIT_FROM_LOGS),
        ("attributes.ab", Pii.MASK),
    ]
    record = with_rules(MAIL, rules)
    check_personal(MAIL, record)
    assert record.classes == {**dict(rules), "attributes.mail": Pii.MASK}
    assert CollectionRecord.from_json(record.to_json()) == record


def test_an_attribute_that_is_sent_without_its_class_keeps_it() -> None:
    again = with_attributes(MAIL, [("mail", STRING, True), ("age", AttributeType.NUMBER, False)])
    assert again.classes == {"attributes.mail": Pii.MASK}
    assert with_classes(again, {"mail": None}).classes == {}


def test_a_classed_attribute_is_removed_only_when_a_rule_takes_its_place() -> None:
    bare = with_attributes(MAIL, [])
    ((place, description),) = refused(MAIL, bare)
    assert place == "collection.attributes"
    assert "add attributes.mail to personal_data.rules in the same update" in description
    check_personal(MAIL, with_rules(bare, [("attributes.mail", Pii.MASK)]))


def test_an_attribute_without_a_class_is_removed_as_it_is() -> None:
    plain = with_classes(MAIL, {"mail": None})
    check_personal(plain, with_attributes(plain, []))


def test_only_who_sees_personal_data_changes_who_sees_it() -> None:
    for other in (
        with_classes(MAIL, {"mail": None}),
        replace(MAIL, masked_for_services=True),
        with_rules(MAIL, [("title", Pii.MASK)]),
    ):
        with pytest.raises(Fault) as caught:
            may_change(MAIL, other, sees=False)
        assert (caught.value.kind, caught.value.reason) == (Kind.DENIED, "PERSONAL_DATA_DENIED")
        may_change(MAIL, other, sees=True)
    may_change(MAIL, replace(MAIL, display_name="x"), sees=False)


def test_that_a_record_is_masked_is_never_stored() -> None:
    assert "masked" not in replace(MAIL, masked=True).to_json()
    assert replace(MAIL, masked=True).schema() != MAIL.schema()


@pytest.mark.parametrize(("seconds", "nanos"), [(59, 0), (-60, 0), (3_153_600_001, 0), (0, 5), (315_576_000_001, 0)])
def test_a_retention_out_of_bounds_is_refused(seconds: int, nanos: int) -> None:
    with pytest.raises(Fault, match="1 minute"):
        retention_ms(duration_pb2.Duration(seconds=seconds, nanos=nanos))


def test_a_retention_is_kept_in_milliseconds_and_none_is_for_ever() -> None:
    assert retention_ms(duration_pb2.Duration(seconds=60)) == 60_000
    assert retention_ms(duration_pb2.Duration()) == 0
