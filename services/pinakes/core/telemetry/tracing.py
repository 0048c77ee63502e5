# SPDX-License-Identifier: Apache-2.0
"""Traces by OpenTelemetry. Without an endpoint nothing of it is imported, and a span costs a function call."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from pinakes.core.settings import Settings

if TYPE_CHECKING:
    import grpc.aio
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

_provider: TracerProvider | None = None
_tracer: Tracer | None = None
_NOTHING: AbstractContextManager[Any] = nullcontext()


def configure(settings: Settings, service: str) -> None:
    """Send traces of `service` to the settings' endpoint, or none when there is no endpoint."""
    global _provider, _tracer  # one process, one tracer
    shutdown()
    if not settings.tracing_endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    _provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.tracing_ratio)),
        resource=Resource.create({"service.name": service, "deployment.environment.name": settings.environment}),
    )
    from pinakes.core.telemetry.spans import Private

    exporter = OTLPSpanExporter(endpoint=settings.tracing_endpoint, timeout=5)
    _provider.add_span_processor(BatchSpanProcessor(Private(exporter)))
    _tracer = _provider.get_tracer("pinakes")


def server_interceptor() -> grpc.aio.ServerInterceptor | None:
    """Return the interceptor that makes a span of every call and takes over the caller's trace, or None when off."""
    if _provider is None:
        return None
    from opentelemetry.instrumentation.grpc import aio_server_interceptor

    return aio_server_interceptor(tracer_provider=_provider)  # type: ignore[no-any-return,no-untyped-call]


def span(name: str, **attributes: str | float | bool) -> AbstractContextManager[Any]:
    """Return a context that is a span; an exception that leaves it is recorded on the span."""
    if _tracer is None:
        return _NOTHING
    return _tracer.start_as_current_span(name, attributes=attributes)


def annotate(**attributes: str | float | bool) -> None:
    """Add attributes to the current span."""
    if _tracer is None:
        return
    from opentelemetry.trace import get_current_span

    get_current_span().set_attributes(attributes)


def trace_id() -> str:
    """Return the current trace's id, 32 hexadecimal digits, or nothing outside a trace."""
    if _tracer is None:
        return ""
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def traceparent() -> str:
    """Return the current context in W3C's form, for work that is done later; nothing outside a trace."""
    if _tracer is None:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


def linked_span(name: str, traceparents: list[str], **attributes: str | float | bool) -> AbstractContextManager[Any]:
    """Return a span of work for several traces: it is linked to each of them, and part of none."""
    if _tracer is None:
        return _NOTHING
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    contexts = [
        get_current_span(TraceContextTextMapPropagator().extract({"traceparent": parent})).get_span_context()
        for parent in traceparents
    ]
    links = [Link(context) for context in contexts if context.is_valid]
    return _tracer.start_as_current_span(name, context=Context(), links=links, attributes=attributes)


def shutdown() -> None:
    """Send what is left and stop."""
    global _provider, _tracer  # one process, one tracer
    if _provider is not None:
        _provider.shutdown()
    _provider = _tracer = None
