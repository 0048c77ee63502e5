# SPDX-License-Identifier: Apache-2.0
"""The isolation matrix: every RPC, every resource name of another tenant, every kind of credential.

It is made from the descriptors, so that an RPC, a field or a resource is covered by being declared. What each test
looks at was sent beforehand, all of it at once, to servers of the test's own.
"""

from __future__ import annotations

import asyncio
import re
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import uvloop
from google.longrunning import operations_pb2

from pinakes.core.identity.permissions import GRANTS, RULES, TENANT_DATA
from pinakes.v1 import index_pb2, lifecycle_pb2, resources_pb2, tenant_pb2
from pinakes.v1 import operations_pb2 as verbs_pb2
from tests.e2e import _credentials, _matrix
from tests.e2e._accounts import accounts
from tests.e2e._credentials import KEY_SECONDS, Credential, Opens
from tests.e2e._matrix import Case, Outcome
from tests.e2e._requests import ANCHORS, NAME_FIELDS, RESOURCES, fields_of, has_name_rule, pattern_of
from tests.integration._servers import ServerProcess, open_channel, running, until_health
from tests.wire import INDEX, METHODS, OPERATIONS, ROLES, TENANT, Door, Home, home, new_key, put

DENIED, UNAUTHENTICATED = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
COLLECTION, DOCUMENT, TEXT = "cellar-q7x", "ledger-q7x", "the amontillado of q7x"


@dataclass(frozen=True, slots=True)
class Ran:
    """What was sent, what came of it, and what the servers wrote meanwhile."""

    world: _matrix.World
    credentials: list[Credential]
    foreign: dict[Case, Outcome]
    through_envoy: dict[Case, Outcome]
    nested: dict[Case, Outcome]
    own: dict[Case, Outcome]
    roles: dict[Case, Outcome]
    suspended: dict[Case, Outcome]
    earlier: dict[Case, Outcome]
    written: dict[str, str]
    before: list[bytes]
    after: list[bytes]

    def of(self, credential: Credential, outcomes: dict[Case, Outcome]) -> dict[Case, Outcome]:
        """Return those of a credential."""
        return {case: outcome for case, outcome in outcomes.items() if case.credential is credential}


def by_rpc(outcomes: dict[Case, Outcome]) -> dict[tuple[Any, ...], dict[Case, Outcome]]:
    """Return outcomes by the field and the credential that they are of."""
    found: dict[tuple[Any, ...], dict[Case, Outcome]] = defaultdict(dict)
    for case, outcome in outcomes.items():
        found[(case.method, case.field, case.credential)][case] = outcome
    return found


