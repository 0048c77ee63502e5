# SPDX-License-Identifier: Apache-2.0
"""By its mark another attempt at a request sees what the one before has done, or that this can't be known."""

from __future__ import annotations

import dataclasses

import pytest

from pinakes.core.faults import Fault
from pinakes.core.tenancy import marks
from pinakes.core.tenancy.marks import KEPT, Mark
from pinakes.core.tenancy.models import CollectionRecord, KeyRecord, TenantRecord, now_ms

TENANT = TenantRecord(tenant_id="acme", uid="u1")


def again(mark: Mark) -> Mark:
    """Return the mark as another attempt has it."""
    return dataclasses.replace(mark, again=True)


def changed_by_others(record: TenantRecord, times: int) -> TenantRecord:
    """Return the record after so many changes."""
    for _ in range(times):
        record = Mark.new().put(record)
    return record


def test_another_attempt_knows_what_the_first_has_done_and_what_it_has_not() -> None:
    mark = Mark.new()
    assert not again(mark).on(TENANT)
    assert again(mark).on(mark.put(TENANT))
    assert not again(Mark.new()).on(mark.put(TENANT))


def test_a_first_attempt_is_not_taken_for_another_one() -> None:
    mark = Mark.new()
    assert not mark.on(mark.put(TENANT))


def test_changes_of_others_do_not_hide_it_until_they_are_many() -> None:
    mark = Mark.new()
    assert again(mark).on(changed_by_others(mark.put(TENANT), KEPT - 1))
    with pytest.raises(Fault, match="REQUEST_OUTCOME_UNKNOWN"):
        again(mark).on(changed_by_others(mark.put(TENANT), KEPT))


def test_many_changes_from_before_the_request_hide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "now_ms", lambda: now_ms() - 60_000)
    before = changed_by_others(TENANT, 3 * KEPT)
    monkeypatch.undo()
    assert len(before.marks) == KEPT
    mark = Mark.new()
    assert not again(mark).on(before)
    assert again(mark).on(mark.put(before))


def test_what_is_made_has_the_same_uid_in_every_attempt_and_another_in_every_request() -> None:
    mark = Mark.new()
    assert again(mark).uid("tenant") == mark.uid("tenant")
    assert len({mark.uid("tenant"), mark.uid("collection"), Mark.new().uid("tenant")}) == 3


def test_what_was_made_and_is_not_there_any_more_is_not_made_again_with_its_uid() -> None:
    mark = Mark.new()
    uid = mark.uid("tenant")
    mine = mark.put(dataclasses.replace(TENANT, uid=uid))
    assert again(mark).made(mine, uid)
    assert not again(mark).made(TENANT, uid)
    erased = dataclasses.replace(mine, marks=())
    replaced = dataclasses.replace(mine, uid="u2")
    for record in (erased, replaced):
        with pytest.raises(Fault, match="REQUEST_OUTCOME_UNKNOWN"):
            again(mark).made(record, uid)


def test_marks_are_stored_and_a_record_from_before_them_has_none() -> None:
    collection = CollectionRecord(tenant_uid="u1", collection_id="books", uid="c1")
    key = KeyRecord(key_id="k", tenant_id="acme", tenant_uid="u1", role="service", digest="d", public_key="p")
    for record in (TENANT, collection, key):
        stored = Mark.new().put(record).to_json()
        assert type(record).from_json(stored).to_json() == stored
        old = {name: value for name, value in record.to_json().items() if name != "marks"}
        assert type(record).from_json(old).marks == ()
