# SPDX-License-Identifier: Apache-2.0
"""Objects by URI behind one small interface: a source is read in ranges, a sink appears only when it is complete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from pinakes.core.faults import Fault, Kind
from pinakes.core.storage import uris
from pinakes.core.storage.folder import FileSink, FileSource, check_writable
from pinakes.core.storage.uris import Location, Use

if TYPE_CHECKING:
    from pinakes.core.settings import Settings
    from pinakes.core.storage.s3 import Buckets

CHECK_SECONDS = 3.0


class Source(Protocol):
    """An object that is read. `size` is in bytes; `version` is another once the object has been replaced."""

    uri: str
    size: int
    version: str

    async def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from an offset, fewer only at the end.

        Raises the faults OBJECT_CHANGED, OBJECT_FORBIDDEN, OBJECT_NOT_FOUND, STORAGE_UNAVAILABLE.
        """

    async def close(self) -> None:
        """Let go of it."""


class Sink(Protocol):
    """An object that is written. Nothing of it can be seen before `finish`, and an older one of its name stays until then."""

    async def write(self, data: bytes) -> None:
        """Add bytes. Raises the faults OBJECT_FORBIDDEN, OBJECT_NOT_FOUND (the bucket), STORAGE_UNAVAILABLE."""

    async def finish(self) -> None:
        """Make the object visible, durably. Raises what `write` raises."""

    async def abort(self) -> None:
        """Drop what was written."""


class Storage:
    """The objects that this deployment's settings allow. One per process; connections are opened when they are needed."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings."""
        self._settings = settings
        self._known_buckets: Buckets | None = None

    async def source(self, location: Location, tenant_id: str) -> Source:
        """Open an object of a tenant to read it.

        Raises the faults URI_NOT_ALLOWED, OBJECT_NOT_FOUND, OBJECT_FORBIDDEN, STORAGE_UNAVAILABLE.
        """
        uris.check_allowed(location, tenant_id, self._settings, Use.READ)
        if location.bucket:
            return await self._buckets().source(location)
        return await FileSource.open(location, uris.folder_of(location, self._settings, Use.READ), tenant_id)

    async def sink(self, location: Location, tenant_id: str, owner: str, attempt: int) -> SinkContext:
        """Open an object of a tenant to write it, for an owner's attempt: what its earlier ones left behind is dropped.

        Raises the faults URI_NOT_ALLOWED, OBJECT_NOT_FOUND (the bucket), OBJECT_FORBIDDEN, STORAGE_UNAVAILABLE.
        """
        uris.check_allowed(location, tenant_id, self._settings, Use.WRITE)
        if location.bucket:
            return SinkContext(self._buckets().sink(location))
        folder = uris.folder_of(location, self._settings, Use.WRITE)
        return SinkContext(await FileSink.open(location, folder, tenant_id, owner, attempt))

    async def check_readable(self, location: Location, tenant_id: str) -> None:
        """Refuse at once what could never be read. Storage that is away now is no reason: jobs try again."""
        async with _unless_away():
            source = await self.source(location, tenant_id)
            await source.close()

    async def check_writable(self, location: Location, tenant_id: str) -> None:
        """Refuse at once what could never be written, as far as that can be told without writing."""
        uris.check_allowed(location, tenant_id, self._settings, Use.WRITE)
        async with _unless_away():
            if location.bucket:
                await self._buckets().check_writable(location)
            else:
                await check_writable(location, uris.folder_of(location, self._settings, Use.WRITE), tenant_id)

    def _buckets(self) -> Buckets:
        """Return the object storage; its library is loaded by the first who needs it."""
        if self._known_buckets is None:
            from pinakes.core.storage.s3 import Buckets

            self._known_buckets = Buckets(self._settings)
        return self._known_buckets


class SinkContext:
    """A sink in an `async with`: an error inside drops what was written; leaving without `finish` does too."""

    def __init__(self, sink: Sink) -> None:
        """Take over a sink."""
        self._sink = sink
        self._done = False
        self.written = 0

    async def write(self, data: bytes) -> None:
        """Add bytes."""
        if data:
            await self._sink.write(data)
            self.written += len(data)

    async def finish(self) -> None:
        """Make the object visible, durably."""
        await self._sink.finish()
        self._done = True

    async def __aenter__(self) -> Self:
        """Return the sink itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop what wasn't finished; that this fails must not hide why."""
        if not self._done:
            with suppress(Fault):
                await self._sink.abort()


@asynccontextmanager
async def _unless_away() -> AsyncIterator[None]:
    """Go on when a storage is away, or answers too slowly for somebody who waits."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            yield
    except TimeoutError:
        return
    except Fault as fault:
        if fault.kind is not Kind.UNAVAILABLE:
            raise
