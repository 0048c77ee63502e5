# SPDX-License-Identifier: Apache-2.0
"""What a mover knows of the engine's tasks: one that can't be asked for isn't forgotten, one that failed is begun again.

And by whose clock it writes down where a tenant is.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.operations.job import Context, Stopped, Why
from pinakes.core.operations.records import MOVE, OperationRecord
from pinakes.core.tenancy.models import TenantRecord
from pinakes.core.tenancy.placement import POOL, Place, Placement, Step
from pinakes.worker.jobs.move import Mover

Json = dict[str, Any]
STATUS = {"total": 5, "created": 5}
WHOLE: Json = {"completed": True, "task": {"status": STATUS}, "response": {"failures": []}}
REFUSED: Json = {"cause": {"type": "cluster_block_exception"}}
FAILED: Json = {**WHOLE, "response": {"failures": [REFUSED]}}


class Engine:
    """An engine that begins tasks, and says of them what it is told to."""

    prefix = "t"

    def __init__(self, *answers: Json | Fault) -> None:
        self.answers = list(answers)
        self.begun: list[str] = []

    async def call(self, operation: str, method: str, path: str, **_: Any) -> Json:
        if operation == "move_begin":
            self.begun.append(path)
            return {"task": f"node:{len(self.begun)}"}
        assert (method, path) == ("GET", f"/_tasks/node:{len(self.begun)}"), "the one that was begun last"
        answer = self.answers.pop(0)
        if isinstance(answer, Fault):
            raise answer
        return answer


async def copied(engine: Engine, checkpoint: Json) -> Json:
    """Copy as one run of a move does, from a checkpoint; return the one after it, which is the same dictionary."""
    operation = OperationRecord(operation_id="o", tenant_uid="u", tenant_id="t", verb=MOVE, checkpoint=dict(checkpoint))

    async def save(context: Context) -> None:
        pass

    platform: Any = SimpleNamespace(engine=engine)
    context = Context(platform, operation, TenantRecord(tenant_id="t", uid="u"), None, None, save)
    mover = Mover(context)
    try:
        await mover._done("task", lambda: mover._work.begin_copy(POOL, Place(pool=1), 0))
    finally:
        checkpoint.clear()
        checkpoint.update(context.checkpoint)
    return checkpoint


async def test_a_copy_that_cannot_be_asked_for_is_still_known_and_no_other_is_begun() -> None:
    engine, checkpoint = Engine(unavailable("the search engine"), WHOLE), dict[str, Any]()
    with pytest.raises(Fault):
        await copied(engine, checkpoint)
    assert checkpoint == {"task": "node:1"}
    assert await copied(engine, checkpoint) == {"task": ""}
    assert engine.begun == ["/_reindex"]


async def test_a_copy_that_failed_is_begun_again_by_the_next_run() -> None:
    engine, checkpoint = Engine(FAILED, WHOLE), dict[str, Any]()
    with pytest.raises(Fault) as caught:
        await copied(engine, checkpoint)
    assert caught.value.kind is Kind.UNAVAILABLE
    assert checkpoint == {"task": ""}
    await copied(engine, checkpoint)
    assert engine.begun == ["/_reindex"] * 2


async def test_a_mover_whose_clock_is_wrong_writes_no_placement_down() -> None:
    class Late:
        async def ready(self) -> None:
            raise Fault(Kind.UNAVAILABLE, "CLOCK_SKEW", "writing isn't available now; try again")

    async def save(context: Context) -> None:
        pass

    class Tenants:
        async def change(self, *_: Any) -> None:
            raise AssertionError("it was written down")

    platform: Any = SimpleNamespace(engine=Engine(), revisions=Late(), directory=SimpleNamespace(tenants=Tenants()))
    operation = OperationRecord(operation_id="o", tenant_uid="u", tenant_id="t", verb=MOVE)
    mover = Mover(Context(platform, operation, TenantRecord(tenant_id="t", uid="u"), None, None, save))
    before = Placement()
    with pytest.raises(Stopped) as caught:
        await mover._enter(before, Step.COPYING)
    assert caught.value.why is Why.PAUSE, "another worker may go on"