@pytest.fixture(scope="module")
def ran(platform: Any, tmp_path_factory: pytest.TempPathFactory, tell: Callable[[str], None]) -> Iterator[Ran]:
    """Prepare two tenants, start servers that trust an issuer, send the whole matrix, and look what is there afterwards."""
    began = time.monotonic()
    with ExitStack() as stack:
        provider = stack.enter_context(_credentials.issuer())
        door = stack.enter_context(Door(platform.endpoint))
        folder = tmp_path_factory.mktemp("matrix")
        # Most of it is waiting, so it is waited for at once.
        with ThreadPoolExecutor() as pool:
            mine, second, theirs, asleep = pool.map(
                lambda label: stack.enter_context(home(door, platform.admin_key, label)),
                ("mine", "second", "theirs", "asleep"),
            )
        earlier = stack.enter_context(_credentials.earlier_tenant(door, platform.admin_key, mine))
        dead = _credentials.dead_keys(door, platform.admin_key, mine, earlier)
        prepared = time.monotonic()
        gone = _credentials.deleted_tenant(mine)
        certified = accounts(folder, mine.tenant_id, second.tenant_id, asleep.tenant_id, gone, earlier)
        servers = {
            name: stack.enter_context(running(platform, name, folder, **provider.settings, **certified.settings))
            for name in ("search", "index", "tenant")
        }
        for one in (mine, second, asleep):
            _unlimited(door, platform.admin_key, one)
        suspend = lifecycle_pb2.SuspendTenantRequest(name=asleep.name, reason="a test")
        door.call(TENANT + "SuspendTenant", suspend, platform.admin_key)
        ids = _fill(door, platform.admin_key, theirs)
        own = {**dict.fromkeys(ids, "probe"), "tenant": mine.tenant_id, "collection": "default"}
        absent = _matrix.absent_like(ids)
        world = _matrix.World(
            own, ids, absent, {**absent, "tenant": absent["tenant"][:30]}, gone, asleep.tenant_id
        )  # fmt: skip
        sleepers = [*_credentials.of_a_suspended_tenant(provider, asleep), certified.suspended]
        former = [*_credentials.of_an_earlier_tenant(provider, earlier), certified.earlier]
        credentials = [
            *_credentials.wrong_keys(mine, theirs), *dead, *_credentials.tokens(provider, mine.tenant_id, theirs.tenant_id),
            *_credentials.of_another_tenant(door, platform.admin_key, provider, mine, second),
            *_credentials.scoped_tokens(mine), *sleepers, *former,
            *_credentials.of_strange_tenants(provider, theirs.tenant_id),
            *_credentials.administrators(platform.admin_key, provider), *certified.credentials,
        ]  # fmt: skip
        addresses = {name: server.address for name, server in servers.items()}
        attackers = [one for one in credentials if one.opens is Opens.ONE_TENANT]
        keys = [one for one in attackers if one.alive]
        before = _seen(door, theirs)

        async def send() -> list[dict[Case, Outcome]]:
            await asyncio.gather(*(_serving(server, certified.tls) for server in servers.values()))
            first = [
                await _matrix.run(addresses, cases, certified.tls)
                for cases in (
                    _matrix.nested_cases(world, keys), _matrix.own_cases(world, keys), _matrix.role_cases(world, keys),
                    _matrix.home_cases(world, asleep.tenant_id, sleepers),
                    _matrix.home_cases(world, earlier.tenant_id, former),
                )
            ]  # fmt: skip
            # Until what expires has expired.
            await asyncio.sleep(KEY_SECONDS + 1 - (time.monotonic() - prepared))
            foreign = await _matrix.run(addresses, _matrix.foreign_cases(world, credentials), certified.tls)
            through = dict.fromkeys(addresses, platform.endpoint)
            front = [
                one
                for one in credentials
                if one.label in {"nothing", "key: unknown", "key: tenant-admin", "key: tenant-user"}
            ]
            return [*first, foreign, await _matrix.run(through, _matrix.foreign_cases(world, front))]

        nested, own_ids, roles, suspended, successors, foreign, envoy = uvloop.run(send())
        written = {name: server.text() for name, server in servers.items()}
        written |= {f"metrics of {name}": _read(server.metrics_url) for name, server in servers.items()}
        made = Ran(
            world, credentials, foreign, envoy, nested, own_ids, roles, suspended, successors, written, before,
            _seen(door, theirs),
        )  # fmt: skip
        calls = sum(map(len, (foreign, envoy, nested, own_ids, roles, suspended, successors)))
        tell(
            f"isolation matrix: {len(METHODS)} RPCs × {len(NAME_FIELDS)} fields with names × {len(credentials)} credentials: "
            f"{calls} calls in {time.monotonic() - began:.0f} s"
        )
        yield made


async def _serving(server: ServerProcess, tls: _matrix.Tls) -> None:
    async with open_channel(server.address, tls.credentials()) as channel:
        await until_health(channel)


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # a server of the test's own
        text: str = answer.read().decode()
        return text


def _unlimited(door: Door, admin_key: str, one: Home) -> None:
    """Let a tenant send as much as the matrix has."""
    tenant = resources_pb2.Tenant(name=one.name, rate_limit=100_000)
    door.call(TENANT + "UpdateTenant", tenant_pb2.UpdateTenantRequest(tenant=tenant), admin_key)


def _fill(door: Door, admin_key: str, theirs: Home) -> dict[str, str]:
    """Give the attacked tenant one of everything, and return the ids."""
    request = index_pb2.CreateCollectionRequest(parent=theirs.name, collection_id=COLLECTION)
    door.call(INDEX + "CreateCollection", request, theirs.service)
    put(door, theirs.service, theirs.document(DOCUMENT, COLLECTION), title=TEXT)
    key = new_key(door, admin_key, theirs.tenant_id, ROLES.ROLE_SERVICE).api_key.name
    purge = verbs_pb2.PurgeDocumentsRequest(parent=f"{theirs.name}/collections/{COLLECTION}")
    operation = door.call(INDEX + "PurgeDocuments", purge, theirs.service).name
    ids = {
        "tenant": theirs.tenant_id, "collection": COLLECTION, "document": DOCUMENT,
        "api_key": key.rpartition("/")[2], "operation": operation.rpartition("/")[2],
    }  # fmt: skip
    # Of resources that aren't filled in here the id is made up; foreign names of them are refused all the same.
    parts = {part for pattern in RESOURCES.values() for part in re.findall(r"\{(\w+)\}", pattern)}
    return {**dict.fromkeys(parts, "a" * 16), **ids}


