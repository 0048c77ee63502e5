# SPDX-License-Identifier: Apache-2.0
"""Several callers change the same documents, each a field of its own, while parts of the platform break: all is kept.

Every change is sent with its request id until it is answered, so that each caller knows what its field is. Where the answer
is that nobody can know, the caller leaves that field as it may be, and the last two values are both right.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from pinakes.client import AsyncClient, PinakesError, document
from pinakes.local import Platform
from tests.faults._chaos import Chaos, operate
from tests.faults._writers import CALL_SECONDS, TROUBLE
from tests.faults.conftest import LONG, seeds
from tests.integration._servers import new_tenant

FIELDS = ("title", "body", "source_uri", "tags")
DOCUMENTS = 3
FAULTS = 20 if LONG else 4
PAUSE_SECONDS = 8.0 if LONG else 3.0
CALM_SECONDS = 2.0
LAST_CALLS_SECONDS = 60.0


@dataclass(slots=True)
class Owner:
    """Who changes one field of the documents, what was answered, and what may be there beside it."""

    field: str
    client: AsyncClient
    dice: random.Random
    stop: asyncio.Event
    known: dict[str, str] = field(default_factory=dict)
    maybe: dict[str, str] = field(default_factory=dict)
    count: int = 0

    async def run(self) -> None:
        """Change one document after the other until the run is over."""
        while not self.stop.is_set():
            free = [name for name in self.known if name not in self.maybe]
            if not free:
                return
            await self._change(self.dice.choice(free))
            await asyncio.sleep(self.dice.uniform(0.0, 0.02))

    async def _change(self, name: str) -> None:
        """Change the field of a document, and send the change again until there is an answer."""
        self.count += 1
        value, request_id = f"{self.field}-{self.count}", f"{self.dice.getrandbits(64):x}"
        change = document(name, **{self.field: [value] if self.field == "tags" else value})
        while True:
            try:
                await self.client.update_document(
                    change, [self.field], mode="applied", request_id=request_id, timeout=CALL_SECONDS
                )
            except PinakesError as error:
                if error.reason == "REQUEST_OUTCOME_UNKNOWN":
                    self.maybe[name] = value
                    return
                assert error.code in TROUBLE or not error.request_id, error
                await asyncio.sleep(min(error.retry_after or 0.1, 0.5))
            else:
                self.known[name] = value
                return


@pytest.mark.timeout(900 if LONG else 240)
@pytest.mark.parametrize("seed", seeds())
async def test_what_several_callers_changed_of_one_document_is_all_kept(
    breakable: Platform, tell: Callable[[str], None], seed: int
) -> None:
    dice, stop, began = random.Random(seed), asyncio.Event(), time.monotonic()
    tell(f"to repeat: PINAKES_SEED={seed}")
    tenant = await new_tenant(breakable)
    names = [f"shared-{number}" for number in range(DOCUMENTS)]
    chaos = Chaos(breakable, random.Random(dice.random()), FAULTS, PAUSE_SECONDS)
    async with AsyncExitStack() as stack:
        owners = []
        for one in FIELDS:
            client = await stack.enter_async_context(AsyncClient(breakable.endpoint, key=tenant.key, timeout=20))
            owners.append(Owner(one, client, random.Random(dice.random()), stop, dict.fromkeys(names, "")))
        for name in names:
            await owners[0].client.create_document(document(name, language="en"))
        tasks = [asyncio.create_task(owner.run(), name=owner.field) for owner in owners]
        try:
            await asyncio.sleep(CALM_SECONDS)
            await chaos.run()
        finally:
            stop.set()
            await asyncio.to_thread(operate, breakable, "up")
            done, late = await asyncio.wait(tasks, timeout=LAST_CALLS_SECONDS)
            for task in late:
                task.cancel()
        for task in done:
            task.result()
        assert not late, "changes that are never answered"
        wrong = []
        for name in names:
            read = await owners[0].client.get_document(name)
            for owner in owners:
                value = "".join(read.tags) if owner.field == "tags" else getattr(read, owner.field)
                if value not in {owner.known[name], owner.maybe.get(name)}:
                    wrong.append(f"{name}.{owner.field} is {value!r}, and was {owner.known[name]!r} at last")
    changes, unknown = sum(owner.count for owner in owners), sum(len(owner.maybe) for owner in owners)
    tell(
        f"[{time.monotonic() - began:6.1f} s] seed {seed}: {changes} changes of {DOCUMENTS} documents by {len(FIELDS)} callers, "
        f"{unknown} of unknown outcome; faults: {dict(sorted(chaos.done.items()))}"
    )
    assert not wrong, f"seed {seed}: {wrong}"
    assert changes > 50, "too little was changed to show anything"
