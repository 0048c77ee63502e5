# SPDX-License-Identifier: Apache-2.0
"""The Prometheus metrics of all servers, and their endpoint. No label takes a tenant's name: there are thousands."""

from __future__ import annotations

import os
import threading
from functools import cache
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app, multiprocess

MULTIPROC = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

RPC_SECONDS = Histogram(
    "pinakes_rpc_seconds",
    "Time of calls, streams from first to last message.",
    ("service", "method", "code"),
    buckets=SECONDS,
)
RPC_IN_FLIGHT = Gauge("pinakes_rpc_in_flight", "Calls under way.", ("service",), multiprocess_mode="livesum")
ENGINE_SECONDS = Histogram(
    "pinakes_engine_seconds", "Time of calls of the search engine.", ("operation", "outcome"), buckets=SECONDS
)
# Finding a metric by its labels takes several times as long as counting with it; these are asked for by every call.
rpc_seconds, rpc_in_flight = cache(RPC_SECONDS.labels), cache(RPC_IN_FLIGHT.labels)
engine_seconds = cache(ENGINE_SECONDS.labels)
CACHE_REQUESTS = Counter(
    "pinakes_cache_requests", "Look-ups of the response cache: hit, miss, error or off.", ("result",)
)
CACHE_WRITES = Counter("pinakes_cache_writes", "Answers for the response cache: stored or error.", ("result",))
LIMITED = Counter(
    "pinakes_limited", "What was beyond a limit, by its name and outcome: refused, or dry_run.", ("limit", "outcome")
)
RATE_SOURCE = Counter(
    "pinakes_rate_grants",
    "Asks for a share of a tenant's limits: shared (Redis) or local (Redis is down).",
    ("source",),
)
BREAKER_STATE = Gauge(
    "pinakes_breaker_state",
    "State of a dependency's breaker: 0 closed, 1 half open, 2 open.",
    ("name",),
    multiprocess_mode="livemax",
)
RETRIES = Counter("pinakes_retries", "Calls of a dependency that were tried again.", ("name",))
WRITES = Counter("pinakes_writes", "Document writes by outcome.", ("outcome",))
BULK_LINES = Histogram(
    "pinakes_bulk_documents",
    "Documents in one bulk call of the engine.",
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2000),
)
SHARED_SEARCHES = Histogram(
    "pinakes_shared_searches", "Searches in one call of the engine that several may share.", buckets=(1, 2, 4, 8, 16)
)
QUEUE_DOCUMENTS = Gauge("pinakes_queue_documents", "Writes in the queue.", multiprocess_mode="livemax")
QUEUE_BYTES = Gauge("pinakes_queue_bytes", "Bytes of the writes in the queue.", multiprocess_mode="livemax")
QUEUE_AGE = Gauge(
    "pinakes_queue_age_seconds",
    "Age of the oldest write in the queue, by partition.",
    ("partition",),
    multiprocess_mode="livemax",
)
QUEUE_LAG = Histogram(
    "pinakes_queue_lag_seconds", "Time from acceptance to application of writes.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0),
)  # fmt: skip
QUEUE_REFUSED = Counter(
    "pinakes_queue_refused", "Writes refused by the queue: tenant, global, age or down.", ("reason",)
)
WORKER_BATCH = Gauge(
    "pinakes_worker_batch_documents", "Documents a worker takes at once now.", multiprocess_mode="livemin"
)
FAILED_WRITES = Counter("pinakes_failed_writes", "Accepted writes that couldn't be applied.", ("reason",))
OPERATIONS = Counter(
    "pinakes_operations",
    "Operations that a worker left, by verb and outcome: succeeded, failed, cancelled, drain, lost; and retried ones.",
    ("verb", "outcome"),
)
STREAM_MESSAGES = Counter(
    "pinakes_stream_messages", "Messages of write streams: written, repeated, or backoff for each time one had to wait.",
    ("outcome",),
)  # fmt: skip
SEARCHES = Counter("pinakes_searches", "Searches by outcome: results, empty or degraded.", ("outcome",))
INSIGHTS = Counter(
    "pinakes_insights",
    "Searches and events for insights: taken, or dropped because a tenant sent too many.",
    ("outcome",),
)
SEARCH_RESULTS = Histogram(
    "pinakes_search_results", "Results on the pages of searches.", buckets=(0, 1, 5, 10, 20, 50, 100, 1000)
)
POOL_FILL = Gauge(
    "pinakes_pool_fill",
    "Part of what a pool may hold that it holds, by pool; told by the worker that plans placement.",
    ("pool",),
    multiprocess_mode="livemax",
)
PLACEMENT_MOVES = Gauge(
    "pinakes_placement_moves",
    "Moves of tenants: planned ones that could begin now or wait, and those under way.",
    ("state",),
    multiprocess_mode="livemax",
)
PLACEMENT_STARTED = Counter(
    "pinakes_placement_started", "Moves that automatic placement began, by why; or refused.", ("why",)
)
AUTHENTICATIONS = Counter(
    "pinakes_authentications", "Checks of credentials by kind (api_key, jwt, none) and outcome.", ("kind", "outcome")
)
AUDIT_EVENTS = Counter(
    "pinakes_audit_events",
    "Events of the audit log: recorded (on disk), chained, lost because nothing took them, or forged: put in by another.",
    ("outcome",),
)
AUDIT_WAITING = Gauge(
    "pinakes_audit_waiting",
    "Events that are on disk and not yet in the audit log's chain.",
    multiprocess_mode="livemax",
)
LOG_DROPPED = Counter("pinakes_log_dropped", "Log lines dropped because standard output didn't take them.")


class _Server(ThreadingMixIn, WSGIServer):
    """Answers scrapes from a thread each."""

    daemon_threads = True


class _SharedServer(_Server):
    """The same for several processes on one port; any of them answers for all."""

    allow_reuse_port = True


class _Quiet(WSGIRequestHandler):
    """Logs no scrape."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Drop the line."""


def serve(listen: str) -> WSGIServer | None:
    """Answer scrapes at `listen`, host:port, from a background thread; an empty address means no endpoint.

    With PROMETHEUS_MULTIPROC_DIR set before the process started, all processes of that directory share the port and
    each answers for all. Raises OSError when the port is taken. `shutdown()` of the result stops it.
    """
    if not listen:
        return None
    registry, kind = REGISTRY, _Server
    if directory := os.environ.get(MULTIPROC):
        Path(directory).mkdir(parents=True, exist_ok=True)
        registry, kind = CollectorRegistry(), _SharedServer
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    host, _, port = listen.rpartition(":")
    server = make_server(host.strip("[]"), int(port), make_wsgi_app(registry), kind, _Quiet)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def forget_process(pid: int) -> None:
    """Drop the gauges of a process that has ended; its counters stay in the sums."""
    if os.environ.get(MULTIPROC):
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
