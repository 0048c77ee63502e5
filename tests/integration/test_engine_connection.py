# SPDX-License-Identifier: Apache-2.0
"""The connection to a node of the engine, with a server that answers as engines do, and as broken ones might."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import random
import ssl
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opensearchpy.exceptions import ConflictError, NotFoundError, SSLError, TransportError
from opensearchpy.exceptions import ConnectionError as EngineConnectionError
from opensearchpy.exceptions import ConnectionTimeout as EngineTimeout

from pinakes.core.engine.connection import EngineConnection
from tests.integration._certificates import issue, server_context

pytestmark = pytest.mark.both_loops
Writer = asyncio.StreamWriter
_CALL: contextvars.ContextVar[object] = contextvars.ContextVar("call")
Respond = Callable[[bytes, bytes, Writer], Awaitable[None]]


class Node:
    """A node that reads requests; `respond(head, body, writer)` answers one."""

    def __init__(self, respond: Respond) -> None:
        self.respond, self.connections, self.open, self.heads = respond, 0, 0, list[bytes]()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        """Serve one connection."""
        self.connections += 1
        self.open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await self.respond(head, await reader.readexactly(length), writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def node(respond: Respond, tls: ssl.SSLContext | None = None) -> AsyncIterator[Node]:
    """Run a node."""
    made = Node(respond)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


@asynccontextmanager
async def connection(to: Node, **options: Any) -> AsyncIterator[EngineConnection]:
    """Open a connection to a node."""
    made = EngineConnection(host="127.0.0.1", port=to.port, **options)
    yield made
    await made.close()


async def closed(here: EngineConnection) -> None:
    """Wait until no connection is open."""
    end = time.monotonic() + 20
    while here._all:
        assert time.monotonic() < end, "still open"
        await asyncio.sleep(0.005)


def answer(body: bytes, status: str = "200 OK", *more: bytes) -> bytes:
    head = [b"HTTP/1.1 " + status.encode(), b"content-type: application/json; charset=UTF-8", *more]
    return b"\r\n".join([*head, b"content-length: %d" % len(body), b"", body])


async def echo(head: bytes, body: bytes, writer: Writer) -> None:
    """Answer with what was sent."""
    writer.write(answer(body or head.split(b" ")[1]))


async def test_requests_one_after_the_other_go_over_one_connection() -> None:
    async with node(echo) as there, connection(there) as here:
        for number in range(20):
            status, headers, body = await here.perform_request("POST", "/a", {"b": "c d"}, b"%d" % number)
            assert (status, body) == (200, b"%d" % number)
            assert headers["content-type"] == "application/json; charset=UTF-8"
        assert (await here.perform_request("GET", "/_cat"))[2] == b"/_cat"
        assert there.connections == 1
        assert there.heads[0].startswith(b"POST /a?b=c+d HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % there.port)
        assert there.heads[0].lower().count(b"content-type: application/json\r\n") == 1


async def test_callers_have_connections_of_their_own_up_to_a_bound() -> None:
    busy = most = 0

    async def slowly(head: bytes, body: bytes, writer: Writer) -> None:
        nonlocal busy, most
        busy, most = busy + 1, max(most, busy + 1)
        await asyncio.sleep(0.005)
        busy -= 1
        await echo(head, body, writer)

    async with node(slowly) as there, connection(there, maxsize=4) as here:
        found = await asyncio.gather(*(here.perform_request("POST", "/", body=b"%d" % n) for n in range(40)))
        assert [body for _, _, body in found] == [b"%d" % n for n in range(40)]
        assert most == there.connections == 4


async def test_an_answer_in_pieces_or_chunks_is_put_together() -> None:
    async def in_pieces(head: bytes, body: bytes, writer: Writer) -> None:
        whole = answer(body)
        if b"/chunked" in head:
            whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
        if b"/continued" in head:
            whole = b"HTTP/1.1 100 Continue\r\nx-y: z\r\n\r\n" + whole
        for place in range(0, len(whole), 7):
            writer.write(whole[place : place + 7])
            await writer.drain()
            await asyncio.sleep(0)

    async with node(in_pieces) as there, connection(there) as here:
        assert (await here.perform_request("POST", "/", body=b"x" * 500))[2] == b"x" * 500
        assert (await here.perform_request("GET", "/chunked"))[2] == b"abcdefg"
        status, headers, body = await here.perform_request("POST", "/continued", body=b"y")
        assert (status, body, "x-y" in headers) == (200, b"y", False)
        assert there.connections == 1


async def test_a_caller_that_leaves_takes_its_connection_along_and_nobody_gets_its_answer() -> None:
    dice = random.Random(20261129)

    async def later(head: bytes, body: bytes, writer: Writer) -> None:
        await asyncio.sleep(dice.random() / 100)
        await echo(head, body, writer)

    async with node(later) as there, connection(there, maxsize=3) as here:
        tasks = [asyncio.create_task(here.perform_request("POST", "/", body=b"%d" % n)) for n in range(120)]
        for task in dice.sample(tasks, 40):
            await asyncio.sleep(dice.random() / 500)
            task.cancel()
        for number, task in enumerate(tasks):
            try:
                assert (await task)[2] == b"%d" % number
            except asyncio.CancelledError:
                continue
        assert there.open <= 3
        assert (await here.perform_request("POST", "/", body=b"after"))[2] == b"after"


@pytest.mark.parametrize(
    ("status", "kind"),
    [("404 Not Found", NotFoundError), ("409 Conflict", ConflictError), ("503 Busy", TransportError)],
)
async def test_a_status_that_is_no_success_is_the_library_s_error(status: str, kind: type[TransportError]) -> None:
    async def refuse(head: bytes, body: bytes, writer: Writer) -> None:
        writer.write(answer(b'{"error":{"type":"some_exception","reason":"why"},"status":0}', status))

    async with node(refuse) as there, connection(there) as here:
        for _ in range(2):
            with pytest.raises(kind) as caught:
                await here.perform_request("GET", "/")
            assert caught.value.status_code == int(status[:3])
            assert caught.value.error == "some_exception"
            assert caught.value.info["error"]["reason"] == "why"
        assert (await here.perform_request("GET", "/", ignore=(int(status[:3]),)))[0] == int(status[:3])
        assert there.connections == 1, "an error is an answer like any other"


@pytest.mark.parametrize(
    "broken",
    [b"", b"HTTP/1.1 200 OK\r\ncontent-le", answer(b"whole")[:-2], b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x01\x00\x02"],
)
async def test_an_answer_that_is_cut_or_no_http_is_a_lost_connection(broken: bytes) -> None:
    broken_once: list[bytes] = [broken]

    async def respond(head: bytes, body: bytes, writer: Writer) -> None:
        if not broken_once:
            return await echo(head, body, writer)
        writer.write(broken_once.pop())
        await writer.drain()
        writer.close()
        return None

    async with node(respond) as there, connection(there) as here:
        with pytest.raises(EngineConnectionError):
            await here.perform_request("POST", "/", body=b"1")
        assert (await here.perform_request("POST", "/", body=b"2"))[2] == b"2"


async def test_a_connection_that_the_node_closes_isn_t_used_again() -> None:
    async def and_close(head: bytes, body: bytes, writer: Writer) -> None:
        if b"/told" in head:
            writer.write(answer(body, "200 OK", b"connection: close"))
        else:
            await echo(head, body, writer)
            await writer.drain()
            writer.close()

    async with node(and_close) as there, connection(there) as here:
        for number, path in enumerate(("/told", "/silently", "/told", "/silently")):
            assert (await here.perform_request("POST", path, body=b"%d" % number))[2] == b"%d" % number
            await closed(here)
        assert there.connections == 4


async def test_what_nobody_asked_for_is_nobody_s_answer() -> None:
    async def twice(head: bytes, body: bytes, writer: Writer) -> None:
        writer.write(answer(body) + answer(b"another's"))

    async with node(twice) as there, connection(there) as here:
        for number in range(3):
            assert (await here.perform_request("POST", "/", body=b"%d" % number))[2] == b"%d" % number
            await closed(here)
        assert there.connections == 3


async def test_the_beginning_of_what_nobody_asked_for_isn_t_the_next_callers_answer() -> None:
    rest: list[bytes] = []

    async def and_more(head: bytes, body: bytes, writer: Writer) -> None:
        if rest:
            writer.write(rest.pop())
            return
        other = answer(b"somebody else's")
        writer.write(answer(body) + other[:30])
        rest.append(other[30:])

    async with node(and_more) as there, connection(there) as here:
        assert (await here.perform_request("POST", "/", body=b"1"))[2] == b"1"
        await closed(here)
        rest.clear()
        assert (await here.perform_request("POST", "/", body=b"2"))[2] == b"2"
        assert there.connections == 2


async def test_a_connection_that_wasnt_used_for_long_is_closed_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    async with node(echo) as there, connection(there, maxsize=3) as here:
        await asyncio.gather(*(here.perform_request("GET", "/") for _ in range(3)))
        assert there.open == 3
        monkeypatch.setattr("pinakes.core.engine.connection.IDLE_SECONDS", 0.05)
        await asyncio.sleep(0.1)
        await here.perform_request("GET", "/")
        assert there.connections == 4
        assert len(here._all) == 1


async def test_callers_who_leave_while_it_connects_leave_nothing_behind() -> None:
    async with node(echo) as there, connection(there, maxsize=64) as here:
        for steps in range(40):
            asking = asyncio.create_task(here.perform_request("GET", "/"))
            for _ in range(steps % 8):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        end = time.monotonic() + 20
        while len(here._all) != len(here._idle):
            assert time.monotonic() < end, "left open"
            await asyncio.sleep(0.01)


async def test_what_belongs_to_a_callers_call_ends_with_it() -> None:
    class Large:
        """Something in a caller's context."""

    async with node(echo) as there, connection(there) as here:

        async def caller() -> weakref.ref[Large]:
            large = Large()
            _CALL.set(large)
            await here.perform_request("GET", "/", timeout=1.0)
            return weakref.ref(large)

        kept = await asyncio.create_task(caller(), context=contextvars.Context())
        await asyncio.sleep(1.1)  # until then the timer has it
        gc.collect()
        assert kept() is None


