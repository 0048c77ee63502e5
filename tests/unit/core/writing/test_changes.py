# SPDX-License-Identifier: Apache-2.0
"""Changes: compiled bodies whose creation time can be exchanged without parsing them."""

from __future__ import annotations

import orjson
import pytest

from pinakes.core.engine.documents import Owner
from pinakes.core.engine.revisions import EPOCH_US, SLOT_BITS
from pinakes.core.query.schema import Attribute, AttributeType, Schema
from pinakes.core.writing import changes
from pinakes.v1 import resources_pb2

OWNER = Owner("t", "c", "acme", "default")
SCHEMA = Schema(languages=("en",), attributes={})
REVISION = (1_800_000_000_000_000 - EPOCH_US) << SLOT_BITS | 7


def test_a_new_document_was_created_when_it_was_written() -> None:
    change = changes.put(resources_pb2.Document(title="x"), OWNER, SCHEMA, "d", REVISION)
    body = orjson.loads(change.data)
    assert body["create_time"] == body["update_time"] == 1_800_000_000_000
    assert (body["revision"], body["hash"]) == (REVISION, change.content_hash)
    assert not change.deletion


@pytest.mark.parametrize("created", [1_600_000_000_000, 9_999_999_999_999, 1])
def test_a_replaced_document_keeps_its_creation_time(created: int) -> None:
    change = changes.put(resources_pb2.Document(title="x", body='{"create_time":1}'), OWNER, SCHEMA, "d", REVISION)
    before, after = orjson.loads(change.data), orjson.loads(changes.created_at(change.data, created))
    assert after == before | {"create_time": created}


def test_a_body_of_another_shape_keeps_all_it_has() -> None:
    data = orjson.dumps({"title_en": "x", "create_time": 5})
    assert orjson.loads(changes.created_at(data, 7)) == {"title_en": "x", "create_time": 7}


def test_a_deletion_has_no_body() -> None:
    assert changes.deletion("d", REVISION).deletion


def test_a_change_is_compiled_anew_by_another_schema() -> None:
    document = resources_pb2.Document(title="Title", body="x", tags=["a"], readers=["ann"])
    document.attributes.update({"year": 1999})
    old = Schema(
        languages=("en",), attributes={"gone": Attribute("gone", AttributeType.NUMBER, "num_00", sortable=False)}
    )
    new = Schema(
        languages=("en",), attributes={"year": Attribute("year", AttributeType.NUMBER, "num_03", sortable=False)}
    )
    change = changes.put(document, OWNER, old, "d", REVISION)._replace(retries=2)
    again = changes.recompiled(change, OWNER, new)
    assert orjson.loads(again.data)["num_03"] == 1999
    assert (again.revision, again.content_hash, again.retries) == (change.revision, change.content_hash, 2)
    assert changes.recompiled(changes.recompiled(change, OWNER, new), OWNER, old).data == change.data
    gone = changes.deletion("d", REVISION)
    assert changes.recompiled(gone, OWNER, new) is gone
