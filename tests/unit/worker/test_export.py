# SPDX-License-Identifier: Apache-2.0
"""What an export chooses documents by: the filter of who asked, and the one that its credential is narrowed by."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from pinakes.core.faults import Fault, Kind
from pinakes.core.operations.records import BLIND, NARROWED
from pinakes.core.settings import Limits
from pinakes.core.tenancy.models import CollectionRecord
from pinakes.worker.jobs.export import _condition

PEOPLE = CollectionRecord(tenant_uid="u", collection_id="people", uid="c", personal=(("title", "mask"),))
OPEN, PERSONAL = 'tags:"a"', "title:Ann"


def context(collection: CollectionRecord = PEOPLE, **parameters: Any) -> Any:
    """Return what is read of a job's context."""
    platform = SimpleNamespace(settings=SimpleNamespace(limits=Limits()))
    return SimpleNamespace(collection=collection, platform=platform, parameters={"filter": "", **parameters})


def test_without_a_narrowed_credential_the_filter_chooses_alone() -> None:
    assert _condition(context()) is None
    assert _condition(context(filter=OPEN, **{NARROWED: ""})) == _condition(context(filter=OPEN))


def test_both_filters_choose() -> None:
    both = _condition(context(filter=OPEN, **{NARROWED: 'tags:"b"', BLIND: False}))
    assert both is not None
    assert both["bool"]["filter"] == [
        _condition(context(filter=OPEN)), _condition(context(filter='tags:"b"'))
    ]  # fmt: skip


@pytest.mark.parametrize("masked", [False, True])
def test_a_credential_s_filter_sees_what_its_maker_sees(masked: bool) -> None:
    seen = replace(PEOPLE, masked=masked)
    assert _condition(context(seen, **{NARROWED: PERSONAL, BLIND: False}))
    for blind in ({BLIND: True}, {}):
        with pytest.raises(Fault) as caught:
            _condition(context(seen, **{NARROWED: PERSONAL, **blind}))
        assert caught.value.kind is Kind.DENIED
