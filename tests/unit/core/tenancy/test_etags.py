# SPDX-License-Identifier: Apache-2.0
"""Etags say whether something changed, and nothing else."""

from __future__ import annotations

import pytest

from pinakes.core.tenancy.etags import Etags

ETAGS = Etags(b"k" * 32)


def test_an_etag_is_that_of_its_version_only() -> None:
    etag = ETAGS.make(7, "hash")
    assert ETAGS.matches(etag, 7, "hash")
    assert not ETAGS.matches(etag, 8, "hash")
    assert not ETAGS.matches(etag, 7, "other")
    assert not ETAGS.matches(etag, 7)
    assert not Etags(b"K" * 32).matches(etag, 7, "hash")


def test_parts_do_not_run_into_one_another() -> None:
    assert ETAGS.make(1, "23") != ETAGS.make(12, "3")


@pytest.mark.parametrize("given", ["", "x", "ünicode", "\0", "x" * 128, "*"])
def test_anything_else_does_not_match(given: str) -> None:
    assert not ETAGS.matches(given, 7, "hash")


def test_an_etag_is_short_and_fits_into_an_address() -> None:
    etag = ETAGS.make(1 << 62, "x" * 32)
    assert len(etag) == 20
    assert etag.replace("-", "").replace("_", "").isalnum()
