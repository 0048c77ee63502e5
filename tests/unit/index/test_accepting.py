# SPDX-License-Identifier: Apache-2.0
"""The answer to an accepted document is the same whether it was compiled the quick way or the other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pinakes.core.engine.documents import Owner
from pinakes.core.faults import Fault
from pinakes.core.settings import Limits
from pinakes.core.tenancy.etags import Etags
from pinakes.core.tenancy.models import CollectionRecord
from pinakes.core.writing import changes
from pinakes.index.commands.write import Writer, _prepared
from pinakes.v1 import resources_pb2

REVISION = 893_066_049_208_067_500


def writer(*languages: str) -> Writer:
    """Make a writer that reaches no store."""
    record = CollectionRecord(tenant_uid="t", collection_id="default", uid="c", languages=languages)
    platform: Any = SimpleNamespace(etags=Etags(b"x" * 40), settings=SimpleNamespace(limits=Limits()))
    scope: Any = SimpleNamespace(owner=Owner("t", "c", "acme", "default"))
    return Writer(scope, record, record.schema(), platform)


@pytest.mark.parametrize("languages", [("en",), ("en", "de")])
@pytest.mark.parametrize("said", ["", "de", "zz"])
def test_the_quick_way_answers_as_the_other(languages: tuple[str, ...], said: str) -> None:
    document = resources_pb2.Document(
        name="tenants/-/collections/default/documents/d", title="Ein Titel", body="Der Text ist kurz.", tags=["a"],
        readers=["user:1"], source_uri="https://example.com", language=said,
    )  # fmt: skip
    document.attributes.update({"kind": "x", "size": 1.5})
    document.expire_time.FromNanoseconds(1_900_000_000_123_456_789)
    document.update_time.FromSeconds(1)  # not the caller's to say
    here = writer(*languages)
    change, answer = _prepared(document, "d", REVISION, here)
    body = here.compile(document, "d", None, REVISION)
    assert answer == here.message(body)
    slow = changes.of_body(body)
    assert (change.content_hash, change.size, change.revision) == (slow.content_hash, slow.size, REVISION)


def test_what_is_wrong_is_refused_either_way() -> None:
    document = resources_pb2.Document(title="x")
    document.attributes.update({"n": float(1 << 60)})
    with pytest.raises(Fault, match=r"document\.attributes\.n"):
        _prepared(document, "d", REVISION, writer("en"))
