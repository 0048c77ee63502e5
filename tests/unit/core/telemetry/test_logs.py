# SPDX-License-Identifier: Apache-2.0
"""Log lines: their fields, sampling and what they hide."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import structlog
from pydantic import SecretStr

from pinakes.core.engine.client import EngineRefusal
from pinakes.core.faults import invalid, not_found, unavailable
from pinakes.core.settings import Settings
from pinakes.core.telemetry import logs

KEY = "pk_abcdefgh23456789_" + "S" * 43


class Lines:
    """What was logged."""

    def __init__(self) -> None:
        self.stream = io.BytesIO()

    def __call__(self) -> list[dict[str, Any]]:
        """Return all lines so far."""
        logs.flush()
        return [orjson.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Log at DEBUG into memory, and leave no trace for other tests."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    made = Lines()
    settings = Settings(secret_key=SecretStr("s" * 32), log_level="DEBUG", environment="test")
    logs.configure(settings, "search", made.stream)
    yield made
    logs.flush()
    logs.unbind()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_has_the_fields_that_every_line_has(lines: Lines) -> None:
    logs.bind(tenant="t1", request_id="r1")
    logs.logger("pinakes.search").info("searched", duration_ms=1.23456, results=3)
    (line,) = lines()
    assert line["time"].endswith("Z")
    assert line["version"]
    del line["time"], line["version"]
    assert line == {
        "level": "INFO",
        "service": "search",
        "environment": "test",
        "message": "searched",
        "tenant": "t1",
        "request_id": "r1",
        "trace_id": "",
        "source": "pinakes.search",
        "duration_ms": 1.235,
        "results": 3,
    }


def test_an_exception_becomes_type_and_stack_without_what_it_was_given(lines: Lines) -> None:
    log = logs.logger("x")
    try:
        try:
            {}["canary"]  # the look-up is what fails
        except KeyError as error:
            message = "canary too"
            raise ValueError(message) from error
    except ValueError:
        log.exception("failed")
    log.error("failed again", error=ValueError("canary"))
    first, second = lines()
    assert first["level"] == "ERROR"
    assert first["error"]["type"] == "ValueError"
    stack = first["error"]["stack"]
    assert stack.count("Traceback") == 2
    assert "test_logs.py" in stack
    assert "KeyError" in stack
    assert "'canary'" not in stack
    assert second["error"] == {"type": "ValueError", "message": "[hidden]"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (unavailable("the queue"), "UNAVAILABLE: the queue isn't available now; try again"),
        (invalid("filter", "at character 3: found canary", "FILTER_SYNTAX"), "FILTER_SYNTAX"),
        (not_found("pinakes/Document", "canary"), "DOCUMENT_NOT_FOUND"),
        (EngineRefusal(400, "parsing_exception"), "400 parsing_exception"),
        (ConnectionRefusedError(111, "Connection refused", "canary"), "[Errno 111] Connection refused"),
        (OSError("canary"), "[hidden]"),
        (TimeoutError(), ""),
    ],
)
def test_of_an_errors_message_only_the_platforms_own_words_are_logged(
    lines: Lines, error: Exception, message: str
) -> None:
    logs.logger("x").warning("waits", error=error)
    assert lines()[0]["error"] == {"type": type(error).__name__, "message": message}


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"key {KEY} failed", "S" * 43),
        ("authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("authorization: BEARER opaque-token-1", "opaque-token-1"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", "eyJzdWIiOiJhIn0"),
        ("mail to Ann.O+x@mail.example.org now", "mail.example"),
    ],
)
def test_secrets_are_hidden_wherever_they_are(lines: Lines, text: str, secret: str) -> None:
    log = logs.logger("x")
    log.info(text)
    log.info("in a field", detail={"deep": [text]})
    log.info("in an error", error=ValueError(text))
    logging.getLogger("library").warning("library says %s", text)
    for line in lines():
        assert secret not in str(line)
    assert len(lines()) == 4


def test_the_id_of_a_key_stays_readable(lines: Lines) -> None:
    logs.logger("x").info(KEY)
    assert lines()[0]["message"] == "pk_abcdefgh23456789_[hidden]"


def test_fields_named_like_secrets_are_hidden_whatever_they_hold(lines: Lines) -> None:
    logs.logger("x").info("configured", password="hunter2", Authorization="xyz")  # made up
    assert "hunter2" not in str(lines())
    assert "xyz" not in str(lines())


def test_one_in_ten_debug_lines_is_kept(lines: Lines) -> None:
    log = logs.logger("x")
    for _ in range(2000):
        log.debug("detail")
    assert 100 < len(lines()) < 320


def test_lines_under_the_level_are_not_written(lines: Lines) -> None:
    logs.configure(Settings(secret_key=SecretStr("s" * 32), log_level="WARNING"), "search", lines.stream)
    logs.logger("x").info("quiet")
    logs.logger("x").warning("loud")
    assert [line["message"] for line in lines()] == ["loud"]


async def test_tasks_do_not_see_each_other_s_fields(lines: Lines) -> None:
    async def call(tenant: str) -> None:
        logs.bind(tenant=tenant)
        await asyncio.sleep(0)
        logs.logger("x").info(tenant)

    await asyncio.gather(*(call(f"t{number}") for number in range(5)))
    assert all(line["tenant"] == line["message"] for line in lines())
    assert len(lines()) == 5


def test_what_json_cannot_hold_is_still_logged(lines: Lines) -> None:
    logs.logger("x").info("odd", value=object(), number=1 << 80, text="\ud800")
    assert len(lines()) == 1


def test_a_stream_that_takes_nothing_holds_up_no_caller() -> None:
    class Stuck(io.BytesIO):
        """Blocks until it is let go."""

        go = threading.Event()

        def write(self, _data: Any) -> int:
            """Wait."""
            self.go.wait(10)
            return 0

    stream = Stuck()
    writer = logs.Writer(stream, size=10)
    for _ in range(1000):
        writer.write(b"line")
    stream.go.set()
    writer.flush()