def _seen(door: Door, theirs: Home) -> list[bytes]:
    """Return all that the attacked tenant has, as its own administrator sees it."""
    parent = f"{theirs.name}/collections/{COLLECTION}"
    keys = door.call(
        TENANT + "ListApiKeys", tenant_pb2.ListApiKeysRequest(parent=theirs.name, page_size=50), theirs.admin
    )
    answers = [
        door.call(TENANT + "GetTenant", tenant_pb2.GetTenantRequest(name=theirs.name), theirs.admin),
        door.call(INDEX + "ListCollections", index_pb2.ListCollectionsRequest(parent=theirs.name), theirs.admin),
        door.call(INDEX + "ListDocuments", index_pb2.ListDocumentsRequest(parent=parent), theirs.admin),
        door.call(INDEX + "ListDocuments", index_pb2.ListDocumentsRequest(parent=theirs.default), theirs.admin),
        door.call(OPERATIONS + "ListOperations", operations_pb2.ListOperationsRequest(name=theirs.name), theirs.admin),
    ]
    found = [answer.SerializeToString(deterministic=True) for answer in answers]
    return [*found, *(f"{key.name} {key.role} {key.state}".encode() for key in keys.api_keys)]


def test_every_field_that_holds_a_name_is_found() -> None:
    """A field whose rule wants a resource name says which resource by its `resource_reference`."""
    for method, descriptor in METHODS.items():
        found = {path for path, field in fields_of(descriptor.input_type) if has_name_rule(field)}
        assert found <= {one.path for one in NAME_FIELDS if one.method == method}
        assert all(pattern_of(field) for _, field in fields_of(descriptor.input_type) if has_name_rule(field))


def test_every_rpc_is_in_the_matrix_by_the_field_that_says_its_tenant(ran: Ran) -> None:
    assert set(METHODS) == set(RULES)
    assert {method for method in METHODS if RULES[method].name_field} == set(ANCHORS)
    for credential in ran.credentials:
        if credential.opens is Opens.ALL:
            continue
        assert {case.method for case in ran.of(credential, ran.foreign)} == set(METHODS), credential.label


def test_without_a_valid_credential_every_name_is_refused_in_the_same_words(ran: Ran) -> None:
    for outcomes in by_rpc({**ran.foreign, **ran.through_envoy}).values():
        case = next(iter(outcomes))
        if case.credential.opens is Opens.NOTHING:
            assert {outcome.code for outcome in outcomes.values()} == {UNAUTHENTICATED}, case
            assert len({outcome.without(()) for outcome in outcomes.values()}) == 1, case


def test_every_kind_of_wrong_credential_is_refused_in_the_same_words_by_every_rpc(ran: Ran) -> None:
    for credential in ran.credentials:
        if credential.opens is Opens.NOTHING:
            assert len({outcome.without(()) for outcome in ran.of(credential, ran.foreign).values()}) == 1, credential


def test_a_key_that_is_not_known_does_not_tell_why(ran: Ran) -> None:
    """Whether the id exists, whose it is and whether its tenant was deleted is nobody's business."""
    unknown = {
        "key: unknown", "key: own with a wrong secret", "key: theirs with a wrong secret", "key: theirs with the caller's secret",
        "key: a guessed administrator's", "key: of a deleted tenant", "key: of an earlier tenant of the name",
    }  # fmt: skip
    unknown_tokens = {
        "scoped: of an unknown key", "scoped: of their key by a guessed secret", "scoped: of their key by the caller's secret",
        "scoped: changed claims", "scoped: key of a deleted tenant", "scoped: key of an earlier tenant of the name",
    }  # fmt: skip
    for labels in (unknown, unknown_tokens):
        assert labels <= {one.label for one in ran.credentials}
        found = {outcome.without(()) for case, outcome in ran.foreign.items() if case.credential.label in labels}
        assert len(found) == 1, found


@pytest.mark.parametrize("way", ["foreign", "through_envoy"])
def test_with_another_tenants_credential_what_exists_and_what_does_not_are_refused_in_the_same_words(
    ran: Ran, way: str
) -> None:
    for outcomes in by_rpc(getattr(ran, way)).values():
        case = next(iter(outcomes))
        if case.credential.opens is Opens.ONE_TENANT:
            assert {outcome.code for outcome in outcomes.values()} == {DENIED}, (case, outcomes)
            assert len({outcome.without(()) for outcome in outcomes.values()}) == 1, case