async def test_no_answer_in_time_is_the_library_s_timeout() -> None:
    async def never(head: bytes, body: bytes, writer: Writer) -> None:
        await asyncio.sleep(30)

    async with node(never) as there, connection(there) as here:
        with pytest.raises(EngineTimeout):
            await here.perform_request("GET", "/", timeout=0.05)


async def test_nobody_listening_is_a_lost_connection_at_once() -> None:
    async with node(echo) as there:
        port = there.port
    here = EngineConnection(host="127.0.0.1", port=port)
    with pytest.raises(EngineConnectionError):
        await here.perform_request("GET", "/")
    await here.close()


@pytest.mark.parametrize("url", ["/a b", "/a\r\nx: y", "/a\nb", "/ä", ""])
async def test_what_would_end_a_request_line_is_never_sent(url: str) -> None:
    async with node(echo) as there, connection(there) as here:
        with pytest.raises(ValueError, match="can't be sent"):
            await here.perform_request("GET", url)
        assert not there.heads


async def test_who_closes_it_leaves_nobody_waiting() -> None:
    async def never(head: bytes, body: bytes, writer: Writer) -> None:
        await asyncio.sleep(30)

    async with node(never) as there, connection(there) as here:
        waiting = asyncio.create_task(here.perform_request("GET", "/"))
        await asyncio.sleep(0.05)
        await here.close()
        with pytest.raises(EngineConnectionError):
            await waiting


async def test_name_and_password_go_with_each_request() -> None:
    async with node(echo) as there, connection(there, http_auth=("user", "pass")) as here:
        await here.perform_request("GET", "/")
        assert b"authorization: Basic dXNlcjpwYXNz\r\n" in there.heads[0]


async def test_by_tls_it_speaks_to_nobody_whose_certificate_isn_t_the_authority_s(tmp_path: Path) -> None:
    authority, other = issue("authority"), issue("other")
    for name, data in (("ca", authority.pem), ("other", other.pem)):
        (tmp_path / name).write_bytes(data)
    async with node(echo, server_context(tmp_path, authority)) as there:
        async with connection(there, use_ssl=True, ca_certs=str(tmp_path / "ca")) as here:
            for number in range(3):
                assert (await here.perform_request("POST", "/", body=b"%d" % number))[2] == b"%d" % number
            assert there.connections == 1
        async with connection(there, use_ssl=True, ca_certs=str(tmp_path / "other")) as here:
            with pytest.raises(SSLError):
                await here.perform_request("GET", "/")
