# SPDX-License-Identifier: Apache-2.0
"""Where objects are: `s3://bucket/key` and `file:///name`, and which of them a tenant may name.

The platform reads and writes with credentials of its own, so it keeps tenants apart itself: keys of a bucket begin with
`{tenant}/`, and names of files are in the folder `{tenant}` of the deployment's folder. Names are taken as they are;
nothing in them is decoded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from pinakes.core.storage.faults import uri_invalid, uri_not_allowed

if TYPE_CHECKING:
    from pinakes.core.settings import Settings

KEY_BYTES = 1024
SEGMENT_BYTES = 255
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_FORMS = "expected s3://bucket/key or file:///name"


class Use(Enum):
    """What an object is named for: the value is the setting of its folder."""

    READ = "import_folder"
    WRITE = "export_folder"


@dataclass(frozen=True, slots=True)
class Location:
    """A parsed URI. `bucket` is empty for a file; `path` is the key, or the name below the tenant's folder."""

    uri: str
    bucket: str
    path: str

    @property
    def segments(self) -> list[str]:
        """The parts of the path between slashes."""
        return self.path.split("/")


def parse(uri: str, field: str) -> Location:
    """Read a URI; `field` is its place in the request. Raises the fault URI_INVALID."""
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme not in {"s3", "file"}:
        raise uri_invalid(field, _FORMS)
    host, _, path = rest.partition("/")
    if scheme == "file" and host:
        raise uri_invalid(field, "a file is named with three slashes, file:///name, in the deployment's own folder")
    if scheme == "s3" and not _BUCKET.fullmatch(host):
        raise uri_invalid(field, f"{host!r} isn't a bucket's name; {_FORMS}")
    location = Location(uri, host, path)
    _check_path(location, field)
    return location


def _check_path(location: Location, field: str) -> None:
    """Refuse paths that could mean another place than they show."""
    path = location.path
    if not path:
        raise uri_invalid(field, f"names no object; {_FORMS}")
    if not path.isprintable() or "\\" in path:
        raise uri_invalid(field, "control characters and backslashes aren't allowed in a name")
    if len(path.encode()) > KEY_BYTES:
        raise uri_invalid(field, f"the name has more than {KEY_BYTES} bytes")
    for segment in location.segments:
        if segment in {"", ".", ".."}:
            raise uri_invalid(field, "empty parts, `.` and `..` aren't allowed between slashes")
        if not location.bucket and (segment.startswith(".") or len(segment.encode()) > SEGMENT_BYTES):
            raise uri_invalid(field, f"names of files don't begin with `.` and have at most {SEGMENT_BYTES} bytes")


def check_allowed(location: Location, tenant_id: str, settings: Settings, use: Use) -> None:
    """Refuse what settings don't allow, and what isn't the tenant's. Raises the fault URI_NOT_ALLOWED."""
    if not location.bucket:
        folder_of(location, settings, use)
        return
    if not settings.s3_buckets:
        raise uri_not_allowed(location.uri, "this deployment allows no buckets (PINAKES_S3_BUCKETS isn't set)")
    if location.bucket not in settings.s3_buckets:
        raise uri_not_allowed(location.uri, "the bucket isn't one that this deployment allows (PINAKES_S3_BUCKETS)")
    if location.segments[0] != tenant_id or len(location.segments) < 2:
        raise uri_not_allowed(
            location.uri, f"keys of tenant {tenant_id} begin with {tenant_id}/: s3://{location.bucket}/{tenant_id}/…"
        )


def folder_of(location: Location, settings: Settings, use: Use) -> Path:
    """Return the deployment's folder for this use. Raises the fault URI_NOT_ALLOWED if there is none."""
    folder: Path | None = getattr(settings, use.value)
    if folder is None:
        what = "imports" if use is Use.READ else "exports"
        text = f"this deployment has no folder for {what} (PINAKES_{use.value.upper()} isn't set)"
        raise uri_not_allowed(location.uri, text)
    return folder
