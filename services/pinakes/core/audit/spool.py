# SPDX-License-Identifier: Apache-2.0
"""Where events are on disk before they are in the chain: the queue's Redis, or an index of the engine while that is away.

So an event outlives the process where it happened, and an engine that is away. Each is packed with a hash of its own: what
was put in by anybody else is found out. Heads of the chain are kept in the same two places.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pinakes.core.audit.chain import Head, Seal
from pinakes.core.engine.client import EngineRefusal, engine_fault
from pinakes.core.engine.records import RecordStore
from pinakes.core.faults import Fault, unavailable
from pinakes.core.redis import FAILURES, connect, failed
from pinakes.core.resilience.breaker import Breaker
from pinakes.core.tenancy.models import ACTIVE

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from pinakes.core.engine.client import Engine
    from pinakes.core.settings import Settings

EVENTS = 100_000
"""Events that Redis holds at most, about 60 MB: those of hours."""

SECONDS = 3.0
_PAGE = 1000
_STREAM, _PLACES = "pinakes:audit:1:events", "pinakes:audit:1:places"
# KEYS: stream. ARGV: events at most, then events. All of them or none; 0 says that there is no room.
_ADD = """
if redis.call('XLEN', KEYS[1]) + #ARGV - 1 > tonumber(ARGV[1]) then return 0 end
for i = 2, #ARGV do redis.call('XADD', KEYS[1], '*', 'e', ARGV[i]) end
return 1
"""


class Packed(NamedTuple):
    """An event with its hash, under the id that it keeps however often it is put."""

    event_id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """An event that waits: where (in Redis or not), under what id, and its bytes."""

    redis: bool
    place: str
    data: bytes


class Spool:
    """Events that wait for the chain."""

    def __init__(self, settings: Settings, engine: Engine, seal: Seal) -> None:
        """Prepare; it connects at the first event."""
        self._redis: Redis | None = connect(settings.queue_url, SECONDS) if settings.queue_url else None
        # Names are the deployment's own: tests and others may share a Redis.
        self._stream, self._places = f"{_STREAM}:{settings.index_prefix}", f"{_PLACES}:{settings.index_prefix}"
        self._add: Any = self._redis.register_script(_ADD) if self._redis is not None else None
        self._breaker = Breaker("the audit log's Redis", open_seconds=5.0)
        self._events = RecordStore(engine, "spool")
        self._leases = RecordStore(engine, "leases")
        self._seal = seal

    async def put(self, events: Sequence[Packed]) -> None:
        """Put events on disk. Raises a fault of kind UNAVAILABLE when there is neither Redis nor engine, or no room."""
        if self._redis is not None:
            try:
                room = await self._guarded(self._add(keys=[self._stream], args=[EVENTS, *(e.data for e in events)]))
            except Fault:
                pass
            else:
                if not room:
                    raise unavailable("the audit log's spool")
                return
        records = [
            (e.event_id, "", ACTIVE, {"id": e.event_id, "data": base64.b64encode(e.data).decode()}) for e in events
        ]
        try:
            await self._events.put_many(records)
        except EngineRefusal as refusal:
            raise engine_fault(refusal) from None

    async def take(self, most: int) -> list[Taken]:
        """Return up to so many of the events that wait, of each place those that came first."""
        records = await self._events.page(None, (ACTIVE,), None, min(most, _PAGE))
        found = [Taken(False, record["id"], base64.b64decode(record["data"])) for record in records]
        if self._redis is not None and len(found) < most:
            entries = await self._guarded(self._redis.xrange(self._stream, count=most - len(found)))
            found += [Taken(True, entry_id.decode(), fields[b"e"]) for entry_id, fields in entries]
        return found

    async def drop(self, taken: Sequence[Taken]) -> None:
        """Drop events that are in the chain."""
        if (here := [one.place for one in taken if one.redis]) and self._redis is not None:
            await self._guarded(self._redis.xdel(self._stream, *here))
        await self._events.delete_many([one.place for one in taken if not one.redis])

    async def waiting(self) -> int:
        """Return how many events wait."""
        here = 0 if self._redis is None else int(await self._guarded(self._redis.xlen(self._stream)))
        return here + await self._events.count("", ACTIVE)

    async def keep_place(self, name: str, head: Head) -> None:
        """Keep a place of the chain (`head`, `anchor`) in the engine and in Redis."""
        data = self._seal.pack({"name": name, "sequence": head.sequence, "hash": head.hash})
        record = {"data": base64.b64encode(data).decode()}
        await self._leases.put_many([(f"audit-{name}", "", ACTIVE, record)])
        if self._redis is not None:
            await self._guarded(self._redis.hset(self._places, name, data))

    async def places(self, name: str) -> list[Head]:
        """Return what the engine and Redis say of a place. What somebody else wrote there isn't among it."""
        found: list[bytes] = []
        stored = await self._leases.get(f"audit-{name}")
        if stored is not None:
            found.append(base64.b64decode(stored.record["data"]))
        if self._redis is not None and (data := await self._guarded(self._redis.hget(self._places, name))):
            found.append(data)
        bodies = [body for data in found if (body := self._seal.unpack(data)) is not None and body["name"] == name]
        return [Head(body["sequence"], body["hash"]) for body in bodies]

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()

    async def _guarded(self, command: Any) -> Any:
        """Run a command of Redis. Raises a fault of kind UNAVAILABLE when it fails."""
        try:
            permit = self._breaker.before()
        except Fault:
            command.close()
            raise
        try:
            answer = await command
        except FAILURES as error:
            failed(self._breaker, permit, error)
            raise unavailable("the audit log's Redis") from error
        except BaseException:
            self._breaker.ignored(permit)
            raise
        self._breaker.success(permit)
        return answer
