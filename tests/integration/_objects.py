# SPDX-License-Identifier: Apache-2.0
"""Object storage for tests: a real S3 endpoint and folders. Import the fixture `objects`."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
import pytest
from backports import zstd
from obstore.store import S3Store
from pydantic import SecretStr

from pinakes.core.settings import Settings
from pinakes.core.storage.objects import Storage
from pinakes.core.storage.uris import parse
from pinakes.local import Platform as Local
from pinakes.local import s3

PACK = {".gz": gzip.compress, ".zst": zstd.compress}


@dataclass(frozen=True, slots=True)
class Objects:
    """A bucket that may be used, one that may not, and the two folders."""

    local: Local
    home: Path
    env: Mapping[str, str]

    @property
    def settings(self) -> Settings:
        """Settings that reach all of it."""
        values: dict[str, Any] = {
            name.removeprefix("PINAKES_").lower(): value for name, value in self.env.items() if value
        }
        values["s3_secret_key"] = SecretStr(values["s3_secret_key"])
        return Settings(secret_key=SecretStr("k" * 40), **values)

    def storage(self, **changes: Any) -> Storage:
        """Return a storage of settings with changes."""
        return Storage(self.settings.model_copy(update=changes))

    def path(self, uri: str, tenant: str = "") -> Path:
        """Return where an object really is; files of imports, or of exports if there is no such import."""
        location = parse(uri, "uri")
        if location.bucket:
            return s3.folder(self.local.home).parent / location.bucket / location.path
        found = self.home / "import" / tenant / location.path
        return found if found.exists() else self.home / "export" / tenant / location.path

    def put(self, uri: str, content: bytes | Iterable[Mapping[str, Any] | bytes], tenant: str = "") -> str:
        """Make an object of bytes or rows, compressed as its name says, and return its URI."""
        data = content if isinstance(content, bytes) else rows(content)
        location = parse(uri, "uri")
        data = PACK.get(Path(location.path).suffix, bytes)(data)
        if location.bucket:
            obstore.put(self.bucket(location.bucket), location.path, data)
        else:
            path = self.home / "import" / tenant / location.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return uri

    def bucket(self, name: str) -> S3Store:
        """Return a bucket, for those who have the secret."""
        return S3Store(
            name,
            endpoint=self.env["PINAKES_S3_ENDPOINT"],
            region=s3.REGION,
            access_key_id=s3.ACCESS_KEY,
            secret_access_key=self.env["PINAKES_S3_SECRET_KEY"],
            client_options={"allow_http": True},
        )


def rows(found: Iterable[Mapping[str, Any] | bytes]) -> bytes:
    """Return rows as JSON Lines; bytes stand as they are."""
    return b"".join(
        one + b"\n" if isinstance(one, bytes) else json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in found
    )


@pytest.fixture(scope="module")
def objects() -> Iterator[Objects]:
    """Give object storage of a module's own, so that the platform of the other tests goes on as it is."""
    home = Path(tempfile.mkdtemp(prefix="pinakes-objects-"))
    local = Local(home / "local", parts=("s3",), random_ports=True)
    try:
        local.up()
        (s3.folder(local.home).parent / "forbidden").mkdir()
        folders = {"PINAKES_IMPORT_FOLDER": str(home / "import"), "PINAKES_EXPORT_FOLDER": str(home / "export")}
        for folder in folders.values():
            Path(folder).mkdir()
        yield Objects(local, home, {**s3.environment(local.site), **folders})
    finally:
        local.reset()
        shutil.rmtree(home)
