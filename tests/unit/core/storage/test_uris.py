# SPDX-License-Identifier: Apache-2.0
"""Which objects a URI names, and which of them a tenant may name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from pinakes.core.faults import Fault, Kind
from pinakes.core.settings import Settings
from pinakes.core.storage.compression import Compression, by_name
from pinakes.core.storage.uris import Use, check_allowed, parse

NAMED = Settings(
    secret_key=SecretStr("k" * 40), s3_buckets=["one", "two"], import_folder=Path("/"), export_folder=Path("/")
)
NOTHING = Settings(secret_key=SecretStr("k" * 40))


@pytest.mark.parametrize(
    ("uri", "bucket", "path"),
    [
        ("s3://one/acme/a.jsonl", "one", "acme/a.jsonl"),
        ("s3://my.bucket-1/acme/tief/Ünï code%20?x#y.gz", "my.bucket-1", "acme/tief/Ünï code%20?x#y.gz"),
        ("file:///a.jsonl", "", "a.jsonl"),
        ("file:///folder/a.jsonl.zst", "", "folder/a.jsonl.zst"),
    ],
)
def test_a_uri_is_taken_as_it_is(uri: str, bucket: str, path: str) -> None:
    found = parse(uri, "source_uri")
    assert (found.uri, found.bucket, found.path) == (uri, bucket, path)


@pytest.mark.parametrize(
    "uri",
    [
        "", "a.jsonl", "/etc/passwd", "http://host/a", "s3:/one/a", "s3://", "s3://one", "s3://one/", "s3:///a",
        "s3://One/acme/a", "s3://o/acme/a", "s3://one:80/acme/a", "s3://user@one/acme/a", "s3://one/acme/../other/a",
        "s3://one/acme/./a", "s3://one//acme/a", "s3://one/acme//a", "s3://one/acme/", "s3://one/acme/a\n", "s3://one/acme/\0",
        "s3://one/acme\\..\\a", f"s3://one/acme/{'x' * 1020}", "file://a.jsonl", "file:///", "file:////etc/passwd",
        "file://localhost/a", "file:///../other/a", "file:///a/../../b", "file:///.hidden", "file:///a/.b", "file:///a/",
        "file:///a\\b", f"file:///{'x' * 256}", "FILE:///a", "file:///a\x00b",
    ],
)  # fmt: skip
def test_what_could_mean_another_place_than_it_shows_is_refused(uri: str) -> None:
    with pytest.raises(Fault) as caught:
        parse(uri, "source_uri")
    assert (caught.value.kind, caught.value.reason) == (Kind.INVALID, "URI_INVALID")
    assert caught.value.violations[0].field == "source_uri"


def refused(uri: str, settings: Settings = NAMED, use: Use = Use.READ) -> str:
    with pytest.raises(Fault) as caught:
        check_allowed(parse(uri, "source_uri"), "acme", settings, use)
    assert (caught.value.kind, caught.value.reason) == (Kind.DENIED, "URI_NOT_ALLOWED")
    return caught.value.message


def test_a_tenant_names_its_own_keys_of_allowed_buckets_only() -> None:
    for uri in ("s3://one/acme/a", "s3://two/acme/b/c"):
        check_allowed(parse(uri, "source_uri"), "acme", NAMED, Use.READ)
    for uri in ("s3://one/other/a", "s3://one/acme", "s3://one/acme2/a", "s3://one/ac/me/a", "s3://one/a"):
        assert "begin with acme/" in refused(uri)
    assert "PINAKES_S3_BUCKETS" in refused("s3://three/acme/a")


def test_what_isnt_set_is_refused_with_the_name_of_the_setting() -> None:
    assert "PINAKES_S3_BUCKETS" in refused("s3://one/acme/a", NOTHING)
    assert "PINAKES_IMPORT_FOLDER" in refused("file:///a", NOTHING)
    assert "PINAKES_EXPORT_FOLDER" in refused("file:///a", NOTHING, Use.WRITE)
    assert "/" not in refused("file:///a", NOTHING).removeprefix("file:///a")


def test_the_ending_of_a_name_says_how_it_is_compressed() -> None:
    assert by_name("a.jsonl") is Compression.NONE
    assert by_name("a.jsonl.gz") is Compression.GZIP
    assert by_name("a.gz/b.zst") is Compression.ZSTD
