# SPDX-License-Identifier: Apache-2.0
"""Tracing when it is off, and what it adds when it is on."""

from __future__ import annotations

import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from pinakes.core.settings import Settings
from pinakes.core.telemetry import tracing
from pinakes.core.telemetry.spans import Private


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Keep spans in memory."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Private(exporter)))
    monkeypatch.setattr(tracing, "_provider", provider)
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    return exporter


def test_without_an_endpoint_everything_is_off() -> None:
    tracing.configure(Settings(secret_key=SecretStr("s" * 32)), "search")
    assert tracing.server_interceptor() is None
    with tracing.span("engine.search", hits=1):
        assert tracing.trace_id() == ""
        tracing.annotate(cache="hit")


def test_without_an_endpoint_opentelemetry_is_not_even_imported() -> None:
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; from pinakes.core.telemetry import tracing; "
        "tracing.trace_id(); assert not any(name.startswith('opentelemetry') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_span_has_its_attributes_its_id_and_its_exception(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="bad"), tracing.span("engine.search", operation="search"):
        assert len(tracing.trace_id()) == 32
        tracing.annotate(cache="miss")
        message = "bad"
        raise ValueError(message)
    (span,) = spans.get_finished_spans()
    assert span.name == "engine.search"
    assert span.attributes == {"operation": "search", "cache": "miss"}
    (event,) = span.events
    assert event.name == "exception"
    assert event.attributes == {"exception.type": "ValueError", "exception.escaped": "False"}
    assert not span.status.is_ok
    assert not span.status.description


def test_with_tracing_on_there_is_an_interceptor(spans: InMemorySpanExporter) -> None:
    assert tracing.server_interceptor() is not None
    assert not spans.get_finished_spans()


def test_queued_work_is_linked_to_the_traces_that_asked_for_it(spans: InMemorySpanExporter) -> None:
    parents = []
    for name in ("one", "two"):
        with tracing.span(name):
            parents.append(tracing.traceparent())
    with tracing.linked_span("worker apply", [*parents, "garbage"], entries=3):
        pass
    one, two, work = spans.get_finished_spans()
    assert [link.context.trace_id for link in work.links] == [one.context.trace_id, two.context.trace_id]
    assert work.parent is None
    assert work.context.trace_id not in {one.context.trace_id, two.context.trace_id}


def test_without_an_endpoint_nothing_is_carried_on() -> None:
    assert tracing.traceparent() == ""
    with tracing.linked_span("worker apply", []):
        pass
