# SPDX-License-Identifier: Apache-2.0
"""Limits of tenants and keys, shared by all processes through Redis: what each process needs is leased in small parts."""

from __future__ import annotations

import asyncio
import contextvars
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from pinakes.core.faults import Fault
from pinakes.core.limits.budget import Budget
from pinakes.core.limits.figures import InForce, defaults_of
from pinakes.core.limits.holdings import OF_KEY, OF_TENANT, OF_TOKEN, Holding, Home, Places, Share
from pinakes.core.limits.kinds import RATES_OF, Kind, Limit, kind_of
from pinakes.core.limits.ledger import Answer, LocalLedger, Question, RedisLedger
from pinakes.core.redis import CACHE_SECONDS, FAILURES, connect, failed
from pinakes.core.resilience.breaker import Breaker
from pinakes.core.telemetry import metrics
from pinakes.core.telemetry.logs import logger

if TYPE_CHECKING:
    from pinakes.core.identity.principal import Principal
    from pinakes.core.settings import Settings
    from pinakes.core.tenancy.models import TenantRecord

HOMES = 10_000
DOWN_SHARE = 0.5
"""What a process allows while Redis is away, if it doesn't know of how many processes it is one."""
TEND_SECONDS = 0.1
"""Time after which places are given back, and debts told."""
_TENDED_AT_ONCE = 8
_SHARED = metrics.RATE_SOURCE.labels("shared")
_LOCAL = metrics.RATE_SOURCE.labels("local")
_log = logger("pinakes.limits")


