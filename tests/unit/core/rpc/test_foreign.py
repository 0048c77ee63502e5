# SPDX-License-Identifier: Apache-2.0
"""Messages of google.longrunning are checked by hand, as ours are by their constraints."""

from __future__ import annotations

import pytest
from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration

from pinakes.core.rpc import names
from pinakes.core.rpc.foreign import violations
from pinakes.v1 import search_pb2

NAMED = [getattr(operations_pb2, f"{verb}OperationRequest") for verb in ("Get", "Cancel", "Delete", "Wait")]
GOOD = ["tenants/-/operations/a", "tenants/acme/operations/w-5f-2-AbC_9", f"tenants/a-b/operations/{'a' * 64}"]
BAD = [
    "", "tenants/-", "tenants/-/operations", "tenants/-/operations/", "tenants//operations/a", "tenants/-/operations/a\n",
    "tenants/-/operations/-a", "tenants/-/operations/a/..", f"tenants/-/operations/{'a' * 65}", "tenants/-/documents/a",
    "/tenants/-/operations/a", "tenants/Acme/operations/a",
]  # fmt: skip


@pytest.mark.parametrize("kind", NAMED)
def test_names_of_operations_are_checked(kind: type) -> None:
    assert [name for name in GOOD if violations(kind(name=name))] == []
    assert [name for name in BAD if [one.field for one in violations(kind(name=name))] != ["name"]] == []


def test_a_wait_isnt_negative() -> None:
    request = operations_pb2.WaitOperationRequest(name=GOOD[0])
    for duration, fields in ((Duration(), []), (Duration(seconds=5), []), (Duration(seconds=-1), ["timeout"])):
        request.timeout.CopyFrom(duration)
        assert [one.field for one in violations(request)] == fields


def test_everything_wrong_with_a_list_is_told_at_once() -> None:
    request = operations_pb2.ListOperationsRequest(
        name="tenants", page_size=-1, page_token="x" * 5000, filter="x", return_partial_success=True
    )
    fields = ["name", "page_size", "page_token", "filter", "return_partial_success"]
    assert [one.field for one in violations(request)] == fields
    assert violations(operations_pb2.ListOperationsRequest(name="tenants/acme", page_size=500)) == []


def test_messages_of_our_own_have_their_constraints_elsewhere() -> None:
    assert violations(search_pb2.SearchRequest(parent="nonsense")) == []


def test_an_operations_name_and_its_parts_are_the_same_both_ways() -> None:
    parsed = names.parse(names.operation("acme", "w-1"))
    assert (parsed.tenant, parsed.operation, parsed.collection) == ("acme", "w-1", "")
