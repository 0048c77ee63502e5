# SPDX-License-Identifier: Apache-2.0
"""The verb `export-tenant`: all that is a tenant's in files below one prefix, with a manifest that is written last.

Documents go out a collection after the other, in the order of their ids, in parts: a part is a file, and what is begun anew
when a worker has died. Every file appears when it is complete. Keys are told of without secrets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from pinakes.core.engine.scope import TenantScope
from pinakes.core.operations.job import Context, Job
from pinakes.core.operations.pages import count
from pinakes.core.rpc import names
from pinakes.core.storage import uris
from pinakes.core.storage.compression import Compression, Deflater
from pinakes.core.tenancy import messages
from pinakes.core.tenancy.models import ACTIVE, DELETED, WHOLE, CollectionRecord, KeyRecord, now_ms
from pinakes.v1 import lifecycle_pb2
from pinakes.worker.jobs.ahead import ahead
from pinakes.worker.jobs.export import WRITE_BYTES, body_of, pages_of, row

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pinakes.core.engine.bodies import Hit
    from pinakes.core.storage.objects import SinkContext

Json = dict[str, Any]
VERB = "export-tenant"
FORMAT = 1
MANIFEST = "manifest.json"
PART_DOCUMENTS = 50_000
PART_BYTES = 256 << 20
"""Where a part ends: by documents, or by bytes before compression."""

_ENDINGS = {Compression.NONE: "", Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}
_PAGE = 200


@dataclass(frozen=True, slots=True)
class File:
    """A file that is complete, as the manifest has it. `rows` are documents, collections or keys."""

    name: str
    kind: str
    rows: int
    bytes: int
    sha256: str
    collection: str = ""
    collection_uid: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """The checkpoint: what is complete, and which document of which collection the next part begins after."""

    files: tuple[File, ...] = ()
    collection: str = ""
    after: str = ""
    part: int = 0

    @classmethod
    def of(cls, checkpoint: Json) -> State:
        """Read a checkpoint."""
        return cls(**(checkpoint | {"files": tuple(File(**file) for file in checkpoint.get("files", ()))}))

    @property
    def documents(self) -> int:
        """Documents written."""
        return sum(file.rows for file in self.files if file.kind == "documents")

    @property
    def size(self) -> int:
        """Bytes written."""
        return sum(file.bytes for file in self.files)


async def run(context: Context) -> Message:
    """Export, from the checkpoint on. Parameters: `destination_uri` and `compression`."""
    state = State.of(context.checkpoint)
    collections = await _collections(context)
    await _counted(context, collections)
    for collection in collections:
        if collection.collection_id >= state.collection:
            state = await _documents(context, collection, state)
    done = {file.name for file in state.files}
    tenant = messages.tenant(context.tenant, context.platform.etags, context.platform.limiter.defaults)
    keys = [messages.api_key(record) for record in await _keys(context)]
    kept = [messages.collection(context.tenant.tenant_id, one, context.platform.etags) for one in collections]
    for name, kind, rows in (
        ("tenant.json", "tenant", [tenant]), ("collections.jsonl", "collections", kept), ("keys.jsonl", "keys", keys),
    ):  # fmt: skip
        if name not in done:
            data = b"".join(_line(message) for message in rows)
            state = await _complete(context, state, await _write(context, name, data), kind, len(rows))
    manifest = json.dumps(_manifest(context, state), indent=2).encode() + b"\n"
    await _write(context, MANIFEST, manifest)
    return lifecycle_pb2.ExportTenantResponse(
        manifest_uri=place(context.parameters["destination_uri"], MANIFEST).uri, exported_count=state.documents,
        file_count=len(state.files), size_bytes=state.size,
    )  # fmt: skip


def place(prefix: str, name: str) -> uris.Location:
    """Return where a file of an export goes. Raises the fault URI_INVALID."""
    return uris.parse(f"{prefix}/{name}", "destination_uri")


# ---- documents


async def _documents(context: Context, collection: CollectionRecord, state: State) -> State:
    """Write what is left of a collection's documents, part after part; at least one, so that an empty one has a file too."""
    if state.collection != collection.collection_id:
        state = replace(state, collection=collection.collection_id, after="", part=0)
    scope = TenantScope.for_work(context.platform.engine, context.tenant, collection)
    while True:
        compression = Compression[context.parameters["compression"]]
        name = f"documents/{collection.collection_id}-{state.part:05}.jsonl{_ENDINGS[compression]}"
        part = _Part(Deflater(compression), hashlib.sha256(), after=state.after)
        storage, operation = context.platform.storage, context.operation
        location = place(context.parameters["destination_uri"], name)
        async with await storage.sink(
            location, context.tenant.tenant_id, operation.operation_id, context.fence
        ) as sink:
            async with aclosing(ahead(pages_of(context, scope, body_of(), state.after))) as pages:
                await _fill(context, part, scope, pages, sink)
            if not part.rows and state.part:
                break  # and nothing is left of the file
            await part.send(sink, part.deflater.finish())
            await context.check()
            await sink.finish()
        file = File(
            name, "documents", part.rows, part.size, part.digest.hexdigest(), collection.collection_id, collection.uid
        )
        state = replace(state, files=(*state.files, file), after=part.after, part=state.part + 1)
        await _advance(context, state)
        if not part.full:
            break
    # Behind this collection, and before any other: no id has a character below the hyphen.
    state = replace(state, collection=collection.collection_id + "!", after="", part=0)
    await _advance(context, state)
    return state


