# SPDX-License-Identifier: Apache-2.0
"""What asking for an import or an export means: what can't be done is refused at once, the rest is an operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.longrunning import operations_pb2

from pinakes.core.operations.pages import condition_of
from pinakes.core.operations.records import BLIND, NARROWED
from pinakes.core.operations.start import Asked
from pinakes.core.privacy.sight import narrowed_blindly
from pinakes.core.query.narrowing import narrowed_filter
from pinakes.core.rpc import names
from pinakes.core.rpc.scopes import open_scope
from pinakes.core.storage import uris
from pinakes.core.storage.compression import Compression, by_name
from pinakes.v1 import operations_pb2 as verbs_pb2

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.rpc.call import Call
    from pinakes.core.tenancy.models import CollectionRecord

_COMPRESSIONS = {
    verbs_pb2.COMPRESSION_NONE: Compression.NONE,
    verbs_pb2.COMPRESSION_GZIP: Compression.GZIP,
    verbs_pb2.COMPRESSION_ZSTD: Compression.ZSTD,
}


async def import_documents(
    request: verbs_pb2.ImportDocumentsRequest, call: Call, platform: Platform
) -> operations_pb2.Operation:
    """Start an import of an object that is there and may be read, as far as the storage can tell now.

    Its rows are written at the revision of this moment: what callers write later stands above them.
    """
    asked, _ = await _asked("import", request, call, platform)
    location = uris.parse(request.source_uri, "source_uri")
    if (earlier := await asked.repeated()) is not None:
        return earlier
    await platform.storage.check_readable(location, call.tenant.tenant_id)
    await platform.revisions.ready()
    return await asked.start({
        "source_uri": location.uri,
        "compression": _compression(request.compression, location.path).name,
        "revision": platform.revisions.next(),
    })  # fmt: skip


async def export_documents(
    request: verbs_pb2.ExportDocumentsRequest, call: Call, platform: Platform
) -> operations_pb2.Operation:
    """Start an export of the documents that the caller may read."""
    asked, collection = await _asked("export", request, call, platform)
    location = uris.parse(request.destination_uri, "destination_uri")
    limits, narrowing = platform.settings.limits, call.principal.filter
    condition_of(request.filter, collection, limits)  # one that is wrong is told at once
    chosen = narrowed_filter(narrowing, request.filter, limits) if narrowing else request.filter
    condition_of(chosen, collection, limits)
    if (earlier := await asked.repeated()) is not None:
        return earlier
    await platform.storage.check_writable(location, call.tenant.tenant_id)
    return await asked.start({
        "destination_uri": location.uri,
        "compression": _compression(request.compression, location.path).name,
        "filter": chosen,
        **({NARROWED: narrowing, BLIND: narrowed_blindly(call.principal, collection)} if narrowing else {}),
    })  # fmt: skip


async def _asked(
    verb: str,
    request: verbs_pb2.ImportDocumentsRequest | verbs_pb2.ExportDocumentsRequest,
    call: Call,
    platform: Platform,
) -> tuple[Asked, CollectionRecord]:
    """Return the request for an operation, and its collection. Raises a fault of kind NOT_FOUND if there is no such collection."""
    _, collection = await open_scope(platform, call, names.parse(request.parent).collection)
    who = call.principal
    asked = Asked(platform, verb, call.tenant, collection, request, who.readers, who.role, who.filter)
    return asked, collection


def _compression(given: verbs_pb2.Compression, path: str) -> Compression:
    """Return what was asked for, or what the name's ending says."""
    return _COMPRESSIONS.get(given) or by_name(path)
