# SPDX-License-Identifier: Apache-2.0
"""Buckets of S3-compatible storage, by obstore: it signs, tries again after 5xx and broken connections, and uploads in parts.

A source is read by ranges, each a request of its own that names the version: an import may take hours, and no
connection has to live so long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import obstore
from obstore import exceptions as errors
from obstore.store import S3Store

from pinakes.core.faults import Fault, Kind
from pinakes.core.resilience.breaker import Breaker
from pinakes.core.storage.faults import (
    object_changed,
    object_forbidden,
    object_not_found,
    storage_refused,
    storage_unavailable,
)
from pinakes.core.telemetry.logs import logger

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta

    from pinakes.core.settings import Settings
    from pinakes.core.storage.uris import Location

PART_BYTES = 16 << 20
"""An object has at most 10,000 parts: 160 GB."""
PARTS_AT_ONCE = 2
_TRIES, _TRY_SECONDS, _REQUEST_SECONDS, _CONNECT_SECONDS = 3, 20, 60, 5
_STATUS = re.compile(r"status code: (\d{3})")
_BUSY = {408, 429}
_SHOWN = 300
_log = logger("pinakes.storage")


class Buckets:
    """The allowed buckets, a client each."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings."""
        self._settings = settings
        self._stores: dict[str, S3Store] = {}
        self._breaker = Breaker("the object storage")

    async def source(self, location: Location) -> ObjectSource:
        """Open an object to read it."""
        store = self._store(location.bucket)
        with guarded(self._breaker, location):
            meta = await obstore.head_async(store, location.path)
        return ObjectSource(store, self._breaker, location, meta)

    def sink(self, location: Location) -> ObjectSink:
        """Open an object to write it."""
        return ObjectSink(self._store(location.bucket), self._breaker, location)

    async def check_writable(self, location: Location) -> None:
        """Refuse wrong credentials. Whether the bucket exists shows only when it is written to."""
        with suppress(FileNotFoundError), guarded(self._breaker, location, missing=True):
            await obstore.head_async(self._store(location.bucket), location.path)

    def _store(self, bucket: str) -> S3Store:
        """Return the client of a bucket. Without an access key the library takes the role of the machine."""
        if bucket not in self._stores:
            settings = self._settings
            more: dict[str, Any] = {}
            if settings.s3_access_key:
                more["access_key_id"] = settings.s3_access_key
                more["secret_access_key"] = settings.s3_secret_key.get_secret_value()
            if settings.s3_endpoint:
                scheme, _, host = settings.s3_endpoint.partition("://")
                # The library wants the bucket in the endpoint already where it is part of the host.
                more["endpoint"] = f"{scheme}://{host}" if settings.s3_path_style else f"{scheme}://{bucket}.{host}"
            self._stores[bucket] = S3Store(
                bucket,
                region=settings.s3_region,
                virtual_hosted_style_request=not settings.s3_path_style,
                client_options={
                    "allow_http": settings.s3_endpoint.startswith("http://"),
                    "timeout": timedelta(seconds=_REQUEST_SECONDS),
                    "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
                },
                retry_config={"max_retries": _TRIES, "retry_timeout": timedelta(seconds=_TRY_SECONDS)},
                **more,
            )
        return self._stores[bucket]


class ObjectSource:
    """An object that is read."""

    def __init__(self, store: S3Store, breaker: Breaker, location: Location, meta: ObjectMeta) -> None:
        """Know an object as it was when it was first asked for."""
        self.uri = location.uri
        self.size = meta["size"]
        self._store, self._breaker, self._location = store, breaker, location
        self.version = _version(meta)
        etag = meta["e_tag"]
        self._same: GetOptions = {"if_match": etag} if etag else {}

    async def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from an offset, fewer only at the end."""
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        options: GetOptions = {**self._same, "range": (offset, end)}
        with guarded(self._breaker, self._location):
            answer = await obstore.get_async(self._store, self._location.path, options=options)
            data = bytes(await answer.bytes_async())
        if _version(answer.meta) != self.version:
            raise object_changed(self.uri)
        return data

    async def close(self) -> None:
        """Nothing is held between reads."""


class ObjectSink:
    """An object that is written: small ones by one request, larger ones in parts that are made an object at the end."""

    def __init__(self, store: S3Store, breaker: Breaker, location: Location) -> None:
        """Begin; the first part is sent when it is full."""
        self._breaker, self._location = breaker, location
        self._file = obstore.open_writer_async(
            store, location.path, buffer_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
        )

    async def write(self, data: bytes) -> None:
        """Add bytes."""
        with guarded(self._breaker, self._location, writing=True):
            await self._file.write(data)

    async def finish(self) -> None:
        """Send the rest and make the object visible."""
        with guarded(self._breaker, self._location, writing=True):
            await self._file.close()

    async def abort(self) -> None:
        """Drop the parts that were sent."""
        with suppress(errors.BaseError, OSError):  # what failed before can't be dropped either
            # The library drops the upload when its context is left by an error, and has no other way.
            await self._file.__aexit__(_Aborted, _Aborted(), None)


def _version(meta: ObjectMeta) -> str:
    """Return what changes with an object's content; not every storage has etags of all objects."""
    return meta["e_tag"] or f"{meta['last_modified'].isoformat()}-{meta['size']}"


class _Aborted(Exception):
    """What an abandoned upload's context is left by."""


@contextmanager
def guarded(breaker: Breaker, location: Location, *, writing: bool = False, missing: bool = False) -> Iterator[None]:
    """Translate the library's errors to faults, and don't ask a storage that keeps failing.

    With `missing`, that there is no such object passes as FileNotFoundError.
    """
    try:
        permit = breaker.before()
    except Fault as fault:
        raise storage_unavailable(location.uri, fault.retry_after) from None
    try:
        yield
    except FileNotFoundError as error:
        breaker.success(permit)
        if missing:
            raise
        raise _fault(location, error, writing=writing) from None
    except errors.PreconditionError:
        breaker.success(permit)
        raise object_changed(location.uri) from None
    except (errors.BaseError, TimeoutError, OSError) as error:
        found = _fault(location, error, writing=writing)
        # A refusal is an answer: the storage works.
        (breaker.failure if found.kind is Kind.UNAVAILABLE else breaker.success)(permit)
        raise found from None
    except BaseException:
        breaker.ignored(permit)
        raise
    breaker.success(permit)


def _fault(location: Location, error: Exception, *, writing: bool) -> Fault:
    """Return the fault for an error. Writers give all of them as one type, so the status in the text tells more."""
    found = _STATUS.search(str(error))
    status = int(found[1]) if found else 0
    if isinstance(error, FileNotFoundError) or status == HTTPStatus.NOT_FOUND:
        what = "doesn't exist" if not writing else f"can't be written: there is no bucket {location.bucket}"
        return object_not_found(location.uri, what)
    # What follows holds names of objects, which are the callers'.
    text = str(error).partition("context")[0].rstrip(" ,")
    _log.warning("the object storage failed", bucket=location.bucket, status=status or None, error=text[:_SHOWN])
    forbidden = isinstance(error, errors.PermissionDeniedError | errors.UnauthenticatedError)
    if forbidden or status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return object_forbidden(location.uri)
    refused = 400 <= status < 500 and status not in _BUSY
    return (storage_refused if refused else storage_unavailable)(location.uri)
