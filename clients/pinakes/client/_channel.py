# SPDX-License-Identifier: Apache-2.0
"""One channel to the platform: address, TLS, the retry policy that ships with the client, and typed calls."""

from __future__ import annotations

import copy
import ipaddress
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc

from pinakes.client._errors import from_rpc_error

if TYPE_CHECKING:
    from google.protobuf.message import Message

# Answers of 50 whole documents are larger than the 4 MiB that gRPC accepts unless told otherwise.
MAX_MESSAGE_BYTES = 64 << 20
ADMIN_REASON = "x-pinakes-admin-reason"

Answer = TypeVar("Answer", bound="Message")


@dataclass(frozen=True, slots=True)
class Tls:
    """How to speak TLS: the CA of the server's certificate (the system's if None), and for mTLS a certificate and key.

    All files are PEM. `server_name` is the name the certificate has, if it isn't the address's.
    """

    ca_file: str | Path | None = None
    cert_file: str | Path | None = None
    key_file: str | Path | None = None
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the platform is, and what its address says about TLS (None: nothing)."""

    target: str
    host: str
    tls: bool | None


def address(endpoint: str) -> Address:
    """Read an endpoint: `host:port`, `http://host:port`, `https://host[:port]` or `unix:path`.

    Raises ValueError for anything else.
    """
    if endpoint.startswith("unix:"):
        return Address(endpoint, "localhost", None)
    scheme, separator, rest = endpoint.partition("://")
    tls = {"http": False, "https": True}.get(scheme) if separator else None
    place = (rest if separator else endpoint).removesuffix("/")
    if tls and ":" not in place.rpartition("]")[2]:
        place += ":443"
    host, _, port = place.rpartition(":")
    if (separator and tls is None) or not host or not port.isascii() or not port.isdigit() or "/" in place:
        message = f"{endpoint!r} isn't host:port, such as localhost:7300 or https://search.example.com"
        raise ValueError(message)
    return Address(place, host.strip("[]"), tls)


def is_local(host: str) -> bool:
    """Whether a host is this machine, so that a key may travel without TLS."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@cache
def service_config() -> str:
    """Return the retry policy of idempotent methods, as JSON for gRPC."""
    return resources.files("pinakes.client").joinpath("service_config.json").read_text("utf-8")


class Channel:
    """A connection that is opened by the first call and kept; belongs to the event loop that calls."""

    def __init__(
        self, endpoint: str, *, key: str | None, tls: bool | Tls | None, timeout: float, admin_reason: str = ""
    ) -> None:
        """Read the address and the TLS files; nothing is sent yet. `timeout` is in seconds, for each call."""
        where = address(endpoint)
        if tls is None:
            tls = where.tls if where.tls is not None else not is_local(where.host)
        self.endpoint = endpoint
        self.timeout = timeout
        self._connection = _Connection(where.target, tls if isinstance(tls, Tls) else (Tls() if tls else None))
        self._metadata: tuple[tuple[str, str], ...] = (("authorization", f"Bearer {key}"),) if key else ()
        if admin_reason:
            self._metadata += ((ADMIN_REASON, _reason(admin_reason)),)

    def with_admin_reason(self, reason: str) -> Self:
        """Return a channel on the same connection that gives this reason with each call."""
        made = copy.copy(self)
        others = tuple(pair for pair in self._metadata if pair[0] != ADMIN_REASON)
        made._metadata = (*others, (ADMIN_REASON, _reason(reason)))  # noqa: SLF001  # of this class
        return made

    async def call(self, method: str, request: Message, answer: type[Answer], timeout: float | None = None) -> Answer:
        """Call `Service/Method` of `pinakes.v1` (or `/package.Service/Method`); raise the exception of its status if it fails."""
        stub = self._connection.opened().unary_unary(
            method if method.startswith("/") else f"/pinakes.v1.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        try:
            response = await stub(
                request, timeout=self.timeout if timeout is None else timeout, metadata=self._metadata or None
            )
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        return response

    def stream(self, method: str, request: type[Message], answer: type[Answer]) -> grpc.aio.StreamStreamCall[Any, Any]:
        """Open a stream in both directions; it ends when either side ends it."""
        stub: Any = self._connection.opened().stream_stream(
            f"/pinakes.v1.{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=answer.FromString,
        )
        opened: grpc.aio.StreamStreamCall[Any, Any] = stub(metadata=self._metadata or None)
        return opened

    async def close(self) -> None:
        """Close the connection; calls under way are cancelled. A later call opens a new one."""
        await self._connection.close()


class _Connection:
    """What channels of one client share."""

    def __init__(self, target: str, tls: Tls | None) -> None:
        self._target, self._tls = target, tls
        self._credentials = _credentials(tls) if tls else None
        self._channel: grpc.aio.Channel | None = None

    def opened(self) -> grpc.aio.Channel:
        """Return the channel of gRPC, opened if there is none."""
        if self._channel is None:
            self._channel = self._open()
        return self._channel

    async def close(self) -> None:
        """Close it."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    def _open(self) -> grpc.aio.Channel:
        options: list[tuple[str, str | int]] = [
            ("grpc.service_config", service_config()),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.primary_user_agent", f"pinakes-python/{_version()}"),
            ("grpc.max_reconnect_backoff_ms", 5000),
        ]
        if self._tls and self._tls.server_name:
            options.append(("grpc.ssl_target_name_override", self._tls.server_name))
        if self._credentials is not None:
            return grpc.aio.secure_channel(self._target, self._credentials, options=options)
        return grpc.aio.insecure_channel(self._target, options=options)


def _reason(text: str) -> str:
    """Check an administrator's reason, which travels as a header."""
    text = text.strip()
    if not (10 <= len(text) <= 200 and text.isascii() and text.isprintable()):
        message = "an administrator's reason has 10 to 200 printable characters of ASCII"
        raise ValueError(message)
    return text


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    if bool(tls.cert_file) != bool(tls.key_file):
        message = "cert_file and key_file go together"
        raise ValueError(message)
    ca, certificate, key = (
        Path(file).read_bytes() if file else None for file in (tls.ca_file, tls.cert_file, tls.key_file)
    )
    return grpc.ssl_channel_credentials(root_certificates=ca, private_key=key, certificate_chain=certificate)


@cache
def _version() -> str:
    try:
        return metadata.version("pinakes")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "0"
