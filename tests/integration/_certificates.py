# SPDX-License-Identifier: Apache-2.0
"""Certificates made for a test: an authority, and what it has signed."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key as PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def issue(name: str, issuer: Pair | None = None, names: Iterable[x509.GeneralName] = ()) -> Pair:
    """Make a certificate: of an authority when it has no issuer. Its names are of this machine, unless others are given."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    given = list(names) or [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(given), critical=False)
    )
    return Pair(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def server_context(folder: Path, authority: Pair) -> ssl.SSLContext:
    """Return the TLS of a server of this machine whose certificate is the authority's."""
    server = issue("localhost", authority)
    (folder / "server.pem").write_bytes(server.pem)
    (folder / "server.key").write_bytes(server.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


def tls_settings(folder: Path, authority: Pair) -> dict[str, str]:
    """Return what makes a server of this machine speak TLS, and take callers with certificates of the authority alone."""
    server = issue("localhost", authority)
    files = {
        "PINAKES_TLS_CLIENT_CA_FILE": ("ca.pem", authority.pem),
        "PINAKES_TLS_CERT_FILE": ("server.pem", server.pem),
        "PINAKES_TLS_KEY_FILE": ("server.key", server.key_pem),
    }
    for name, data in files.values():
        (folder / name).write_bytes(data)
    return {variable: str(folder / name) for variable, (name, _) in files.items()}
