# SPDX-License-Identifier: Apache-2.0
"""Envoy itself takes the configuration that the chart renders, and serves with it."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pinakes.local.descriptors import descriptor_set
from tests.contract._chart import CHART, VALUE_SETS, Object, of_kind, rendered


def envoy_command(values: Object, folder: Path, port: int) -> list[str]:
    """Lay the rendered files into a folder, as the pod's mounts would; return the command that runs Envoy on them."""
    config = of_kind(rendered(values, folder), "ConfigMap")["envoy"]
    for file, text in config["data"].items():
        local = text.replace("/etc/envoy/config/", f"{folder}/").replace("/etc/envoy/tls", str(folder))
        (folder / file).write_text(
            local.replace("port_value: 8443", f"port_value: {port}").replace("port_value: 9901", "port_value: 0"),
            encoding="utf-8",
        )
    (folder / "descriptors.binpb").write_bytes(base64.b64decode(config["binaryData"]["descriptors.binpb"]))
    make_certificate(folder)
    envoy = Path(sys.executable).parent / "envoy"
    return [str(envoy), "--use-dynamic-base-id", "--config-path", str(folder / "envoy.yaml"), "--log-level", "warning"]


@pytest.mark.parametrize("name", VALUE_SETS)
def test_envoy_accepts_the_rendered_configuration(name: str, tmp_path: Path) -> None:
    command = [*envoy_command(VALUE_SETS[name], tmp_path, 8443), "--mode", "validate"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "eprecated" not in done.stderr


def test_envoy_serves_tls_and_tells_its_own_health_without_the_servers(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = envoy_command({}, tmp_path, port)
    context = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
    context.check_hostname = False
    with (tmp_path / "envoy.log").open("w") as log, subprocess.Popen(command, stderr=log, stdout=log) as envoy:
        try:
            assert eventually_status(port, "/healthz", context) == 200
            assert eventually_status(port, "/v1/nothing/like/this", context) == 404
            assert eventually_status(port, "/v1/tenants?pagesize=1", context) == 400
            assert eventually_status(port, "/v1/tenants", context) == 503
        finally:
            envoy.terminate()


def eventually_status(port: int, path: str, context: ssl.SSLContext, seconds: float = 20.0) -> int:
    """HTTP status of a path, as soon as there is an answer."""
    until = time.monotonic() + seconds
    while True:
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        finally:
            connection.close()


def make_certificate(folder: Path) -> None:
    """A certificate of its own authority, as tls.crt, tls.key and ca.crt."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pinakes")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "tls.crt").write_bytes(pem)
    (folder / "ca.crt").write_bytes(pem)
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_the_chart_and_the_local_platform_transcode_with_the_same_descriptors() -> None:
    # Without the details' descriptors Envoy answers an error with an empty body.
    ours = (CHART / "files" / "descriptors.binpb").read_bytes()
    assert ours == descriptor_set()
    assert b"google/rpc/error_details.proto" in ours
