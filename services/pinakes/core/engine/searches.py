# SPDX-License-Identifier: Apache-2.0
"""Searches that share round trips: what arrives while calls are under way leaves together in the next one (design §6).

Natural batching: no timer, and nothing waits while the engine is idle. A batch answers when its slowest member does, so
only searches that are cheap by their making share calls, each with a short time of its own; one that needs longer runs
again alone, on connections and with a number of its own. Tenants wait in turn in both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pinakes.core.engine.bulk import CLOSED
from pinakes.core.engine.refusals import told
from pinakes.core.fair import Gate
from pinakes.core.faults import Fault, Kind, Violation, invalid, unavailable
from pinakes.core.resilience import deadline
from pinakes.core.shared import SharedCalls
from pinakes.core.telemetry import metrics
from pinakes.core.telemetry.logs import logger
from pinakes.core.telemetry.masking import OwnWords

Json = dict[str, Any]
_log = logger("pinakes.searches")
# A search waits only while so many shared calls are out.
AT_ONCE = 2
MEMBERS = 16
# Time of a member of a shared call; the usual search takes a few milliseconds.
SHARED_SECONDS = 0.25
ALONE_AT_ONCE = 16
MANY_CLAUSES = "many_clauses"
"""Type of the refusal of a search that comes to more clauses than the engine takes."""
MANY_VALUES = "many_values"
"""Type of the refusal to collapse by a field in which a document has several values."""
MOMENT_GONE = "MOMENT_GONE"
"""Type and reason of the refusal to search at a moment that the engine doesn't keep any more."""


@dataclass(slots=True)
class Moment:
    """A point in time that the engine keeps: its id, which an answer may renew, for how long after each search, and when it was."""

    id: str
    keep: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Search:
    """One search body, with its scope's filters in it and without a timeout. Only a `TenantScope` makes these.

    `routing` is empty where documents are routed by their ids. What is searched at a moment is of that moment's index and routing.
    """

    index: str
    routing: str
    body: bytes
    cheap: bool
    moment: Moment | None = None

    @property
    def tenant(self) -> str:
        """What stands for the tenant that it is of, among those who wait: in a pool its routing, or else its own index."""
        return self.routing or self.index

    def line(self, seconds: float) -> bytes:
        """Return header and body as two lines of `_msearch`."""
        milliseconds = max(1, round(seconds * 1000))
        if self.moment is not None:
            pit = orjson.dumps({"id": self.moment.id, "keep_alive": self.moment.keep})
            return b'{"request_cache":false}\n{"timeout":"%dms","pit":%b,%b\n' % (milliseconds, pit, self.body[1:])
        routing = b'"routing":"%b",' % self.routing.encode() if self.routing else b""
        return b'{"index":"%b",%b"request_cache":false}\n{"timeout":"%dms",%b\n' % (
            self.index.encode(), routing, milliseconds, self.body[1:],
        )  # fmt: skip


class Refused(OwnWords, Exception):
    """The engine answered one search with an error: its status and type, which no caller ever sees."""

    def __init__(self, status: int, error_type: str, detail: str) -> None:
        """Keep what the engine said; `detail` is what may be logged of it."""
        super().__init__(f"{status} {error_type}: {detail}")
        self.status, self.error_type, self.detail = status, error_type, detail


Send = Callable[[bytes], Awaitable[Json]]


