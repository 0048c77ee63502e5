# SPDX-License-Identifier: Apache-2.0
"""The connection to OpenSearch: one guarded call, JSON by orjson. Nothing outside `core/engine` may hold one."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import ConnectionError as EngineConnectionError
from opensearchpy.exceptions import ConnectionTimeout, TransportError
from opensearchpy.serializer import JSONSerializer

from pinakes.core.engine.bodies import answered
from pinakes.core.engine.bulk import BUSY, CLOSED, FILTER, BulkWriter
from pinakes.core.engine.connection import EngineConnection
from pinakes.core.engine.refusals import told
from pinakes.core.engine.searches import Moment, Searches
from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.privacy.masks import Pseudonyms
from pinakes.core.resilience.breaker import Breaker
from pinakes.core.resilience.guard import Guard, Verdict
from pinakes.core.telemetry import metrics, tracing
from pinakes.core.telemetry.logs import logger
from pinakes.core.telemetry.masking import OwnWords
from pinakes.core.tenancy.models import now_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pinakes.core.settings import Settings
    from pinakes.core.tenancy.lease import PlacementLease

Json = dict[str, Any]
Written = Callable[[str, int, int, int], None]
Told = Callable[[str], Awaitable[None]]
# Beside those of the setting. One is enough for what is asked regularly; the others are for keys that are seen first.
_APART_CONNECTIONS = 8
# For so long nothing is asked after much has failed: short, as what was missed meanwhile may be a revocation.
_APART_OPEN_SECONDS = 1.0
_log = logger("pinakes.engine")


class OrjsonSerializer(JSONSerializer):
    """JSON by orjson: 5 to 10 times the speed of the default on search answers. Bytes pass as they are."""

    def dumps(self, data: Any) -> Any:
        """Return the body to send."""
        return data if isinstance(data, str | bytes) else orjson.dumps(data)

    def loads(self, s: bytes | str) -> Any:
        """Return the answer."""
        return orjson.loads(s)


def classify(error: BaseException) -> Verdict:
    """Say what an error of the engine means: try again, count it, or the request's own fault."""
    if isinstance(error, EngineConnectionError | ConnectionTimeout | TimeoutError):
        return Verdict.RETRY
    if isinstance(error, TransportError):
        status = error.status_code
        if status in BUSY or error.error == CLOSED:
            return Verdict.RETRY
        return Verdict.REFUSED if isinstance(status, int) and status < 500 else Verdict.FAILURE
    return Verdict.FAILURE


class EngineRefusal(OwnWords, Exception):
    """The engine answered with a 4xx: its status and the type of its error, which no caller ever sees."""

    def __init__(self, status: int, error_type: str) -> None:
        """Keep what the engine said."""
        super().__init__(f"{status} {error_type}")
        self.status = status
        self.error_type = error_type


