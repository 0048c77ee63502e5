# SPDX-License-Identifier: Apache-2.0
"""Spans without messages of errors: those quote documents and queries, and whoever makes a span adds them by itself."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status

_MESSAGES = ("exception.message", "exception.stacktrace")


class Private(SpanExporter):
    """Hands spans on to another exporter, without what errors said: their types stay, and the status's code."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Export by this one."""
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans."""
        return self._exporter.export([without_messages(span) for span in spans])

    def shutdown(self) -> None:
        """Stop."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what is left."""
        return self._exporter.force_flush(timeout_millis)


def without_messages(span: ReadableSpan) -> ReadableSpan:
    """Return a span without the messages of errors."""
    return ReadableSpan(
        name=span.name, context=span.context, parent=span.parent, resource=span.resource, attributes=span.attributes,
        events=[_without(event) for event in span.events], links=span.links, kind=span.kind,
        status=Status(span.status.status_code), start_time=span.start_time, end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )  # fmt: skip


def _without(event: Event) -> Event:
    kept = {name: value for name, value in (event.attributes or {}).items() if name not in _MESSAGES}
    return Event(event.name, kept, event.timestamp)