class Searches:
    """Sends searches to the engine, several in a call where they are cheap."""

    def __init__(self, send: Send) -> None:
        """`send(payload)` makes one guarded `_msearch` call and returns its answer."""
        self._send = send
        self._shared: SharedCalls[Search, Json] = SharedCalls(
            self._together, at_once=AT_ONCE, most=MEMBERS, caller_of=lambda search: search.tenant
        )
        self._alone = Gate(ALONE_AT_ONCE)

    async def run(self, search: Search, seconds: float) -> Json:
        """Search, and return the engine's answer, which may say that it timed out after `seconds`.

        Raises `Refused`, or what `send` raises.
        """
        if search.cheap:
            deadline.remaining(seconds)
            answer = await self._shared.ask(search)
            if not answer.get("timed_out") or seconds <= SHARED_SECONDS:
                return answer
        (found,) = await self.run_all([search], seconds)
        if isinstance(found, Exception):
            raise found
        return found

    async def run_all(self, searches: Sequence[Search], seconds: float) -> list[Json | Exception]:
        """Do searches of one caller in one call of their own; each has an answer, a `Refused` or a fault."""
        async with self._alone.passing(searches[0].tenant):
            return await self._asked(searches, deadline.remaining(seconds))

    async def close(self) -> None:
        """Finish what is under way."""
        await self._shared.close()

    async def _together(self, searches: Sequence[Search]) -> Sequence[Json | Exception]:
        metrics.SHARED_SEARCHES.observe(len(searches))
        try:
            return await self._asked(searches, SHARED_SECONDS)
        except Fault:
            raise  # the engine is away for all of them
        except Exception:
            if len(searches) == 1:
                raise
        # One malformed member fails the whole call: each has its own answer then.
        each = await asyncio.gather(*(self._asked([one], SHARED_SECONDS) for one in searches), return_exceptions=True)
        return [one[0] if isinstance(one, list) else Refused(400, type(one).__name__, "") for one in each]

    async def _asked(self, searches: Sequence[Search], seconds: float) -> list[Json | Exception]:
        answer = await self._send(b"".join([search.line(seconds) for search in searches]))
        return [
            _checked(response, seconds) if search.moment is None else _checked_then(response, seconds, search.moment)
            for search, response in zip(searches, answer["responses"], strict=True)
        ]


def _checked_then(response: Json, seconds: float, moment: Moment) -> Json | Exception:
    """Do the same for a search at a moment, which may be gone: with a node, in a part of its shards, or with its index."""
    wrong = str(response.get("error") or response["_shards"].get("failures", ""))
    if any(kind in wrong for kind in ("search_context_missing_exception", "index_not_found_exception", CLOSED)):
        return Refused(404, MOMENT_GONE, "moment")
    moment.id = response.get("pit_id", moment.id)
    return _checked(response, seconds)


def _checked(response: Json, seconds: float) -> Json | Exception:
    """Return the answer of one search that had so much time, or what went wrong with it."""
    error = response.get("error")
    if error is None:
        return response
    if "time_exceeded_exception" in str(error):
        # So it answers where the time was over before it had begun to collect, after a long pause for instance.
        return {
            "took": round(seconds * 1000), "timed_out": True, "_shards": {"total": 1, "successful": 0, "failed": 0},
            "hits": {"hits": []},
        }  # fmt: skip
    status = int(response.get("status", 500))
    if status >= 500 and "collapse field must be single valued" in str(error):
        # The engine calls it an error of its own; it is the documents' content.
        return Refused(400, MANY_VALUES, "collapse")
    if "maxClauseCount" in str(error):
        # So it calls what callers' words come to, after analysis: nobody can know that before.
        return Refused(400, MANY_CLAUSES, "clauses")
    if status >= 500 or status == 429 or error.get("type") == CLOSED:
        _log.warning("engine failed", operation="search", status=status, error=told(error))
        return unavailable("the search engine")
    return Refused(status, str(error.get("type", "")), told(error))


def fault_of(refused: Refused) -> Fault:
    """Return what a caller is told of a refused search."""
    if refused.error_type == MANY_CLAUSES:
        text = "with the filter, comes to more clauses than the search engine takes; send fewer or shorter words"
        return invalid("query", text, "QUERY_TOO_MANY_CLAUSES")
    if refused.error_type == MANY_VALUES:
        text = "a document found has several values in this field; only a field of single values can be collapsed by"
        return Fault(Kind.PRECONDITION, "COLLAPSE_MANY_VALUES", f"collapse: {text}", (Violation("collapse", text),))
    if refused.error_type == MOMENT_GONE:
        return Fault(Kind.PRECONDITION, MOMENT_GONE, "what the documents were then isn't kept any more; begin anew")
    _log.warning("engine refused", operation="search", status=refused.status, error=refused.detail)
    return Fault(Kind.INTERNAL, "INTERNAL", f"the search engine refused a search of the platform ({refused.status})")
