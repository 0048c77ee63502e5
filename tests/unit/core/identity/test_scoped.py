# SPDX-License-Identifier: Apache-2.0
"""Scoped tokens: what the SDK makes of a key, and what the server takes it for."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pinakes.client import scoped_token
from pinakes.core.faults import Fault, Kind
from pinakes.core.identity import keys, scoped
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal

KEY = keys.generate()
PUBLIC = keys.public_half(KEY.secret)


def holder(role: Role = Role.SERVICE, readers: tuple[str, ...] | None = None) -> Principal:
    """Return who holds the key."""
    name = f"key:{KEY.key_id}"
    return Principal(name, role, ("acme",), readers, ("uid",), credential=name)


def signed(claims: Any, key: keys.NewKey = KEY) -> str:
    """Sign claims as no SDK would."""
    payload = base64.urlsafe_b64encode(claims if isinstance(claims, bytes) else orjson.dumps(claims)).rstrip(b"=")
    text = f"pt_{key.key_id}.{payload.decode()}"
    signature = Ed25519PrivateKey.from_private_bytes(key.secret).sign(scoped.SIGNED + text.encode())
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def refused(text: str, key: Principal | None = None) -> Fault:
    """Return the fault that a token causes."""
    with pytest.raises(Fault) as caught:
        scoped.narrowed(key or holder(), scoped.parse(text))
    assert caught.value.kind is Kind.UNAUTHENTICATED
    return caught.value


def test_what_the_sdk_makes_is_what_the_server_reads() -> None:
    text = scoped_token(
        KEY.text, expire=timedelta(minutes=5), collections=["news"], filter='tags = "a"', readers=["user:ann"], rate=2.5
    )
    token = scoped.parse(text)
    assert token.signed_by(PUBLIC)
    assert abs(token.expire_ms - (time.time() + 300) * 1000) < 3000
    found = scoped.narrowed(holder(), token)
    assert (found.role, found.tenants, found.tenant_uids) == (Role.TENANT_USER, ("acme",), ("uid",))
    assert (found.collections, found.filter, found.readers, found.rate) == (("news",), 'tags = "a"', ("user:ann",), 2.5)
    assert found.credential == f"key:{KEY.key_id}"
    assert found.token


def test_a_token_that_says_nothing_reads_what_has_no_readers_and_has_a_name_of_its_own() -> None:
    found = [scoped.narrowed(holder(), scoped.parse(scoped_token(KEY.text, expire=60 + n))) for n in range(2)]
    assert found[0].role is Role.TENANT_USER
    assert found[0].readers == ()
    assert (found[0].collections, found[0].filter, found[0].rate) == (None, "", 0.0)
    assert found[0].token != found[1].token


def test_a_service_s_token_may_write_and_see_everything_if_it_says_so() -> None:
    found = scoped.narrowed(holder(), scoped.parse(scoped_token(KEY.text, expire=60, role="service")))
    assert (found.role, found.readers) == (Role.SERVICE, None)


def test_readers_of_a_key_are_the_most_that_its_token_has() -> None:
    reader = holder(Role.TENANT_USER, ("ann", "staff"))
    assert scoped.narrowed(reader, scoped.parse(scoped_token(KEY.text, expire=60))).readers == ("ann", "staff")
    one = scoped_token(KEY.text, expire=60, readers=["staff"])
    assert scoped.narrowed(reader, scoped.parse(one)).readers == ("staff",)
    none = scoped_token(KEY.text, expire=60, readers=[])
    assert scoped.narrowed(reader, scoped.parse(none)).readers == ()
    assert refused(scoped_token(KEY.text, expire=60, readers=["bob"]), reader).reason == "SCOPED_TOKEN_WIDER"


def test_no_token_has_a_stronger_role_than_its_key_nor_keeps_keys() -> None:
    writes = scoped_token(KEY.text, expire=60, role="service")
    assert refused(writes, holder(Role.TENANT_USER, ())).reason == "SCOPED_TOKEN_WIDER"
    for role in ("tenant-admin", "admin", "root", ["service"], None):
        text = signed({"v": 1, "exp": int(time.time()) + 60, "role": role})
        assert refused(text, holder(Role.TENANT_ADMIN)).reason == "SCOPED_TOKEN_MALFORMED"


def test_a_changed_token_and_another_key_s_are_not_signed() -> None:
    token = scoped.parse(scoped_token(KEY.text, expire=60, collections=["news"]))
    assert not token.signed_by(keys.public_half(keys.generate().secret))
    wide = signed({"v": 1, "exp": int(time.time()) + 60})
    mixed = ".".join((*wide.split(".")[:2], scoped_token(KEY.text, expire=60).split(".")[2]))
    assert not scoped.parse(mixed).signed_by(PUBLIC)
    stolen = f"pt_{keys.generate().key_id}." + wide.partition(".")[2]
    assert not scoped.parse(stolen).signed_by(PUBLIC)
    assert not token.signed_by("")


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2}, {"v": None}, {"exp": None}, {"exp": 0}, {"exp": -1}, {"exp": 1.5}, {"exp": "9"}, {"exp": True}, {"exp": 1 << 60},
        {"iat": "x"}, {"collections": []}, {"collections": "news"}, {"collections": ["../x"]}, {"collections": [1]},
        {"collections": ["a"] * 101}, {"filter": ""}, {"filter": " "}, {"filter": 1}, {"filter": "x" * 2001}, {"readers": "ann"},
        {"readers": [""]}, {"readers": ["a" * 129]}, {"readers": ["a"] * 101}, {"rate": 0}, {"rate": -1}, {"rate": 5e-324}, {"rate": 1e-300}, {"rate": "1"},
        {"rate": True}, {"later": 1}, {"role": "service", "readers": ["ann"]},
    ],
)  # fmt: skip
def test_claims_that_are_wrong_or_not_known_here_are_refused_not_passed_over(changes: dict[str, Any]) -> None:
    claims = {"v": 1, "exp": int(time.time()) + 60} | changes
    text = signed({name: value for name, value in claims.items() if value is not None})
    assert refused(text).reason == "SCOPED_TOKEN_MALFORMED"


@pytest.mark.parametrize(
    "text", ["pt_", "pt_x.y.z", "pt_" + "a" * 16, f"pt_{'a' * 16}.e30.AA", "pt_" + "é" * 20, "pt_" + "a" * 9000]
)
def test_what_is_no_token_is_refused_without_showing_it(text: str) -> None:
    fault = refused(text)
    assert fault.reason == "SCOPED_TOKEN_MALFORMED"
    assert len(text) < 10 or text not in fault.message


def test_a_text_has_one_form_only() -> None:
    text = scoped_token(KEY.text, expire=60)
    for other in (
        text + "=",
        text.replace(".", "..", 1),
        text + ".",
        text.upper(),
        text[:-1] + "B" if text[-1] == "A" else text[:-1] + "A",
    ):
        try:
            assert not scoped.parse(other).signed_by(PUBLIC)
        except Fault as fault:
            assert fault.reason == "SCOPED_TOKEN_MALFORMED"
    assert refused(signed(b"[1]")).reason == refused(signed(b"{")).reason == "SCOPED_TOKEN_MALFORMED"


def test_a_token_has_a_longest_length_a_key_s_id_and_a_whole_signature() -> None:
    claims = {"v": 1, "exp": int(time.time()) + 60}
    good = signed(claims)
    key_id, payload, signature = good.removeprefix("pt_").split(".")
    long = signed({**claims, "readers": [f"{n:0128}" for n in range(100)]})
    short = base64.urlsafe_b64encode(base64.urlsafe_b64decode(signature + "==")[:63]).decode()
    for text in (long, f"pt_{key_id.upper()}.{payload}.{signature}", f"pt_{key_id}.{payload}.{short}"):
        assert refused(text).reason == "SCOPED_TOKEN_MALFORMED"


def test_expiry_is_taken_as_seconds_a_duration_or_a_time() -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    for expire in (3600, timedelta(hours=1), end, end.isoformat()):
        assert abs(scoped.parse(scoped_token(KEY.text, expire=expire)).expire_ms - end.timestamp() * 1000) < 3000


@pytest.mark.parametrize(
    "arguments",
    [
        {"expire": -1}, {"expire": "2001-01-01T00:00:00Z"}, {"expire": 60, "collections": []}, {"expire": 60, "collections": "news"},
        {"expire": 60, "role": "admin"}, {"expire": 60, "rate": 0}, {"expire": 60, "rate": 1e-4}, {"expire": 60, "role": "service", "readers": ["ann"]},
    ],
)  # fmt: skip
def test_the_sdk_refuses_what_cannot_be_meant(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        scoped_token(KEY.text, **arguments)
    with pytest.raises(ValueError, match="isn't an API key"):
        scoped_token("pk_bootstrap_" + "A" * 43, expire=60)
