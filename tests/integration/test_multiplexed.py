# SPDX-License-Identifier: Apache-2.0
"""A connection to Redis that callers share, with a real Redis: each gets its own answer, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import TimeoutError as LateError

from pinakes.core.redis import FAILURES, connect, failed
from pinakes.core.resilience.breaker import Breaker
from tests.integration._certificates import issue, server_context
from tests.integration._redis import RedisServer, redis_server, redis_url

__all__ = ["redis_server", "redis_url"]

pytestmark = pytest.mark.both_loops
SOON = 20.0  # seconds, on however slow a machine


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """Give a client with patience enough for a busy test machine."""
    client = connect(redis_url, SOON)
    yield client
    await client.aclose()


Respond = Callable[[int, list[bytes], asyncio.StreamWriter], Awaitable[None]]


class Scripted:
    """A Redis of the test's own: `respond(connection, command, writer)` answers what comes after the greeting."""

    def __init__(self, respond: Respond) -> None:
        self.respond, self.connections, self.url = respond, 0, ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        number = self.connections
        try:
            while True:
                count = int((await reader.readuntil(b"\r\n"))[1:])
                command = []
                for _ in range(count):
                    size = int((await reader.readuntil(b"\r\n"))[1:])
                    command.append((await reader.readexactly(size + 2))[:-2])
                if command[0] == b"CLIENT":
                    writer.write(b"+OK\r\n")
                else:
                    await self.respond(number, command, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def scripted(respond: Respond, tls: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    """Run one."""
    made = Scripted(respond)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.url = f"{'rediss' if tls else 'redis'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    try:
        yield made
    finally:
        server.close()


async def connections(redis: Redis) -> int:
    return len(await redis.client_list())


async def test_each_caller_gets_its_own_answer_whoever_leaves_or_fails(redis: Redis) -> None:
    seed = int(os.environ.get("PINAKES_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"PINAKES_SEED={seed}")
    dice = random.Random(seed)
    await redis.hset("hash", "field", "value")  # type: ignore[misc]  # typed for both kinds of client
    script = redis.register_script("return {ARGV[1], KEYS[1]}")

    async def asks(number: int) -> None:
        name, size = f"key {number}", dice.choice((0, 10, 5_000, 300_000))
        await asyncio.sleep(dice.random() / 50)
        match dice.randrange(4):
            case 0:
                await redis.set(name, b"%d" % number * size)
                assert await redis.get(name) == b"%d" % number * size
            case 1:
                with pytest.raises(ResponseError, match="wrong kind"):
                    await redis.get("hash")
            case 2:
                assert await script(keys=[name], args=[number]) == [b"%d" % number, name.encode()]
            case _:
                assert await redis.mget("nothing", "hash", name) == [None, None, None]

    tasks = [asyncio.create_task(asks(number)) for number in range(400)]
    leaving = dice.sample(tasks, 80)
    for task in leaving:
        await asyncio.sleep(dice.random() / 1000)
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [outcome for outcome in outcomes if outcome is not None]
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in failed), failed
    assert len(failed) <= len(leaving)
    assert await connections(redis) == 1


async def test_many_first_callers_open_one_connection_and_the_first_may_leave(redis: Redis) -> None:
    tasks = [asyncio.create_task(redis.ping()) for _ in range(20)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [True] * 19
    assert await connections(redis) == 1


async def test_who_waits_when_redis_dies_is_told_and_the_next_command_finds_the_new_one(
    redis_server: RedisServer, redis: Redis
) -> None:
    await redis.set("key", "value")
    with redis_server.paused():
        waiting = [asyncio.create_task(redis.get("key")) for _ in range(10)]
        await asyncio.sleep(0.05)
        assert redis_server.process
        redis_server.process.kill()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(answer, LostError) for answer in answers), answers
    redis_server.stop()
    with pytest.raises(FAILURES):
        await redis.get("key")
    redis_server.start()
    assert await redis.get("key") is None
    assert await redis.set("key", "new")


async def test_no_answer_in_time_is_an_error_and_late_answers_go_to_nobody(redis_server: RedisServer) -> None:
    redis = connect(redis_server.url, 1.0)
    await redis.set("key", "value")
    with redis_server.paused():
        began = time.perf_counter()
        answers = await asyncio.gather(*(redis.get("key") for _ in range(5)), return_exceptions=True)
        assert time.perf_counter() - began < SOON
        assert all(isinstance(answer, LateError) for answer in answers), answers
    assert await redis.set("other", "one")
    assert await redis.get("other") == b"one"
    await redis.aclose()


async def test_an_answer_that_came_while_this_process_was_busy_is_in_time(redis_server: RedisServer) -> None:
    redis = connect(redis_server.url, 0.2)
    await redis.set("key", "value")
    asking = asyncio.create_task(redis.get("key"))
    await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251  # what it is about
    assert await asking == b"value"
    await redis.aclose()


async def test_time_is_counted_from_each_command_s_own_beginning(redis_server: RedisServer) -> None:
    redis = connect(redis_server.url, 4.0)
    await redis.ping()
    await asyncio.sleep(2.5)
    with redis_server.paused():
        early = asyncio.create_task(redis.ping())
        await asyncio.sleep(2.0)
        assert not early.done()
    assert await early
    await redis.aclose()


async def test_nor_is_it_late_when_the_process_was_busy_with_another_connection(redis_server: RedisServer) -> None:
    redis = connect(redis_server.url, 0.2)
    await redis.set("key", "value")
    here, there = socket.socketpair()
    loop = asyncio.get_running_loop()

    def busy() -> None:
        here.recv(1)
        time.sleep(0.5)

    loop.add_reader(here, busy)
    try:
        for _ in range(3):
            asking = asyncio.create_task(redis.get("key"))
            await asyncio.sleep(0)
            there.send(b"x")
            assert await asking == b"value"
    finally:
        loop.remove_reader(here)
        here.close()
        there.close()
    await redis.aclose()


async def test_a_connection_that_is_lost_as_soon_as_it_is_open_is_a_failure_like_any_other() -> None:
    async def reset(_: int, command: list[bytes], writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with scripted(reset) as server:
        redis = connect(server.url, SOON)
        began = time.perf_counter()
        for _ in range(60):
            with pytest.raises(FAILURES):
                await redis.ping()
        assert time.perf_counter() - began < SOON, "nobody waits for what can't come"
        await redis.aclose()


async def test_an_answer_that_takes_longer_than_its_time_costs_its_caller_that_and_nobody_the_connection() -> None:
    async def slowly(_: int, command: list[bytes], writer: asyncio.StreamWriter) -> None:
        if command[0] != b"GET":
            writer.write(b"+PONG\r\n")
            return
        writer.write(b"$40\r\n")
        for _ in range(10):
            writer.write(b"1234")
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.write(b"\r\n")

    async with scripted(slowly) as server:
        redis = connect(server.url, 0.5)
        assert await redis.ping()
        with pytest.raises(LateError):
            await redis.get("large")
        await asyncio.sleep(1.0)
        for _ in range(3):
            assert await redis.ping()
        assert server.connections == 1
        await redis.aclose()


@pytest.mark.parametrize("refusal", [b"-LOADING soon", b"-READONLY you can't", b"-MASTERDOWN no link"])
async def test_a_redis_that_isn_t_the_one_to_ask_says_so_and_is_left(refusal: bytes) -> None:
    async def moved(number: int, command: list[bytes], writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        writer.write(b"+PONG\r\n" if number > 1 or command[0] == b"PING" else refusal + b"\r\n")

    async with scripted(moved) as server:
        redis = connect(server.url, SOON)
        answers = await asyncio.gather(redis.ping(), redis.get("a"), redis.ping(), return_exceptions=True)
        assert [isinstance(answer, RedisError) for answer in answers] == [False, True, False]
        assert await redis.ping()
        assert server.connections == 2
        await redis.aclose()


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n", b"+PONG\r\n+ANOTHER\r\n"])
async def test_what_is_no_answer_ends_the_connection(garbage: bytes) -> None:
    async def confused(number: int, command: list[bytes], writer: asyncio.StreamWriter) -> None:
        writer.write(garbage if number == 1 else b"+PONG\r\n")

    async with scripted(confused) as server:
        redis = connect(server.url, SOON)
        await asyncio.gather(redis.ping(), return_exceptions=True)
        await asyncio.sleep(0.05)
        for _ in range(3):
            assert await redis.ping()
        assert server.connections == 2
        await redis.aclose()


async def test_by_tls_it_speaks_to_nobody_whose_certificate_isn_t_the_authority_s(tmp_path: Path) -> None:
    async def pong(_: int, command: list[bytes], writer: asyncio.StreamWriter) -> None:
        writer.write(b"+PONG\r\n")

    authority, other = issue("authority"), issue("other")
    async with scripted(pong, server_context(tmp_path, authority)) as server:
        (tmp_path / "ca").write_bytes(authority.pem)
        (tmp_path / "other").write_bytes(other.pem)
        redis = connect(f"{server.url}?ssl_ca_certs={tmp_path / 'ca'}", SOON)
        assert await asyncio.gather(*(redis.ping() for _ in range(50))) == [True] * 50
        assert server.connections == 1
        stranger = connect(f"{server.url}?ssl_ca_certs={tmp_path / 'other'}", SOON)
        with pytest.raises(FAILURES):
            await stranger.ping()
        for client in (redis, stranger):
            await client.aclose()


async def test_what_callers_lose_together_counts_once(redis_server: RedisServer) -> None:
    redis, breaker = connect(redis_server.url, 0.3), Breaker("a shared connection", calls=3)
    await redis.ping()

    async def guarded() -> None:
        permit = breaker.before()
        try:
            await redis.get("key")
        except FAILURES as error:
            failed(breaker, permit, error)

    with redis_server.paused():
        await asyncio.gather(*(guarded() for _ in range(50)))
    assert breaker.state == "closed"
    await redis.aclose()


async def test_a_closed_client_stays_closed(redis_url: str) -> None:
    redis = connect(redis_url, SOON)
    opening = asyncio.create_task(redis.ping())
    await asyncio.sleep(0)
    await redis.aclose()
    for asked in (opening, asyncio.ensure_future(redis.ping())):
        with pytest.raises(LostError, match="closed"):
            await asked


@pytest.mark.parametrize("command", [("XREADGROUP", "GROUP"), ("WAIT", 1, 0), ("SELECT", 1), ("MULTI",)])
async def test_what_would_hold_up_or_change_the_connection_of_all_is_refused(redis: Redis, command: tuple[str]) -> None:
    with pytest.raises(ValueError, match=f"{command[0]} needs a connection of its own"):
        await redis.execute_command(*command)  # type: ignore[no-untyped-call]


async def test_a_client_or_a_pipeline_of_its_own_has_another_connection(redis: Redis) -> None:
    await redis.ping()
    async with redis.client() as alone:
        assert await alone.wait(0, 10) == 0
        assert await connections(redis) == 2
    async with redis.pipeline() as pipe:
        assert await pipe.set("a", 1).get("a").execute() == [True, b"1"]


async def test_who_may_not_come_in_is_told_so(redis: Redis, redis_url: str) -> None:
    await redis.config_set("requirepass", "secret")
    stranger = connect(redis_url, SOON)
    with pytest.raises(RedisError):
        await stranger.get("key")
    wrong = connect(redis_url.replace("redis://", "redis://:wrong@"), SOON)
    with pytest.raises(AuthenticationError):
        await wrong.get("key")
    right = connect(redis_url.replace("redis://", "redis://:secret@").replace("/0", "/3"), SOON)
    assert await right.set("key", "value")
    assert (await right.client_info())["db"] == 3
    for client in (stranger, wrong, right):
        await client.aclose()


async def test_a_closed_client_leaves_no_connection_and_nobody_waiting(redis_server: RedisServer, redis: Redis) -> None:
    other = connect(redis_server.url, SOON)
    await other.ping()
    with redis_server.paused():
        waiting = asyncio.create_task(other.get("key"))
        await asyncio.sleep(0.05)
        await other.aclose()
        with pytest.raises(LostError, match="closed"):
            await waiting
    assert await connections(redis) == 1