@dataclass(slots=True)
class _Part:
    """A part that is being written."""

    deflater: Deflater
    digest: hashlib._Hash
    after: str
    rows: int = 0
    raw: int = 0
    size: int = 0

    @property
    def full(self) -> bool:
        """Whether the rest belongs to the next part."""
        return self.rows >= PART_DOCUMENTS or self.raw >= PART_BYTES

    async def send(self, sink: SinkContext, data: bytes) -> None:
        """Write compressed bytes."""
        if data:
            self.digest.update(data)
            self.size += len(data)
            await sink.write(data)


async def _fill(
    context: Context, part: _Part, scope: TenantScope, pages: AsyncGenerator[list[Hit]], sink: SinkContext
) -> None:
    """Write documents until the part is full or there are no more."""
    before, waiting = context.progress.done, b""
    async for hits in pages:
        text = b"".join([row(scope, hit) for hit in hits])
        waiting += part.deflater.feed(text)
        part.rows, part.raw, part.after = part.rows + len(hits), part.raw + len(text), hits[-1].source["id"]
        if len(waiting) >= WRITE_BYTES:
            await part.send(sink, waiting)
            waiting = b""
        await context.check()
        if part.full:
            break
    await part.send(sink, waiting)
    await context.advance(done=before + part.rows, total=max(context.progress.total, before + part.rows))


async def _counted(context: Context, collections: Sequence[CollectionRecord]) -> None:
    if context.progress.total:
        return
    total, seconds = 0, context.platform.settings.engine_timeout_seconds
    for collection in collections:
        scope = TenantScope.for_work(context.platform.engine, context.tenant, collection)
        total += await count(scope, None, seconds)
    await context.advance(total=total)


# ---- records


async def _collections(context: Context) -> list[CollectionRecord]:
    """Return the tenant's collections in the order of their ids."""
    found = [CollectionRecord.from_json(one) for one in await _all(context, "collections", (ACTIVE,))]
    return sorted(found, key=lambda one: one.collection_id)


async def _keys(context: Context) -> list[KeyRecord]:
    return [KeyRecord.from_json(one) for one in await _all(context, "keys", (ACTIVE, DELETED))]


async def _all(context: Context, kind: str, states: tuple[str, ...]) -> list[Json]:
    directory = context.platform.directory
    store = directory.keys.store if kind == "keys" else directory.collections.store
    found: list[Json] = []
    after: str | None = None
    while True:
        page = await store.page(context.tenant.uid, states, after, _PAGE)
        found += page
        if len(page) < _PAGE:
            return found
        last = page[-1]
        after = str(last["key_id"]) if kind == "keys" else f"{context.tenant.uid}/{last['collection_id']}"


# ---- files


async def _write(context: Context, name: str, data: bytes) -> File:
    """Write a small file, and return it."""
    location, operation = place(context.parameters["destination_uri"], name), context.operation
    async with await context.platform.storage.sink(
        location, context.tenant.tenant_id, operation.operation_id, context.fence
    ) as sink:
        await sink.write(data)
        await context.check()
        await sink.finish()
    return File(name, "", 0, len(data), hashlib.sha256(data).hexdigest())


async def _complete(context: Context, state: State, file: File, kind: str, rows: int) -> State:
    state = replace(state, files=(*state.files, replace(file, kind=kind, rows=rows)))
    await _advance(context, state)
    return state


async def _advance(context: Context, state: State) -> None:
    await context.advance(asdict(state), done=state.documents, done_bytes=state.size)


def _line(message: Message) -> bytes:
    text = json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)
    return text.encode() + b"\n"


def _manifest(context: Context, state: State) -> Json:
    tenant = context.tenant
    return {
        "format": FORMAT,
        "tenant": names.tenant(tenant.tenant_id),
        "uid": tenant.uid,
        "operation": names.operation(tenant.tenant_id, context.operation.operation_id),
        "begun_ms": context.operation.start_ms,
        "finished_ms": now_ms(),
        "documents": state.documents,
        "files": [{key: value for key, value in asdict(file).items() if value != ""} for file in state.files],
    }


JOB = Job(VERB, run, of_tenant=True, states=WHOLE)