def test_with_every_credential_of_another_tenant_that_may_ask_the_refusal_is_the_same(ran: Ran) -> None:
    """A token for a tenant that looks like the attacked one is as foreign as any other."""
    for method in ANCHORS:
        found = {
            outcome.without(())
            for case, outcome in ran.foreign.items()
            if case.method == method and case.credential.opens is Opens.ONE_TENANT and _matrix.may(case.credential, method, GRANTS)
        }  # fmt: skip
        assert len(found) <= 1, (method, found)


def test_an_administrator_who_does_not_say_why_sees_no_tenants_data(ran: Ran) -> None:
    for case, outcome in ran.foreign.items():
        if case.credential.opens is Opens.ALL and RULES[case.method].permission in TENANT_DATA:
            assert (outcome.code, outcome.reason) == (DENIED, "ADMIN_REASON_REQUIRED"), case


def test_a_foreign_name_at_any_other_place_is_taken_alike_whether_it_exists_or_not(ran: Ran) -> None:
    for outcomes in by_rpc(ran.nested).values():
        case = next(iter(outcomes))
        names = ran.world.variants(case.field.pattern if case.field else "")
        ids = {part for name in names.values() for part in name.split("/")[1::2]}
        assert len({outcome.without(ids) for outcome in outcomes.values()}) == 1, (case, outcomes)


def test_ids_of_another_tenants_things_are_as_absent_as_ids_of_nothing(ran: Ran) -> None:
    for outcomes in by_rpc(ran.own).values():
        case = next(iter(outcomes))
        ids = [one for name, one in (*ran.world.theirs.items(), *ran.world.absent.items()) if name != "tenant"]
        assert len({outcome.without(ids) for outcome in outcomes.values()}) == 1, (case, outcomes)


def test_each_role_may_do_in_its_own_tenant_what_the_table_says_and_nothing_else(ran: Ran) -> None:
    for case, outcome in ran.roles.items():
        several = case.variant == "-" and case.credential.label.endswith("service of two tenants")
        refused = outcome.code in {DENIED, UNAUTHENTICATED}
        may = _matrix.may(case.credential, case.method, GRANTS) and _matrix.reaches(
            case.credential, ANCHORS[case.method]
        )
        assert refused is not may, (case, outcome)
        assert not several or refused or outcome.reason == "TENANT_AMBIGUOUS", (case, outcome)
        assert outcome.code is not grpc.StatusCode.INTERNAL, (case, outcome)


def test_a_suspended_tenants_credentials_learn_nothing_of_it_but_that_it_is_suspended(ran: Ran) -> None:
    told = set()
    for case, outcome in ran.suspended.items():
        reason = "TENANT_SUSPENDED" if _matrix.may(case.credential, case.method, GRANTS) else "PERMISSION_DENIED"
        assert (outcome.code, outcome.reason) == (DENIED, reason), (case, outcome)
        if reason == "TENANT_SUSPENDED":
            told.add(outcome.without(()))
    assert len(told) == 1, told


def test_to_a_credential_of_an_earlier_tenant_the_one_that_has_its_name_is_as_foreign_as_any(ran: Ran) -> None:
    foreign = {
        (case.credential, case.method): outcome.without(())
        for case, outcome in ran.foreign.items()
        if case.variant == _matrix.NOT_THERE
    }
    assert {case.credential.label.partition(":")[0] for case in ran.earlier} == {"token", "certificate"}
    for case, outcome in ran.earlier.items():
        assert outcome.code is DENIED, (case, outcome)
        assert outcome.without(()) == foreign[case.credential, case.method], (case, outcome)


def test_no_answer_holds_a_name_of_the_other_tenant(ran: Ran) -> None:
    theirs = [*(value for value in ran.world.theirs.values() if value != "a" * 16), TEXT]
    for case, outcome in {**ran.foreign, **ran.through_envoy}.items():
        if case.credential.opens is not Opens.ALL:
            assert not [one for one in theirs if one.encode() in outcome.told], (case, outcome)
    for case, outcome in {**ran.nested, **ran.own}.items():
        # What the caller has sent itself may be told it again: that a write of this name was rejected.
        assert not [one for one in theirs if one.encode() in outcome.told and one not in case.name], (case, outcome)


def test_no_log_line_and_no_metric_holds_a_name_of_the_other_tenant(ran: Ran) -> None:
    names = {value for value in ran.world.theirs.values() if value != "a" * 16} | {
        ran.world.absent["tenant"][:30],
        TEXT,
    }
    for where, text in ran.written.items():
        assert len(text) > 1000, where
        assert not [line for line in text.splitlines() for name in names if name in line], where


def test_after_all_of_it_the_other_tenant_is_as_it_was(ran: Ran) -> None:
    assert ran.before == ran.after
    assert len(ran.before) > 8
