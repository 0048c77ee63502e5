# SPDX-License-Identifier: Apache-2.0
"""Every RPC of the contract has a rule, and the rule's field is in its request."""

from __future__ import annotations

import pytest
from google.longrunning import operations_pb2
from google.protobuf.descriptor import MethodDescriptor

from pinakes.core.identity.permissions import ADMINISTRATION, GRANTS, RULES, Permission, Role
from pinakes.v1 import index_pb2, search_pb2, tenant_pb2

SERVICES = [
    file.DESCRIPTOR.services_by_name[name]
    for file, name in (
        (search_pb2, "SearchService"),
        (index_pb2, "IndexService"),
        (tenant_pb2, "TenantService"),
        (operations_pb2, "Operations"),
    )
]
# What shows documents whoever may read them: for those who write, though it reads.
FOR_WRITERS = {"ListFailedWrites", "GetSearchInsights"}
READING = ("Get", "List", "BatchGet", "Search", "BatchSearch", "Suggest", "Count", "Explain", "Wait")
# What a reader tells of its own reading changes nothing that anybody reads but counts.
READING_TOLD = {"RecordEvent"}
METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method for service in SERVICES for method in service.methods
}


def test_there_is_a_rule_for_every_rpc_and_no_other() -> None:
    assert set(RULES) == set(METHODS)


@pytest.mark.parametrize("path", sorted(RULES))
def test_the_field_that_names_the_tenant_is_a_string_of_the_request(path: str) -> None:
    name_field = RULES[path].name_field
    if name_field is None:
        return
    message, *_, leaf = METHODS[path].input_type, *name_field.split(".")
    for part in name_field.split(".")[:-1]:
        inner = message.fields_by_name[part].message_type
        assert inner is not None
        message = inner
    field = message.fields_by_name[leaf]
    assert field.type == field.TYPE_STRING
    assert not field.is_repeated


def test_only_administrators_have_what_goes_over_all_tenants() -> None:
    for rule in RULES.values():
        if rule.name_field is None:
            assert [role for role in Role if rule.permission in GRANTS[role]] == [Role.ADMIN]


def test_users_only_read_and_no_tenant_role_administers_tenants() -> None:
    assert all(permission.endswith(".read") for permission in GRANTS[Role.TENANT_USER])
    assert all(Permission.TENANTS_ADMINISTER not in GRANTS[role] for role in Role if role is not Role.ADMIN)
    assert Permission.KEYS_ADMINISTER not in GRANTS[Role.SERVICE]
    assert set(GRANTS) == set(Role)


@pytest.mark.parametrize("path", sorted(RULES))
def test_rpcs_that_change_something_need_more_than_reading(path: str) -> None:
    verb = path.rpartition("/")[2]
    reads = (verb.startswith(READING) or verb in READING_TOLD) and verb not in FOR_WRITERS
    permission = RULES[path].permission
    assert reads or not permission.endswith(".read")
    assert not (reads and permission.endswith(".write"))
    assert (permission in ADMINISTRATION) == permission.endswith(".administer")