class Limiter:
    """Holds callers to their limits. One per process."""

    def __init__(
        self,
        redis: Redis | None,
        defaults: InForce,
        *,
        processes: int = 0,
        breaker: Breaker | None = None,
        homes: int = HOMES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Share limits through `redis`; without it this process holds its part of them, as one of `processes` (0: unknown).

        `homes` tenants are remembered at most.
        """
        self.defaults = defaults
        self.clock = clock
        self._ledger = RedisLedger(redis, secrets.token_hex(8)) if redis is not None else None
        unknown = 1.0 if redis is None else DOWN_SHARE
        self._local = LocalLedger(1 / processes if processes else unknown)
        self._breaker = breaker or Breaker("the rate limiter")
        self._most = homes
        self._homes: OrderedDict[str, Home] = OrderedDict()
        self._to_tend: dict[str, Home] = {}
        self._tending: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, settings: Settings, timeout: float = CACHE_SECONDS) -> Limiter:
        """Make a limiter of the cache's Redis, or of this process alone where there is none."""
        redis = connect(settings.cache_url, timeout) if settings.cache_url else None
        return cls(redis, defaults_of(settings), processes=settings.limits_processes)

    def in_force(self, tenant: TenantRecord) -> InForce:
        """Return what holds for a tenant."""
        return self.work(tenant).in_force

    def budget(self, principal: Principal, tenant: TenantRecord | None, method: str) -> Budget:
        """Return what a caller of a method may use; `tenant` is its own, None if it has none or several."""
        kind = kind_of(method, filtered=bool(principal.filter))
        home = self._home(tenant.uid if tenant is not None else principal.subject)
        # Most credentials have no limits of their own: all such of a tenant share its budget.
        own = principal.credential if principal.limits is not None else ""
        key = (own, principal.token if principal.rate else "", kind)
        found = home.budgets.get(key)
        if found is None or not found.made_of(tenant, principal):
            found = home.remember(key, self._made(home, tenant, principal, kind))
        return found

    def work(self, tenant: TenantRecord) -> Budget:
        """Return what writes of a tenant may use that come from no call: those of an operation."""
        home = self._home(tenant.uid)
        key = ("operation", "", Kind.WRITE)
        found = home.budgets.get(key)
        if found is None or not found.made_of(tenant, None):
            found = home.remember(key, self._made(home, tenant, None, Kind.WRITE))
        return found

    async def close(self) -> None:
        """Give back what is held, and close the connections."""
        asking = [home.asking for home in self._homes.values() if home.asking is not None]
        await asyncio.gather(*asking, return_exceptions=True)
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        if self._ledger is not None:
            await self._ledger.redis.aclose()

    # ---- making budgets

    def _made(self, home: Home, tenant: TenantRecord | None, principal: Principal | None, kind: Kind) -> Budget:
        held = home.in_force(tenant, self.defaults)
        own = principal.limits if principal is not None else None
        charged = [home.share("tenant", one, OF_TENANT, rate) for one in RATES_OF[kind] if (rate := getattr(held, one))]
        counted: list[Share] = []
        rooms: list[Places] = []
        if principal is not None:
            counted.append(home.share("tenant", Limit.REQUESTS, OF_TENANT, held.requests_per_second, held.burst))
            if held.concurrent_requests:
                rooms.append(home.room("tenant", OF_TENANT, held.concurrent_requests))
            if principal.rate:
                counted.append(home.share(f"token:{principal.token}", Limit.REQUESTS, OF_TOKEN, principal.rate))
        if principal is not None and own is not None:
            mine = principal.credential
            if own.requests_per_second:
                counted.append(home.share(mine, Limit.REQUESTS, OF_KEY, own.requests_per_second, own.burst))
            if own.concurrent_requests:
                rooms.append(home.room(mine, OF_KEY, own.concurrent_requests))
            charged += [home.share(mine, one, OF_KEY, rate) for one in RATES_OF[kind] if (rate := getattr(own, one))]
        return Budget(
            self, home, tuple(counted), tuple(charged), tuple(rooms), in_force=held, tenant=tenant, limits=own
        )

    def _home(self, uid: str) -> Home:
        """Return what is held of a tenant, and forget the one that wasn't needed for longest when there are too many."""
        home = self._homes.get(uid)
        if home is None:
            home = self._homes[uid] = Home(uid)
            if len(self._homes) > self._most:
                idle = next(
                    (uid for uid, one in self._homes.items() if not (one is home or one.busy or one.waiting)), None
                )
                if idle is not None:
                    del self._homes[idle]
        else:
            self._homes.move_to_end(uid)
        return home

    # ---- asking

    async def refill(self, home: Home, wanted: Sequence[Share | Places]) -> None:
        """Ask for what a caller lacks, in one round trip. The caller has the home's lock.

        What is granted is nobody else's any more, so it is taken in also if the caller leaves: in a task of its own.
        """
        loop = asyncio.get_running_loop()
        home.asking = loop.create_task(self._refill(home, wanted), name="limits", context=contextvars.Context())
        await asyncio.shield(home.asking)

    async def _refill(self, home: Home, wanted: Sequence[Share | Places]) -> None:
        now = self.clock()
        waiting = max(1, home.waiting)
        asked = [one.draw(now, waiting) if isinstance(one, Share) else one.ask(waiting) for one in wanted]
        answers = await self._exchange(asked)
        now = self.clock()
        for one, answer in zip(wanted, answers, strict=True):
            one.take_in(answer, now)
        if any(isinstance(one, Places) for one in wanted):
            self.tend(home)  # who wanted a place may have gone

    async def _exchange(self, questions: Sequence[Question]) -> list[Answer]:
        if self._ledger is None:
            _LOCAL.inc()
            return self._local.exchange(questions, self.clock())
        try:
            permit = self._breaker.before()
        except Fault:
            _LOCAL.inc()
            return self._local.exchange(questions, self.clock())
        try:
            answers = await self._ledger.exchange(questions)
        except FAILURES as error:
            failed(self._breaker, permit, error)
            _LOCAL.inc()
            return self._local.exchange(questions, self.clock())
        except BaseException:
            self._breaker.ignored(permit)
            raise
        self._breaker.success(permit)
        _SHARED.inc()
        return answers

    # ---- tending

    def tend(self, home: Home) -> None:
        """See to it that a home's debts are told and its places given back or kept, beside the calls."""
        if home.uid in self._to_tend:
            return
        self._to_tend[home.uid] = home
        if self._tending is None or self._tending.done():
            # A context of its own: it is part of no caller's call.
            loop = asyncio.get_running_loop()
            self._tending = loop.create_task(self._tend_all(), name="limits", context=contextvars.Context())

    async def _tend_all(self) -> None:
        while self._to_tend:
            await asyncio.sleep(TEND_SECONDS)
            homes = list(self._to_tend.values())
            for place in range(0, len(homes), _TENDED_AT_ONCE):
                some = homes[place : place + _TENDED_AT_ONCE]
                for outcome in await asyncio.gather(*map(self._tend, some), return_exceptions=True):
                    if isinstance(outcome, Exception):
                        _log.error("limits can't be tended", error=repr(outcome))
            for home in homes:
                if not home.busy:
                    del self._to_tend[home.uid]

    async def _tend(self, home: Home) -> None:
        """Tell debts and give places back, those of one tenant in one round trip."""
        now = self.clock()
        if home.lock.locked() or not (
            any(one.tokens < 0 for one in home.shares.values()) or any(one.due(now) for one in home.places.values())
        ):
            return
        async with home.lock:
            await home.heard()
            shares = [one for one in home.shares.values() if one.tokens < 0]
            places = [one for one in home.places.values() if one.due(now)]
            questions: list[Question] = [share.draw(now, 0) for share in shares]
            answers = await self._exchange([*questions, *(room.ask(0) for room in places)])
            now = self.clock()
            held: list[Holding] = [*shares, *places]
            for one, answer in zip(held, answers, strict=True):
                one.take_in(answer, now)
