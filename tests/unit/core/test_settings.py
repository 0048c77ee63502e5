# SPDX-License-Identifier: Apache-2.0
"""Settings: what is wrong stops the process with the variable's name, and shows nothing secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinakes.core.identity.authenticator import bootstrap_secret
from pinakes.core.settings import load

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def only_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave one variable: the one without which there is no server."""
    import os

    for name in os.environ:
        if name.startswith("PINAKES_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PINAKES_SECRET_KEY", SECRET)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PINAKES_SECRET_KEY", "short"),
        ("PINAKES_LISTEN", "junk"),
        ("PINAKES_LISTEN", "127.0.0.1:99999"),
        ("PINAKES_METRICS_LISTEN", ":9090"),
        ("PINAKES_PROCESSES", "0"),
        ("PINAKES_PROCESSES", "many"),
        ("PINAKES_DRAIN_SECONDS", "-1"),
        ("PINAKES_CACHE_SECONDS", "2"),
        ("PINAKES_JWT_ALGORITHMS", "RS256,HS256"),
        ("PINAKES_JWT_ALGORITHMS", "none"),
        ("PINAKES_JWT_ISSUER", "https://issuer.example"),
        ("PINAKES_KEY_PEPPERS", "x" * 32 + ",short"),
        ("PINAKES_SERVICE_ACCOUNTS", "spiffe://acme.example/ops=admin"),
        ("PINAKES_TRUSTED_PROXIES", "spiffe://acme.example/envoy"),
        ("PINAKES_JWT_CLOCK_SKEW_SECONDS", "301"),
        ("PINAKES_TLS_CERT_FILE", "/nowhere/cert.pem"),
        ("PINAKES_TLS_CLIENT_CA_FILE", "/nowhere/ca.pem"),
        ("PINAKES_OPENSEARCH_CA_FILE", "/nowhere/ca.pem"),
        ("PINAKES_INDEX_PREFIX", "Not an index"),
        ("PINAKES_LIMIT_PAGE_MAX", "0"),
    ],
)
def test_a_wrong_setting_stops_the_process_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        load()
    assert caught.value.code == 78
    told = capsys.readouterr().err
    assert name in told
    assert "Traceback" not in told
    assert SECRET not in told


def test_without_a_secret_key_there_is_no_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PINAKES_SECRET_KEY")
    with pytest.raises(SystemExit):
        load()
    assert "PINAKES_SECRET_KEY" in capsys.readouterr().err


def test_a_certificate_goes_with_its_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "cert.pem").touch()
    monkeypatch.setenv("PINAKES_TLS_CERT_FILE", str(tmp_path / "cert.pem"))
    with pytest.raises(SystemExit):
        load()
    assert "PINAKES_TLS_KEY_FILE" in capsys.readouterr().err
    (tmp_path / "key.pem").touch()
    monkeypatch.setenv("PINAKES_TLS_KEY_FILE", str(tmp_path / "key.pem"))
    assert load().tls_cert_file == tmp_path / "cert.pem"


@pytest.mark.parametrize("key", ["pk_bootstrap_x", "secret-of-mine", "pk_" + "a" * 16 + "_" + "A" * 43])
def test_a_wrong_bootstrap_key_stops_the_process_and_is_not_shown(key: str) -> None:
    with pytest.raises(SystemExit) as caught:
        bootstrap_secret(key)
    assert "PINAKES_BOOTSTRAP_ADMIN_KEY" in str(caught.value.code)
    assert key not in str(caught.value.code)


def test_lists_are_read_from_commas_and_limits_from_their_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINAKES_OPENSEARCH_URLS", "http://one:9200, http://two:9200")
    monkeypatch.setenv("PINAKES_LIMIT_PAGE_MAX", "20")
    settings = load()
    assert settings.opensearch_urls == ["http://one:9200", "http://two:9200"]
    assert settings.limits.page_max == 20
    assert SECRET not in repr(settings)
