# SPDX-License-Identifier: Apache-2.0
"""Canaries, the requests that they are planted in, and what sees or breaks what goes in and out of servers."""

from __future__ import annotations

import asyncio
import http.server
import secrets
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from tests.integration._servers import free_port

CANARY = f"cnry{secrets.token_hex(5)}"
"""Whatever begins so was planted here."""
_DEPTH = 4


def planted(kind: str) -> str:
    """Return the canary of a kind of place."""
    # Not an id of a tenant or collection, which are in audit events by right.
    return f"{CANARY}_{kind}".lower()


def filled(descriptor: Descriptor, depth: int = 0) -> Message:
    """Return a message with a canary in every string, whether that is allowed there or not."""
    message: Message = message_factory.GetMessageClass(descriptor)()
    for one in descriptor.fields:
        _fill(message, one, depth)
    return message


def _fill(message: Message, one: FieldDescriptor, depth: int) -> None:
    text = planted(one.name.replace("_", "-"))
    repeated, value = one.is_repeated, getattr(message, one.name)
    if one.type == FieldDescriptor.TYPE_STRING:
        value.append(text) if repeated else setattr(message, one.name, text)
    elif one.type == FieldDescriptor.TYPE_BYTES and not repeated:
        setattr(message, one.name, text.encode())
    elif one.type == FieldDescriptor.TYPE_MESSAGE and depth < _DEPTH and one.message_type is not None:
        if one.message_type.GetOptions().map_entry:
            with suppress(TypeError, ValueError):
                value[text] = text
        elif one.message_type.full_name == "google.protobuf.Struct" and not repeated:
            value.update({"mail": text, "age": text, "note": text, text: {"deep": [text]}})
        elif not one.message_type.full_name.startswith("google.protobuf."):
            inner = filled(one.message_type, depth + 1)
            value.append(inner) if repeated else value.CopyFrom(inner)


def named(message: Message, path: str | None, name: str) -> Message:
    """Set the field that says what a request is about, so that the rest of it is looked at."""
    if path is None:
        return message
    *outer, last = path.split(".")
    target: Any = message
    for part in outer:
        target = getattr(target, part)
    if isinstance(getattr(target, last), str):
        setattr(target, last, name)
    return message


class Collector(http.server.ThreadingHTTPServer):
    """Takes traces by OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        """Listen somewhere."""
        super().__init__(("127.0.0.1", 0), _Taking)
        self.taken: list[bytes] = []

    @property
    def url(self) -> str:
        """Where traces go."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"


class _Taking(http.server.BaseHTTPRequestHandler):
    """Keeps what is sent."""

    def do_POST(self) -> None:
        """Keep a body."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") in {"gzip", "deflate"}:
            body = zlib.decompress(body, wbits=47)
        self.server.taken.append(body)  # type: ignore[attr-defined]  # it is a `Collector`
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Print nothing."""


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a collector."""
    made = Collector()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()


class Relay:
    """A relay to the engine that can be cut: what goes through it fails then, in the middle of calls."""

    def __init__(self, target: str) -> None:
        """Relay to an address, once started."""
        self._host, _, port = target.rpartition(":")
        self._port, self._open = int(port), True
        self._writers: list[asyncio.StreamWriter] = []
        self.address = f"127.0.0.1:{free_port()}"

    async def start(self) -> asyncio.Server:
        """Listen."""
        return await asyncio.start_server(self._serve, *self.address.split(":"))

    def cut(self) -> None:
        """Let every connection fail from now on."""
        self._open = False
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.close()
            return
        back_reader, back_writer = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, back_writer]
        with suppress(ConnectionError):
            await asyncio.gather(_pump(reader, back_writer), _pump(back_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@dataclass(slots=True)
class Written:
    """All that was written, by where it is."""

    texts: dict[str, bytes] = field(default_factory=dict)

    def files(self, folder: Path) -> None:
        """Take all files of a folder."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.texts[str(path.relative_to(folder.parent))] = path.read_bytes()

    def places_of(self, text: str) -> dict[str, bytes]:
        """Return where a text is, with what is around it."""
        found: dict[str, bytes] = {}
        for place, data in self.texts.items():
            at = data.lower().find(text.encode())
            if at >= 0:
                found[place] = data[max(0, at - 300) : at + 120]
        return found
