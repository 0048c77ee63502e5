# SPDX-License-Identifier: Apache-2.0
"""Logs: one JSON object a line on standard output, written by a thread so that a slow reader holds up no call."""

from __future__ import annotations

import atexit
import json
import logging
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import IO, Any, cast

import orjson
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, merge_contextvars, unbind_contextvars

from pinakes.core.settings import Settings
from pinakes.core.telemetry import metrics, tracing
from pinakes.core.telemetry.masking import HIDDEN, SECRET_FIELDS, mask, said, stack

DEBUG_RATIO = 0.1
QUEUE_LINES = 10_000
GATHER_SECONDS = 0.02
_ALWAYS = ("tenant", "request_id")
_LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARNING": logging.WARNING, "ERROR": logging.ERROR}

Event = MutableMapping[str, Any]


class Writer:
    """Writes lines to a stream from a thread; drops and counts what would make a caller wait."""

    def __init__(self, stream: IO[bytes], size: int = QUEUE_LINES) -> None:
        """Write to `stream`; hold `size` lines at most."""
        self._stream = stream
        self._size = size
        self._lines: deque[bytes] = deque()
        self._some, self._writing, self._flush = threading.Event(), threading.Lock(), threading.Event()
        threading.Thread(target=self._run, name="logs", daemon=True).start()

    def write(self, line: bytes) -> None:
        """Queue a line, without its end."""
        if len(self._lines) >= self._size:
            metrics.LOG_DROPPED.inc()
            return
        self._lines.append(line)
        if not self._some.is_set():
            self._some.set()

    def flush(self, seconds: float = 2.0) -> None:
        """Wait until what is queued has been written, at most `seconds`."""
        self._flush.set()
        end = time.monotonic() + seconds
        while (self._lines or self._some.is_set()) and time.monotonic() < end:
            time.sleep(0.001)
        if self._writing.acquire(timeout=max(0.0, end - time.monotonic())):
            self._writing.release()

    def _run(self) -> None:
        """Write whatever has come together in one go."""
        while True:
            self._some.wait()
            # Waking for each line would cost every call more than the line itself.
            self._flush.wait(GATHER_SECONDS)
            with self._writing:
                self._some.clear()
                lines = [self._lines.popleft() for _ in range(len(self._lines))]
                self._flush.clear()
                try:
                    self._stream.write(b"".join([line + b"\n" for line in lines]))
                    self._stream.flush()
                except (OSError, ValueError):
                    metrics.LOG_DROPPED.inc(len(lines))


class _Sink:
    """The logger under structlog's: every level is a line."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def msg(self, message: bytes) -> None:
        """Take a rendered line."""
        self._writer.write(message)

    debug = info = warning = error = critical = exception = msg


class _Shape:
    """Turns an event into the fields that every line has, as JSON."""

    def __init__(self, service: str, environment: str) -> None:
        self._fixed = {"service": service, "version": _version(), "environment": environment}

    def __call__(self, _logger: object, method: str, event: Event) -> bytes:
        """Render one event."""
        line: dict[str, Any] = {
            "time": _now(),
            "level": "ERROR" if method == "exception" else method.upper(),
            **self._fixed,
            "message": event.pop("event", ""),
        }
        for name in _ALWAYS:
            line[name] = event.pop(name, "")
        line["trace_id"] = event.pop("trace_id", "") or tracing.trace_id()
        line["source"] = event.pop("source", "")
        if (duration := event.pop("duration_ms", None)) is not None:
            line["duration_ms"] = round(duration, 3)
        error, exc_info = event.pop("error", None), event.pop("exc_info", None)
        if found := _error(error, exc_info):
            line["error"] = found
        for name, value in event.items():
            line[name] = HIDDEN if name.lower() in SECRET_FIELDS else value
        return mask(_dump(line))


class _Bridge(logging.Handler):
    """Brings the lines of libraries, which use `logging`, into the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record; a broken one must not break its caller."""
        try:
            log = logger(record.name)
            message = record.getMessage()
            log.log(record.levelno, message, exc_info=record.exc_info or None)
        except Exception:  # logging's own contract: hand it to handleError
            self.handleError(record)


_writer: Writer | None = None


def configure(settings: Settings, service: str, stream: IO[bytes] | None = None) -> None:
    """Log as `service` with the settings' level and environment, to standard output unless told otherwise."""
    global _writer  # one standard output, one writer
    flush()
    _writer = writer = Writer(stream or sys.stdout.buffer)
    level = _LEVELS[settings.log_level]
    structlog.configure(
        processors=[merge_contextvars, _sample, _Shape(service, settings.environment)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Sink(writer),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    # Libraries log every call at INFO, bodies at DEBUG: too much, and not ours to show.
    root.setLevel(max(level, logging.WARNING))
    # The engine's client warns of every 404 and 409, which are answers; `core/engine` logs what matters.
    logging.getLogger("opensearch").setLevel(logging.ERROR)
    atexit.unregister(flush)
    atexit.register(flush)


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of a module; `name` becomes `source`."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(source=name))


def bind(**values: object) -> None:
    """Add fields, such as tenant and request_id, to all later lines of the current task."""
    bind_contextvars(**values)


def unbind(*names: str) -> None:
    """Take fields away again; without names all of them."""
    if names:
        unbind_contextvars(*names)
    else:
        clear_contextvars()


def flush() -> None:
    """Wait until the lines logged so far are written, two seconds at most."""
    if _writer is not None:
        _writer.flush()


def _sample(_logger: object, method: str, event: Event) -> Event:
    """Keep one in ten DEBUG lines."""
    if method == "debug" and random.random() >= DEBUG_RATIO:  # sampling needs no secrecy
        raise structlog.DropEvent
    return event


def _error(error: object, exc_info: object) -> Mapping[str, str] | str | None:
    """Return what went wrong: text as given, or an exception's type, what may be said of it and, with `exc_info`, stack."""
    if exc_info is True:
        exc_info = sys.exc_info()[1]
    elif isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    raised = exc_info if isinstance(exc_info, BaseException) else error
    if not isinstance(raised, BaseException):
        return None if error is None else str(error)
    found = {"type": type(raised).__name__, "message": said(raised)}
    if isinstance(exc_info, BaseException):
        found["stack"] = stack(raised)
    return found


def _dump(line: dict[str, Any]) -> bytes:
    """Render as JSON; what orjson refuses, such as huge numbers and lone surrogates, takes the slower way."""
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return json.dumps(line, default=str, skipkeys=True, ensure_ascii=False).encode(errors="replace")


def _now() -> str:
    """Return the time with milliseconds."""
    second, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{_second(second)}.{milliseconds:03d}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _version() -> str:
    """Return the platform's version."""
    try:
        return version("pinakes")
    except PackageNotFoundError:
        return "source"
