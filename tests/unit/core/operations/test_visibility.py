# SPDX-License-Identifier: Apache-2.0
"""Who may know of an operation: it may tell of documents that its caller could see and another can't."""

from __future__ import annotations

import pytest

from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.operations.records import NARROWED, OperationRecord

RECORD = OperationRecord(
    operation_id="o", tenant_uid="u", tenant_id="t", collection_uid="c", collection_id="news", verb="purge"
)
WHO = Principal("him", Role.SERVICE, ("t",), None)


@pytest.mark.parametrize(
    ("asked_by", "seen_by", "visible"),
    [
        (None, None, True),
        (("a", "b"), None, True),
        (None, ("a",), False),
        (None, (), False),
        (("a", "b"), ("a", "b", "c"), True),
        (("a", "b"), ("a",), False),
        ((), ("a",), True),
    ],
)
def test_a_caller_with_readers_knows_only_what_was_done_with_no_more_than_its_own(
    asked_by: tuple[str, ...] | None, seen_by: tuple[str, ...] | None, visible: bool
) -> None:
    assert RECORD.changed(readers=asked_by).visible_to(WHO._replace(readers=seen_by)) is visible


def test_a_caller_that_is_narrowed_to_collections_knows_of_what_was_done_in_them() -> None:
    assert RECORD.visible_to(WHO._replace(collections=("news",)))
    assert not RECORD.visible_to(WHO._replace(collections=("another",)))
    assert not RECORD.changed(collection_id="").visible_to(WHO._replace(collections=("news",)))


def test_under_a_filter_a_caller_knows_of_what_was_asked_for_under_that_very_filter() -> None:
    narrowed = RECORD.changed(parameters={NARROWED: "tags = x"})
    assert narrowed.visible_to(WHO)
    assert narrowed.visible_to(WHO._replace(filter="tags = x"))
    assert not narrowed.visible_to(WHO._replace(filter="tags = y"))
    assert not RECORD.visible_to(WHO._replace(filter="tags = x"))


def test_what_an_administrator_asked_for_is_an_administrator_s() -> None:
    record = RECORD.changed(administrative=True)
    assert not record.visible_to(WHO)
    assert not record.visible_to(WHO._replace(role=Role.TENANT_ADMIN))
    assert record.visible_to(Principal("root", Role.ADMIN, None, None))
