# SPDX-License-Identifier: Apache-2.0
"""A real Keycloak for a test: downloaded once and verified, started in a folder of its own, spoken to by its REST API."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from pinakes.local.artifacts import fetch, read_lock, stored
from pinakes.local.java import find_java
from pinakes.local.places import default_cache, places

LOCK_FILE = Path(__file__).with_name("keycloak.lock")
READY_SECONDS = 600.0
REALM, CLIENT, OTHER_CLIENT, AUDIENCE = "acme", "app", "elsewhere", "pinakes"
_TENANT_MAPPER = {
    "name": "tenant", "protocol": "openid-connect", "protocolMapper": "oidc-usermodel-attribute-mapper",
    "config": {"user.attribute": "tenant_id", "claim.name": "tenant_id", "jsonType.label": "String", "access.token.claim": "true"},
}  # fmt: skip
_GROUP_MAPPER = {
    "name": "groups", "protocol": "openid-connect", "protocolMapper": "oidc-group-membership-mapper",
    "config": {"claim.name": "groups", "full.path": "true", "access.token.claim": "true"},
}  # fmt: skip
_AUDIENCE_MAPPER = {
    "name": "audience", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
    "config": {"included.custom.audience": AUDIENCE, "access.token.claim": "true"},
}  # fmt: skip


@dataclass(slots=True)
class Keycloak:
    """A running Keycloak with the realm `acme`."""

    url: str
    password: str = field(repr=False)

    @property
    def issuer(self) -> str:
        """What its tokens have as `iss`."""
        return f"{self.url}/realms/{REALM}"

    def make_realm(self, tenant_id: str, users: dict[str, tuple[list[str], list[str]]]) -> None:
        """Make the realm, two clients, and users of a tenant: roles and groups by name. Passwords are the names."""
        roles = sorted({role for given, _ in users.values() for role in given})
        groups = sorted({group for _, given in users.values() for group in given})
        client = {"publicClient": True, "directAccessGrantsEnabled": True, "standardFlowEnabled": False}
        mine = [_TENANT_MAPPER, _GROUP_MAPPER, _AUDIENCE_MAPPER]
        realm = {
            "realm": REALM, "enabled": True, "accessTokenLifespan": 300,
            "roles": {"realm": [{"name": role} for role in roles]}, "groups": [{"name": group} for group in groups],
            "clients": [
                {"clientId": CLIENT, "protocolMappers": mine, **client},
                {"clientId": OTHER_CLIENT, "protocolMappers": mine[:2], **client},
            ],
        }  # fmt: skip
        self._admin("POST", "", realm, whole=True)
        # Attributes that nobody has declared are dropped unless the realm lets them be.
        profile = self._admin("GET", "/users/profile") | {"unmanagedAttributePolicy": "ENABLED"}
        self._admin("PUT", "/users/profile", profile)
        for name, (given_roles, given_groups) in users.items():
            user = {
                "username": name, "enabled": True, "email": f"{name}@acme.example", "emailVerified": True,
                "firstName": name, "lastName": name, "attributes": {"tenant_id": [tenant_id]},
                "groups": [f"/{group}" for group in given_groups],
                "credentials": [{"type": "password", "value": name, "temporary": False}],
            }  # fmt: skip
            self._admin("POST", "/users", user)
            (found,) = self._admin("GET", f"/users?exact=true&username={name}")
            wanted = [self._admin("GET", f"/roles/{role}") for role in given_roles]
            self._admin("POST", f"/users/{found['id']}/role-mappings/realm", wanted)

    def token(self, name: str, client: str = CLIENT, kind: str = "access_token") -> str:
        """Log a user in and return its token."""
        form = {"grant_type": "password", "client_id": client, "username": name, "password": name, "scope": "openid"}
        answer = requests.post(f"{self.issuer}/protocol/openid-connect/token", data=form, timeout=60)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()[kind]
        return token

    def rotate(self) -> None:
        """Sign with another key from now on, and publish none of those before."""
        kind = "org.keycloak.keys.KeyProvider"
        before = self._admin("GET", f"/components?type={kind}")
        old = [one for one in before if one["providerId"] == "rsa-generated"]
        priority = 1 + max(int(one["config"].get("priority", ["0"])[0]) for one in old)
        config = {"priority": [str(priority)], "enabled": ["true"], "active": ["true"], "keySize": ["2048"]}
        name = f"rsa-{priority}"
        self._admin(
            "POST", "/components", {"name": name, "providerId": "rsa-generated", "providerType": kind, "config": config}
        )
        for one in old:
            self._admin("DELETE", f"/components/{one['id']}")

    def _admin(self, method: str, path: str, body: Any = None, *, whole: bool = False) -> Any:
        """Call the administration: of the realm, or of the whole."""
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": self.password}
        opened = requests.post(f"{self.url}/realms/master/protocol/openid-connect/token", data=form, timeout=60)
        assert opened.status_code == 200, opened.text
        answer = requests.request(
            method, f"{self.url}/admin/realms{'' if whole else f'/{REALM}'}{path}", json=body, timeout=120,
            headers={"authorization": f"Bearer {opened.json()['access_token']}"},
        )  # fmt: skip
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else {}


@contextmanager
def keycloak(folder: Path) -> Iterator[Keycloak]:
    """Run a Keycloak in a folder until the block ends."""
    (archive,) = read_lock(LOCK_FILE)
    cache = default_cache()
    fetch(
        [archive],
        cache,
        lambda done, total: print(f"Keycloak: {done >> 20} of {total >> 20} MiB") if done == total else None,
    )
    with zipfile.ZipFile(stored(cache, archive)) as packed:
        packed.extractall(folder)
    home = folder / f"keycloak-{archive.version}"
    (home / "bin/kc.sh").chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Keycloak(f"http://127.0.0.1:{port}", secrets.token_urlsafe(24))
    environment = {
        **os.environ, "JAVA": str(find_java(places(folder / "java", cache))), "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
        "KC_BOOTSTRAP_ADMIN_PASSWORD": made.password, "JAVA_OPTS_KC_HEAP": "-Xms128m -Xmx512m",
    }  # fmt: skip
    command = [str(home / "bin/kc.sh"), "start-dev", "--http-host=127.0.0.1", f"--http-port={port}", "--cache=local"]
    log = folder / "keycloak.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)
    try:
        began = time.monotonic()
        while not _answers(made.url):
            assert process.poll() is None, log.read_text("utf-8", "replace")[-4000:]
            assert time.monotonic() - began < READY_SECONDS, log.read_text("utf-8", "replace")[-4000:]
            time.sleep(1)
        print(f"Keycloak: ready after {time.monotonic() - began:.0f} s")
        yield made
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/realms/master", timeout=5).status_code == 200
    except requests.RequestException:
        return False