class Engine:
    """A guarded pool of connections to the engine's nodes."""

    def __init__(self, settings: Settings) -> None:
        """Make the pool; connections are opened when they are needed."""
        self.prefix = settings.index_prefix
        self.pseudonyms = Pseudonyms(settings.secret_key.get_secret_value().encode())
        # By which scopes know where documents are; without it, as the tenant's record says that they are given.
        self.placements: PlacementLease | None = None
        self.limits = settings.limits
        self.late_seconds = settings.engine_timeout_seconds + 2 * settings.max_clock_skew_seconds
        """Time by which what another process writes may be seen later than that says by its own clock."""
        seconds = settings.engine_timeout_seconds
        self._client = _client(settings, settings.engine_connections)
        self._guard = Guard("the search engine", classify, seconds)
        # Connections and a breaker of its own: nothing else that fails or takes long stops what is asked there.
        self._apart_client = _client(settings, _APART_CONNECTIONS)
        breaker = Breaker("the directory", open_seconds=_APART_OPEN_SECONDS)
        self._apart_guard = Guard("the directory", classify, seconds, breaker=breaker)
        self.written: Written = _uncounted
        """Told of the documents that were written for a tenant: uid, how many, by how many documents and bytes it has grown."""
        self.searchable: Told = _untold
        """Told of a tenant, by its uid, who is about to wait for the refresh of an index of its own."""
        self.bulk = BulkWriter(self._send_bulk)
        self.searches = Searches(self._send_searches)

    async def call(  # the parts of an HTTP request
        self,
        operation: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        retry: bool = True,
        until: float = math.inf,
        apart: bool = False,
    ) -> Json:
        """Send one request and return its answer. It isn't begun, nor tried again, later than `until` (monotonic).

        `apart` is for the records by which processes know who may do what: no other traffic stops these requests.
        Raises `EngineRefusal` for a 4xx and a fault of kind UNAVAILABLE or DEADLINE for anything else that fails.
        """
        started = time.perf_counter()
        guard, client = (self._apart_guard, self._apart_client) if apart else (self._guard, self._client)

        async def attempt(seconds: float) -> Any:
            if time.monotonic() > until:
                raise unavailable("the search engine", 0.1)
            return await client.transport.perform_request(
                method, path, params=dict(params) if params else None, body=body, timeout=seconds
            )

        outcome = "ok"
        try:
            with tracing.span(f"engine {operation}"):
                answer = await guard.run(attempt, retry=retry)
        except TransportError as error:
            outcome = "refused"
            raise _refusal(error, operation) from None
        except BaseException:
            outcome = "failed"
            raise
        finally:
            metrics.engine_seconds(operation, outcome).observe(time.perf_counter() - started)
        return answer if isinstance(answer, dict) else {"answer": answer}

    @asynccontextmanager
    async def moment(self, index: str, routing: Mapping[str, str], seconds: float) -> AsyncIterator[Moment]:
        """Have the engine keep what searches of an index find now, until `seconds` after the latest one at that moment.

        Raises the faults of `call`.
        """
        moment = Moment("", f"{round(seconds * 1000)}ms", now_ms())
        params = {**routing, "keep_alive": moment.keep, "allow_partial_pit_creation": "false"}
        try:
            opened = await self.call("open_moment", "POST", f"/{index}/_search/point_in_time", params=params)
        except EngineRefusal as refusal:
            raise engine_fault(refusal) from None
        moment.id = opened["pit_id"]
        try:
            if not answered(opened):
                raise unavailable("the search engine")
            yield moment
        finally:
            with suppress(Fault, EngineRefusal):  # it ends by itself as well
                await self.call("close_moment", "DELETE", "/_search/point_in_time", body={"pit_id": [moment.id]})

    async def drop_index(self, index: str) -> None:
        """Delete an index, unless it is gone: of two processes that do it at once, one comes too late.

        Raises the faults of `call`.
        """
        try:
            await self.call("drop_index", "DELETE", f"/{index}")
        except EngineRefusal as refusal:
            if refusal.status != HTTPStatus.NOT_FOUND:
                raise engine_fault(refusal) from None

    async def _send_bulk(self, payload: bytes, searchable: bool, until: float) -> Json:  # as `BulkWriter` calls it
        params = {"filter_path": FILTER} | ({"refresh": "wait_for"} if searchable else {})
        return await self.call("bulk", "POST", "/_bulk", params=params, body=payload, until=until)

    async def _send_searches(self, payload: bytes) -> Json:
        return await self.call("search", "POST", "/_msearch", body=payload)

    async def ready(self) -> bool:
        """Tell whether the engine answers and every primary shard of the platform is there."""
        try:
            answer = await self.call("ping", "GET", f"/_cluster/health/{self.prefix}-*", retry=False)
        except (Fault, EngineRefusal):
            return False
        return bool(answer.get("status") != "red")

    async def close(self) -> None:
        """Finish the shared calls under way and close the connections."""
        await self.bulk.close()
        await self.searches.close()
        await self._client.close()
        await self._apart_client.close()


def _client(settings: Settings, connections: int) -> AsyncOpenSearch:
    """Return connections to the engine, so many at most to each node."""
    auth = (settings.opensearch_username, settings.opensearch_password.get_secret_value())
    return AsyncOpenSearch(
        hosts=settings.opensearch_urls,
        http_auth=auth if auth[0] else None,
        ca_certs=str(settings.opensearch_ca_file) if settings.opensearch_ca_file else None,
        connection_class=EngineConnection,
        serializer=OrjsonSerializer(),
        pool_maxsize=connections,
        maxsize=connections,
        max_retries=0,
        http_compress=False,
    )


def _uncounted(tenant_uid: str, writes: int, documents: int, size: int) -> None:
    """Count nothing."""


async def _untold(tenant_uid: str) -> None:
    """Tell nobody."""


def _refusal(error: TransportError, operation: str) -> Exception:
    """Turn a 4xx into what the engine's room understands, and log all but the expected ones."""
    status = error.status_code if isinstance(error.status_code, int) else 0
    info: Any = error.info if isinstance(error.info, dict) else {}
    reason = info.get("error", {})
    kind = reason.get("type", "") if isinstance(reason, dict) else str(reason)
    if status not in {404, 409} and kind != "resource_already_exists_exception":
        _log.warning("engine refused", operation=operation, status=status, error=told(reason))
    return EngineRefusal(status, kind)


def engine_fault(refusal: EngineRefusal) -> Fault:
    """Return the fault for a refusal that nobody foresaw."""
    return Fault(Kind.INTERNAL, "INTERNAL", f"the search engine refused a request of the platform ({refusal.status})")
