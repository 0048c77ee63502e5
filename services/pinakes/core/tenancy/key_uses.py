# SPDX-License-Identifier: Apache-2.0
"""When keys were last used, and their hashes with the newest pepper: gathered by every process, off the way of the calls.

A secret is there only while a call with it is being verified, by any of the servers; key records are TenantService's to
write. So every process notes uses here, in records of their own, and TenantService takes new hashes over from them.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.client import EngineRefusal
from pinakes.core.engine.records import Conflict, RecordStore
from pinakes.core.faults import Fault, Kind, not_found
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.models import ACTIVE, KeyRecord, now_ms

if TYPE_CHECKING:
    from pinakes.core.engine.client import Engine
    from pinakes.core.tenancy.directory import Directory

Json = dict[str, Any]
KIND = "uses"
WRITE_SECONDS = 60.0
AGAIN_SECONDS = 300.0
"""A key that goes on being used is noted so often: `last_use_time` is as exact."""

_CLOSING_SECONDS = 2.0
_MOST = 50_000
_PAGE = 500
# The state that a use with a new hash is filed under, so that these are found among all others.
_REHASHED = "rehashed"
_log = logger("pinakes.key-uses")


class KeyUses:
    """What this process has seen of keys since it last wrote. Losing it loses some minutes of `last_use_time`."""

    def __init__(self, engine: Engine, directory: Directory) -> None:
        """Begin empty; `start` begins to write."""
        self.store = RecordStore(engine, KIND, listed=False)
        self._directory = directory
        self._seen: set[str] = set()
        self._written: dict[str, float] = {}
        self._rehashed: dict[str, tuple[int, str, str]] = {}
        self._task: asyncio.Task[None] | None = None

    def seen(self, key_id: str) -> None:
        """Note that a key was used now."""
        self._seen.add(key_id)

    def rehashed(self, record: KeyRecord, pepper: str, digest: str) -> None:
        """Note the hash of a key's present secret with the newest pepper, for the record in just this version."""
        if len(self._rehashed) < _MOST:
            self._rehashed[record.key_id] = (record.version, pepper, digest)
            self._written.pop(record.key_id, None)

    def start(self) -> None:
        """Begin to write in the background."""
        self._task = asyncio.create_task(self._run(), name="key-uses")

    async def close(self) -> None:
        """Write what is left, if that takes no time."""
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        with suppress(TimeoutError, Fault, EngineRefusal):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self.write()

    async def write(self) -> int:
        """Write the uses that weren't written lately, in one call; return how many. Raises the engine's faults."""
        now, due = time.monotonic(), []
        for key_id in self._seen:
            if now - self._written.get(key_id, float("-inf")) >= AGAIN_SECONDS:
                due.append(key_id)
        records: list[tuple[str, str, str, Json]] = []
        for key_id in due:
            key = self._directory.keys.known(key_id)
            tenant = self._directory.tenants.known(key.tenant_id) if key is not None else None
            if key is None or tenant is None or not tenant.whole or tenant.uid != key.tenant_uid:
                continue  # nothing comes back of a tenant that is being erased
            use: Json = {"key_id": key_id, "tenant_uid": key.tenant_uid, "used_ms": now_ms()}
            state = ACTIVE
            version, pepper, digest = self._rehashed.get(key_id, (0, "", ""))
            if version == key.version:
                use |= {"version": version, "pepper": pepper, "digest": digest}
                state = _REHASHED
            else:
                self._rehashed.pop(key_id, None)
            records.append((key_id, key.tenant_uid, state, use))
        await self.store.put_many(records)
        self._seen.difference_update(due)
        self._written |= dict.fromkeys(due, now)
        if len(self._written) > _MOST:
            self._written = {one: at for one, at in self._written.items() if now - at < AGAIN_SECONDS}
        return len(records)

    async def last_used(self, key_ids: list[str]) -> list[int]:
        """Return when keys were last used, in ms since 1970, in the order of the ids; 0 for never."""
        found = await self.store.get_many(key_ids) if key_ids else []
        return [one["used_ms"] if one else 0 for one in found]

    async def take_over(self, newest: str) -> int:
        """Put noted hashes with the newest pepper into the records of their keys; return how many.

        For TenantService, which writes those. A record that has changed since, by a rotation, is left alone. None is looked
        at again, but those that the engine doesn't take now.
        """
        taken, after = 0, None
        while page := await self.store.page(None, (_REHASHED,), after, _PAGE):
            for use in page:
                taken += use["pepper"] == newest and await self._take_over(use)
            after = page[-1]["key_id"]
        return taken

    async def _take_over(self, use: Json) -> bool:
        def decide(old: KeyRecord | None) -> KeyRecord:
            if old is None or not old.active or old.version != use["version"] or old.pepper == use["pepper"]:
                raise not_found("pinakes/ApiKey", use["key_id"])
            return old.changed(pepper=use["pepper"], digest=use["digest"])

        taken = True
        try:
            await self._directory.keys.change(use["key_id"], use["tenant_uid"], "key", decide)
        except Fault as fault:
            if fault.kind is not Kind.NOT_FOUND:
                return False
            taken = False
        await self._file(use)
        return taken

    async def _file(self, use: Json) -> None:
        """File a use among those without a hash, unless it was written anew."""
        stored = await self.store.get(use["key_id"])
        if stored is None or stored.record != use:
            return
        kept = {name: use[name] for name in ("key_id", "tenant_uid", "used_ms")}
        with suppress(Conflict):
            await self.store.replace(stored, use["tenant_uid"], ACTIVE, kept)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            try:
                await self.write()
            except (Fault, EngineRefusal, TimeoutError) as error:
                _log.warning("uses of keys can't be written", error=error)
            except Exception:
                _log.exception("writing uses of keys failed")
