# SPDX-License-Identifier: Apache-2.0
"""Page tokens continue their own request and nothing else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.faults import Fault, Kind
from pinakes.core.rpc.paging import PageTokens
from pinakes.v1 import index_pb2, search_pb2

TOKENS = PageTokens(b"k" * 32)
PARENT = "tenants/a/collections/default"
VALUES = [1.5, None, "ä", 9223372036854775807]


def _request(**changes: object) -> search_pb2.SearchRequest:
    return search_pb2.SearchRequest(**({"parent": PARENT, "query": "x", "page_size": 5} | changes))  # type: ignore[arg-type]


def _made() -> str:
    return TOKENS.make(_request(), "uid-a", VALUES)


def _refusal(token: str, tokens: PageTokens = TOKENS, tenant: str = "uid-a", **changes: object) -> str:
    with pytest.raises(Fault) as caught:
        tokens.read(_request(page_token=token, **changes), tenant)
    assert caught.value.kind is Kind.INVALID
    assert caught.value.violations[0].field == "page_token"
    return caught.value.reason


def test_a_request_without_a_token_begins_anew() -> None:
    assert TOKENS.read(_request(), "uid-a") is None


def test_a_token_gives_back_the_sort_values() -> None:
    assert TOKENS.read(_request(page_token=_made()), "uid-a") == VALUES


def test_the_page_size_may_change_and_the_last_token_does_not_matter() -> None:
    assert TOKENS.read(_request(page_token=_made(), page_size=50), "uid-a") == VALUES
    assert TOKENS.make(_request(page_token=_made()), "uid-a", VALUES) == _made()


@pytest.mark.parametrize(
    "changes",
    [
        {"query": "y"}, {"filter": "id = 1"}, {"order_by": "id"}, {"parent": "tenants/b/collections/default"},
        {"read_mask": {"paths": ["title"]}},
    ],
)  # fmt: skip
def test_a_token_of_another_request_is_refused(changes: dict[str, object]) -> None:
    assert _refusal(_made(), **changes) == "PAGE_TOKEN_MISMATCH"


def test_a_token_of_another_tenant_is_refused_though_the_request_is_the_same() -> None:
    assert _refusal(_made(), tenant="uid-b") == "PAGE_TOKEN_MISMATCH"


def test_a_token_of_another_rpc_is_refused() -> None:
    token = TOKENS.make(search_pb2.SearchRequest(parent=PARENT), "uid-a", VALUES)
    with pytest.raises(Fault, match="belongs to another request"):
        TOKENS.read(index_pb2.ListDocumentsRequest(parent=PARENT, page_token=token), "uid-a")


def test_a_token_that_holds_nothing_is_none() -> None:
    token = base64.urlsafe_b64encode(b"\x01" + bytes(12)).rstrip(b"=").decode()
    assert _refusal(token) == "PAGE_TOKEN_MALFORMED"


def test_a_token_signed_with_another_key_is_refused() -> None:
    assert _refusal(_made(), PageTokens(b"K" * 32)) == "PAGE_TOKEN_MISMATCH"


@pytest.mark.parametrize("token", ["x", "garbage", "====", "ünicode", "\0", " ", "AQ", "!" * 100, "A" * 4096])
def test_what_is_no_token_is_refused(token: str) -> None:
    assert _refusal(token) in {"PAGE_TOKEN_MALFORMED", "PAGE_TOKEN_MISMATCH"}


def test_every_shortened_token_is_refused() -> None:
    token = _made()
    for length in range(1, len(token)):
        assert _refusal(token[:length]) in {"PAGE_TOKEN_MALFORMED", "PAGE_TOKEN_MISMATCH"}


def test_every_changed_byte_is_noticed() -> None:
    token = _made()
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for place in range(len(raw)):
        raw[place] ^= 1
        assert _refusal(base64.urlsafe_b64encode(raw).decode()) in {"PAGE_TOKEN_MALFORMED", "PAGE_TOKEN_MISMATCH"}
        raw[place] ^= 1


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=200))
def test_any_text_is_refused_as_an_invalid_argument(token: str) -> None:
    assert _refusal(token).startswith("PAGE_TOKEN_")
