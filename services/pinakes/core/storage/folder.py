# SPDX-License-Identifier: Apache-2.0
"""Files in the deployment's folders, `FOLDER/{tenant}/name`. No step below the folder follows a symbolic link."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pinakes.core.faults import Fault
from pinakes.core.storage.faults import (
    object_changed,
    object_forbidden,
    object_not_found,
    storage_refused,
    storage_unavailable,
)
from pinakes.core.storage.uris import Location
from pinakes.core.telemetry.logs import logger

T = TypeVar("T")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not stop us
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE, _FOLDER_MODE = 0o640, 0o750
_ATTEMPTS = 1000
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE}
_log = logger("pinakes.storage")


class FileSource:
    """A file that is read."""

    def __init__(self, location: Location, handle: int, status: os.stat_result) -> None:
        """Take over an open file."""
        self.uri = location.uri
        self.size = status.st_size
        self.version = _version(status)
        self._handle = handle

    @classmethod
    async def open(cls, location: Location, folder: Path, tenant_id: str) -> FileSource:
        """Open a tenant's file."""

        def work() -> FileSource:
            parent = _descend(location, folder, tenant_id)
            try:
                handle = os.open(location.segments[-1], _READ, dir_fd=parent)
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise _link(location) from None
                raise
            finally:
                os.close(parent)
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                os.close(handle)
                raise object_not_found(location.uri, "isn't a file")
            return cls(location, handle, status)

        return await _in_thread(location.uri, work)

    async def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from an offset, fewer only at the end."""

        def work() -> bytes:
            data = os.pread(self._handle, length, offset)
            if _version(os.fstat(self._handle)) != self.version:
                raise object_changed(self.uri)
            return data

        return await _in_thread(self.uri, work)

    async def close(self) -> None:
        """Close it."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class FileSink:
    """A file that is written under a name of its own and renamed when it is complete."""

    def __init__(self, location: Location, parent: int, handle: int, temporary: str) -> None:
        """Take over an open folder and file."""
        self._location = location
        self._parent, self._handle, self._temporary = parent, handle, temporary

    @classmethod
    async def open(cls, location: Location, folder: Path, tenant_id: str, owner: str, attempt: int) -> FileSink:
        """Begin a tenant's file. Each attempt has a name of its own: an older one may still be writing."""

        def work() -> FileSink:
            parent = _descend(location, folder, tenant_id, create=True)
            temporary = _temporary(owner, attempt)
            try:
                for earlier in range(max(0, attempt - _ATTEMPTS), attempt):
                    with suppress(FileNotFoundError):
                        os.unlink(_temporary(owner, earlier), dir_fd=parent)
                handle = os.open(temporary, _WRITE, _FILE_MODE, dir_fd=parent)
            except OSError:
                os.close(parent)
                raise
            return cls(location, parent, handle, temporary)

        return await _in_thread(location.uri, work)

    async def write(self, data: bytes) -> None:
        """Add bytes."""

        def work() -> None:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._handle, rest) :]

        await _in_thread(self._location.uri, work)

    async def finish(self) -> None:
        """Sync the file, give it its name, sync the folder."""

        def work() -> None:
            os.fsync(self._handle)
            name = self._location.segments[-1]
            os.replace(self._temporary, name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
            os.fsync(self._parent)

        await _in_thread(self._location.uri, work)
        self._close()

    async def abort(self) -> None:
        """Delete the temporary file."""
        if self._parent >= 0:
            await _in_thread(self._location.uri, lambda: os.unlink(self._temporary, dir_fd=self._parent))
        self._close()

    def _close(self) -> None:
        for handle in {self._handle, self._parent} - {-1}:
            os.close(handle)
        self._handle = self._parent = -1


async def check_writable(location: Location, folder: Path, tenant_id: str) -> None:
    """Refuse a name in a folder that can't be written, and one that is a folder."""

    def work() -> None:
        parent = _descend(location, folder, tenant_id, create=True)
        try:
            # `access` doesn't take the folder's own handle on every system.
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=parent):
                raise object_forbidden(location.uri, "the platform may not write in its folder")
            name = location.segments[-1]
            if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise object_forbidden(location.uri, "it is a folder")
        except FileNotFoundError:
            return
        finally:
            os.close(parent)

    await _in_thread(location.uri, work)


def _descend(location: Location, folder: Path, tenant_id: str, *, create: bool = False) -> int:
    """Return a handle of the folder that a location's file is in; `create` makes what is missing on the way."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # the operator may have linked this one
    for name in [tenant_id, *location.segments[:-1]]:
        try:
            if create:
                _make(name, handle)
            following = os.open(name, _FOLDER, dir_fd=handle)
        except NotADirectoryError:
            if stat.S_ISLNK(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
                raise _link(location) from None
            raise object_not_found(location.uri, "is below a file, which has nothing below it") from None
        finally:
            os.close(handle)
        handle = following
    return handle


def _make(name: str, parent: int) -> None:
    try:
        os.mkdir(name, _FOLDER_MODE, dir_fd=parent)
    except FileExistsError:
        return


def _link(location: Location) -> Fault:
    return object_forbidden(location.uri, "it is reached by a symbolic link; those aren't followed")


def _temporary(owner: str, attempt: int) -> str:
    """Return the name of a file that isn't complete. Names of callers don't begin with a dot."""
    return f".{owner}-{attempt}.part"


def _version(status: os.stat_result) -> str:
    return f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"


async def _in_thread(uri: str, work: Callable[[], T]) -> T:
    """Do what may block in a thread, and translate the system's errors."""
    try:
        return await asyncio.to_thread(work)
    except FileNotFoundError:
        raise object_not_found(uri) from None
    except PermissionError:
        raise object_forbidden(uri, "the platform's user may not") from None
    except IsADirectoryError:
        raise object_forbidden(uri, "it is a folder") from None
    except OSError as error:
        _log.warning("a file can't be used", error=_named(error))
        raise (storage_unavailable(uri) if error.errno in _FULL else storage_refused(uri)) from None


def _named(error: OSError) -> Any:
    return errno.errorcode.get(error.errno or 0, str(error.errno))
