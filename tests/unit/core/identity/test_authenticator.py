# SPDX-License-Identifier: Apache-2.0
"""Credentials are proved once: again only when something has changed that they hang on, and never past their time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from pinakes.client import scoped_token
from pinakes.core.engine.client import Engine
from pinakes.core.faults import Fault
from pinakes.core.identity import keys
from pinakes.core.identity.authenticator import Authenticator
from pinakes.core.identity.peppers import Peppers
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.identity.scoped import ScopedToken
from pinakes.core.identity.seen import SeenCredentials, Verified
from pinakes.core.settings import Settings
from pinakes.core.tenancy.directory import Directory
from pinakes.core.tenancy.key_uses import KeyUses
from pinakes.core.tenancy.models import DELETED, KeyRecord, TenantRecord, now_ms

TENANT = TenantRecord(tenant_id="acme", uid="u-acme", create_ms=1)


class World:
    """An authenticator that knows a tenant and a key; `proofs` counts hashes and signatures that were checked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Know them without an engine: nothing is looked up that isn't remembered."""
        settings = Settings(secret_key=SecretStr("s" * 32), bootstrap_admin_key=SecretStr("pk_bootstrap_" + "A" * 43))
        engine = Engine(settings)
        self.directory = Directory(engine, 3600)
        self.uses = KeyUses(engine, self.directory)
        self.authenticator = Authenticator(settings, self.directory, self.uses)
        self.key = keys.generate()
        self.record = KeyRecord(
            key_id=self.key.key_id, tenant_id="acme", tenant_uid="u-acme", role="service",
            digest=Peppers(settings).digest(self.key.secret), public_key=keys.public_half(self.key.secret), create_ms=2,
        )  # fmt: skip
        self.directory.tenants.remember("acme", TENANT)
        self.directory.keys.remember(self.key.key_id, self.record)
        self.proofs = 0
        for owner, name in ((Peppers, "matches"), (ScopedToken, "signed_by")):
            monkeypatch.setattr(owner, name, self._counting(getattr(owner, name)))

    def _counting(self, method: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            self.proofs += 1
            return method(*arguments)

        return counted

    def change(self, **changes: Any) -> None:
        """Change the key's record, as a poll of the directory would tell it."""
        self.record = self.record.changed(**changes)
        self.directory.keys.remember(self.key.key_id, self.record)

    async def let_in(self, credential: str) -> Principal | str:
        """Return who a credential is, or the reason that it is refused for."""
        try:
            return await self.authenticator.authenticate(
                {"authorization": f"Bearer {credential}"}, administration=False
            )
        except Fault as fault:
            return fault.reason


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Give it."""
    return World(monkeypatch)


@pytest.mark.parametrize("scoped", [False, True])
async def test_a_credential_that_was_seen_is_not_proved_again_until_its_record_changes(
    world: World, scoped: bool
) -> None:
    credential = scoped_token(world.key.text, expire=60) if scoped else world.key.text
    first = await world.let_in(credential)
    assert isinstance(first, Principal)
    for _ in range(5):
        assert await world.let_in(credential) is first
    assert world.proofs == 1
    world.change(display_name="other")
    assert await world.let_in(credential) == first
    assert world.proofs == 2


async def test_revocation_rotation_and_the_end_of_the_tenant_are_seen_at_the_next_call(world: World) -> None:
    token = scoped_token(world.key.text, expire=60)
    assert isinstance(await world.let_in(world.key.text), Principal)
    assert isinstance(await world.let_in(token), Principal)
    other = keys.generate()
    before = world.record
    world.change(
        digest=Peppers(Settings(secret_key=SecretStr("s" * 32))).digest(other.secret),
        public_key=keys.public_half(other.secret), previous_digest=before.digest,
        previous_public_key=before.public_key, previous_until_ms=now_ms() + 300,
    )  # fmt: skip
    assert isinstance(await world.let_in(world.key.text), Principal)
    assert isinstance(await world.let_in(token), Principal)
    world.change(previous_until_ms=now_ms() - 1)
    assert await world.let_in(world.key.text) == await world.let_in(token) == "API_KEY_ROTATED"
    assert isinstance(await world.let_in(keys.text_of(world.key.key_id, other.secret)), Principal)
    world.change(state=DELETED)
    assert await world.let_in(keys.text_of(world.key.key_id, other.secret)) == "API_KEY_REVOKED"
    world.change(state="active")
    assert isinstance(await world.let_in(keys.text_of(world.key.key_id, other.secret)), Principal)
    world.directory.tenants.remember("acme", TENANT.changed(state=DELETED))
    assert await world.let_in(keys.text_of(world.key.key_id, other.secret)) == "API_KEY_UNKNOWN"
    # A token tells no more than a key: that there was one, and a tenant, isn't said.
    later = scoped_token(keys.text_of(world.key.key_id, other.secret), expire=60)
    assert await world.let_in(later) == "SCOPED_TOKEN_UNKNOWN"


async def test_what_was_seen_ends_at_its_time_though_nothing_changes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.change(expire_ms=now_ms() + 50_000)
    token = scoped_token(world.key.text, expire=20)
    for credential in (world.key.text, token):
        assert isinstance(await world.let_in(credential), Principal)
    for seconds, reason in ((30, "SCOPED_TOKEN_EXPIRED"), (60, "API_KEY_EXPIRED")):
        later = now_ms() + seconds * 1000
        for module in ("seen", "authenticator"):
            monkeypatch.setattr(f"pinakes.core.identity.{module}.now_ms", lambda later=later: later)
        assert await world.let_in(token if seconds == 30 else world.key.text) == reason
        monkeypatch.undo()


async def test_a_token_that_was_seen_ends_at_its_time_though_its_key_never_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = scoped_token(world.key.text, expire=20)
    assert isinstance(await world.let_in(token), Principal)
    later = now_ms() + 30_000
    for module in ("seen", "authenticator"):
        monkeypatch.setattr(f"pinakes.core.identity.{module}.now_ms", lambda: later)
    assert await world.let_in(token) == "SCOPED_TOKEN_EXPIRED"


async def test_what_was_refused_is_refused_anew_each_time_and_not_remembered(world: World) -> None:
    wrong = world.key.text[:-2] + ("AA" if not world.key.text.endswith("AA") else "EA")
    for _ in range(3):
        assert await world.let_in(wrong) in {"API_KEY_UNKNOWN", "API_KEY_MALFORMED"}
    assert not world.authenticator._seen._entries


@pytest.mark.parametrize("seen", [False, True])
async def test_a_key_opens_no_later_tenant_of_its_tenant_s_name(world: World, seen: bool) -> None:
    if seen:
        assert isinstance(await world.let_in(world.key.text), Principal)
    later = TenantRecord(tenant_id="acme", uid="u-later", create_ms=world.record.create_ms + 1)
    world.directory.tenants.remember("acme", later)
    assert await world.let_in(world.key.text) == "API_KEY_UNKNOWN"


@pytest.mark.parametrize("gone", ["keys", "tenants"])
def test_what_was_seen_does_not_stand_without_the_records_that_it_hangs_on(
    world: World, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    kept = SeenCredentials(world.directory, None)
    name, principal = kept.name("Bearer key"), Principal("key:k", Role.SERVICE, ("acme",), None)
    kept.remember(name, Verified(principal, key_id=world.key.key_id, key_version=world.record.version))
    assert kept.get(name, administration=False)
    monkeypatch.setattr(getattr(world.directory, gone), "known", lambda *_, **__: None)
    assert kept.get(name, administration=False) is None


async def test_a_key_of_a_tenant_that_is_not_there_is_not_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: Any, **__: Any) -> None:
        return None

    monkeypatch.setattr(world.directory.tenants, "get", nobody)
    assert await world.let_in(world.key.text) == "API_KEY_UNKNOWN"


def test_a_jwt_that_was_seen_stands_while_its_issuer_s_keys_are_as_they_were(world: World) -> None:
    keys_then, keys_now = object(), object()
    verifier: Any = SimpleNamespace(vouches_for=lambda them, administration: them is keys_then and not administration)
    kept = SeenCredentials(world.directory, verifier)
    name, principal = kept.name("Bearer token"), Principal("jwt:ann", Role.SERVICE, ("acme",), None)
    for known, stands in ((keys_then, True), (keys_now, False)):
        kept.remember(name, Verified(principal, now_ms() + 60_000, issuer_keys=known))
        assert bool(kept.get(name, administration=False)) is stands
    kept.remember(name, Verified(principal, now_ms() + 60_000, issuer_keys=keys_then))
    assert kept.get(name, administration=True) is None, "the verifier wasn't asked for what it is"


async def test_the_scheme_is_told_apart_and_every_credential_has_one_text(world: World) -> None:
    for header in (f"Basic {world.key.text}", world.key.text, "Bearer", "Bearer "):
        with pytest.raises(Fault) as caught:
            await world.authenticator.authenticate({"authorization": header}, administration=False)
        assert caught.value.reason == "CREDENTIAL_MALFORMED"
    found = await world.authenticator.authenticate(
        {"authorization": f"bearer  {world.key.text} "}, administration=False
    )
    assert found.subject == f"key:{world.key.key_id}"


async def test_the_bootstrap_key_is_proved_once_and_stands(world: World) -> None:
    for _ in range(3):
        found = await world.let_in("pk_bootstrap_" + "A" * 43)
        assert isinstance(found, Principal)
        assert found.tenants is None
    assert await world.let_in("pk_bootstrap_" + "B" * 42 + "A") == "API_KEY_UNKNOWN"


async def test_a_key_s_use_is_noted_each_time_whatever_it_was_proved_by(world: World) -> None:
    await world.let_in(world.key.text)
    world.uses._seen.clear()
    await world.let_in(world.key.text)
    await world.let_in(scoped_token(world.key.text, expire=60))
    assert world.uses._seen == {world.key.key_id}


def test_the_credentials_that_were_not_used_for_longest_are_forgotten(world: World) -> None:
    kept = SeenCredentials(world.directory, None, entries=3)
    names = [kept.name(f"Bearer {number}") for number in range(4)]
    principal = Principal("x", Role.ADMIN, None, None)
    for name in names[:3]:
        kept.remember(name, Verified(principal))
    assert kept.get(names[0], administration=False)
    kept.remember(names[3], Verified(principal))
    assert [bool(kept.get(name, administration=False)) for name in names] == [True, False, True, True]
    assert len(set(names)) == 4
    assert kept.name("Bearer 0") == names[0]
    assert SeenCredentials(world.directory, None).name("Bearer 0") != names[0]


@pytest.mark.parametrize("metadata", [{}, {"authorization": ""}, {"authorization": b"Bearer x"}, {"other": "Bearer x"}])
async def test_without_a_credential_it_is_asked_for(world: World, metadata: dict[str, Any]) -> None:
    asked: list[bool] = []

    def peer() -> list[str]:
        asked.append(True)
        return []

    for names in (None, peer):
        with pytest.raises(Fault) as caught:
            await world.authenticator.authenticate(metadata, administration=False, peer=names)
        assert caught.value.reason == "CREDENTIAL_MISSING"
    assert not asked, "where there are no accounts, nobody looks at certificates"


async def test_where_there_are_accounts_a_stranger_s_certificate_is_nobody_s(world: World, tmp_path: Path) -> None:
    file = tmp_path / "pem"
    file.touch()
    settings = Settings(
        secret_key=SecretStr("s" * 32), tls_cert_file=file, tls_key_file=file, tls_client_ca_file=file,
        service_accounts=["spiffe://acme.example/ops=admin"],
    )  # fmt: skip
    made = Authenticator(settings, world.directory, world.uses)
    for names in (None, list, lambda: ["spiffe://acme.example/other"]):
        with pytest.raises(Fault) as caught:
            await made.authenticate({}, administration=False, peer=names)
        assert caught.value.reason == "CREDENTIAL_MISSING"
    found = await made.authenticate({}, administration=False, peer=lambda: ["spiffe://acme.example/ops"])
    assert found.role is Role.ADMIN


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer   "])
async def test_an_empty_token_is_malformed_where_tokens_are_accepted_too(world: World, header: str) -> None:
    settings = Settings(secret_key=SecretStr("s" * 32), jwt_issuer="https://issuer.example", jwt_audience="pinakes")
    made = Authenticator(settings, world.directory, world.uses)
    with pytest.raises(Fault) as caught:
        await made.authenticate({"authorization": header}, administration=False)
    assert caught.value.reason == "CREDENTIAL_MALFORMED"
    await made.close()


async def test_a_token_of_no_issuer_is_no_credential(world: World) -> None:
    assert await world.let_in("a.b.c") == "CREDENTIAL_MALFORMED"


async def test_who_is_not_known_is_refused_in_the_words_of_its_kind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(*_: Any, **__: Any) -> None:
        return None

    monkeypatch.setattr(world.directory, "key", nobody)
    assert await world.let_in(world.key.text) == "API_KEY_UNKNOWN"
    assert await world.let_in(scoped_token(world.key.text, expire=60)) == "SCOPED_TOKEN_UNKNOWN"


async def test_without_a_bootstrap_key_there_is_none(world: World) -> None:
    settings = Settings(secret_key=SecretStr("s" * 32))
    made = Authenticator(settings, world.directory, world.uses)
    with pytest.raises(Fault) as caught:
        await made.authenticate({"authorization": "Bearer pk_bootstrap_" + "A" * 43}, administration=True)
    assert caught.value.reason == "API_KEY_UNKNOWN"


def rotated(world: World, until_ms: int) -> tuple[str, str]:
    """Give the key another secret, beside which the one before works for a while. Return the texts: present, previous."""
    present, before = keys.generate(), world.record
    world.change(
        digest=Peppers(Settings(secret_key=SecretStr("s" * 32))).digest(present.secret),
        public_key=keys.public_half(present.secret), previous_digest=before.digest,
        previous_pepper=before.pepper, previous_public_key=before.public_key, previous_until_ms=until_ms,
    )  # fmt: skip
    return keys.text_of(world.key.key_id, present.secret), world.key.text


async def test_a_third_secret_opens_nothing_while_two_do(world: World) -> None:
    present, previous = rotated(world, now_ms() + 60_000)
    third = keys.text_of(world.key.key_id, keys.generate().secret)
    for text in (present, previous):
        assert isinstance(await world.let_in(text), Principal)
        assert isinstance(await world.let_in(scoped_token(text, expire=60)), Principal)
    assert await world.let_in(third) == "API_KEY_UNKNOWN"
    assert await world.let_in(scoped_token(third, expire=60)) == "SCOPED_TOKEN_UNKNOWN"


async def test_a_token_ends_with_the_secret_that_signed_it_and_not_later_than_its_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    present, previous = rotated(world, now_ms() + 5_000)
    old, new = scoped_token(previous, expire=60), scoped_token(present, expire=60)
    for token in (old, new):
        assert isinstance(await world.let_in(token), Principal)
    later = now_ms() + 10_000
    for module in ("seen", "authenticator"):
        monkeypatch.setattr(f"pinakes.core.identity.{module}.now_ms", lambda: later)
    assert await world.let_in(old) == "API_KEY_ROTATED"
    assert isinstance(await world.let_in(new), Principal)
    world.change(expire_ms=later + 20_000)
    assert await world.let_in(new) == "SCOPED_TOKEN_WIDER"
    # The present secret's end isn't that of the one before.
    assert isinstance(await world.let_in(present), Principal)


OLD, NEW = "o" * 32, "n" * 32


def peppers(*texts: str) -> Peppers:
    return Peppers(Settings(secret_key=SecretStr("s" * 32), key_peppers=SecretStr(",".join(texts))))


@pytest.mark.parametrize("kept", [(NEW,), (NEW, OLD)])
@pytest.mark.parametrize("present", [True, False])
async def test_a_hash_is_renewed_where_an_older_pepper_made_it_of_the_present_secret(
    world: World, monkeypatch: pytest.MonkeyPatch, kept: tuple[str, ...], present: bool
) -> None:
    """What the first of `kept` made needs no other; nor does the secret before, which ends anyway."""
    world.authenticator._peppers = peppers(NEW, OLD)
    made = peppers(*reversed(kept))
    other = keys.generate()
    mine = {"digest": made.digest(world.key.secret), "pepper": made.newest}
    if present:
        world.change(**mine)
    else:
        newest = peppers(NEW)
        world.change(
            digest=made.digest(other.secret), pepper=made.newest, previous_digest=newest.digest(world.key.secret),
            previous_pepper=newest.newest, previous_until_ms=now_ms() + 60_000,
        )  # fmt: skip
    taken: list[str] = []
    monkeypatch.setattr(world.uses, "rehashed", lambda record, *_: taken.append(record.key_id))
    assert isinstance(await world.let_in(world.key.text), Principal)
    assert bool(taken) is (present and kept[-1] == OLD)
