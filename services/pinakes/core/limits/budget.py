# SPDX-License-Identifier: Apache-2.0
"""What one caller may use by one kind of call: the way of a request through its limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pinakes.core.limits.bucket import LONGEST_SECONDS
from pinakes.core.limits.holdings import OF_TENANT
from pinakes.core.limits.kinds import Limit
from pinakes.core.limits.refusals import exceeded, would_refuse

if TYPE_CHECKING:
    from pinakes.core.identity.principal import Principal
    from pinakes.core.limits.figures import InForce
    from pinakes.core.limits.holdings import Holding, Home, Places, Share
    from pinakes.core.limits.limiter import Limiter
    from pinakes.core.tenancy.models import TenantRecord

BEYOND_SECONDS = 1.0
"""Time for which a caller that was refused for a rate counts as one who sends more than it may."""
_ROUNDS = 4
"""Times that one call asks at most; more than once only if others took what it had while it asked."""
Told = tuple[tuple[str, str], ...]


class Budget:
    """The limits of one caller for one kind of call. It is made once, and again when a limit has changed."""

    __slots__ = (
        "_charged", "_counted", "_dry_run", "_limiter", "_refused_at", "home", "in_force", "limits", "rooms", "tenant",
    )  # fmt: skip

    def __init__(  # what it is made of
        self,
        limiter: Limiter,
        home: Home,
        counted: tuple[Share, ...],
        charged: tuple[Share, ...],
        rooms: tuple[Places, ...],
        *,
        in_force: InForce,
        tenant: TenantRecord | None,
        limits: object,
    ) -> None:
        """Of these buckets. `counted` take a token for each request, `charged` are those of its kind."""
        self._limiter, self.home = limiter, home
        self._counted, self._charged, self.rooms = counted, charged, rooms
        self.in_force, self._dry_run = in_force, in_force.dry_run
        self.tenant, self.limits = tenant, limits
        self._refused_at = -math.inf

    def made_of(self, tenant: TenantRecord | None, principal: Principal | None) -> bool:
        """Tell whether tenant and caller still have the limits that this was made of."""
        own = principal.limits if principal is not None else None
        # A record that is read again has equal limits, which aren't the same.
        return self.tenant is tenant and self.limits == own

    async def take(self, *, enter: bool = True) -> None:
        """Count one request, and with `enter` take a place for as long as it lasts: until `leave`.

        Raises a fault of kind EXHAUSTED with `retry_after` when there is nothing left. Asks Redis once, again only
        if others used up meanwhile what it had, and not while enough is held here; when Redis doesn't answer, this process allows its part of everything by itself.
        """
        rooms = self.rooms if enter else ()
        now = self._limiter.clock()
        if self._enough(rooms, now):
            return self._use(rooms)
        lacking = self._lacking(rooms, now)
        if _worth_asking(lacking, now):
            self.home.waiting += 1
            try:
                async with self.home.lock:
                    await self.home.heard()
                    now = self._limiter.clock()
                    lacking = self._lacking(rooms, now)
                    # What there was enough of may be used up or too old when the answer is here: nobody is refused for that.
                    for _ in range(_ROUNDS):
                        if not _worth_asking(lacking, now):
                            break
                        await self._limiter.refill(self.home, self._short(rooms, now))
                        now = self._limiter.clock()
                        lacking = self._lacking(rooms, now)
            finally:
                self.home.waiting -= 1
        if lacking is None:
            return self._use(rooms)
        if not self._spared(lacking):
            if lacking.limit is not Limit.CONCURRENT:  # to be slow isn't to send too much
                self._refused_at = now
            raise exceeded(lacking, max(lacking.refused_until - now, 0.001))
        would_refuse(lacking.limit, self.home.uid)
        return self._use(rooms, dry=True)

    @property
    def beyond(self) -> bool:
        """Whether its callers were refused for a rate a moment ago: they send more than they may."""
        return self._limiter.clock() - self._refused_at < BEYOND_SECONDS

    def leave(self) -> None:
        """Give the places back that `take` took."""
        for room in self.rooms:
            room.in_use -= 1
        self._limiter.tend(self.home)

    def sent(self, documents: int, size: int) -> None:
        """Charge documents that were sent to be written, in messages of so many bytes."""
        if self._charged:
            self.charge(Limit.DOCUMENTS_RATE, documents)
            self.charge(Limit.BYTES_RATE, size)

    def charge(self, limit: Limit, amount: float) -> None:
        """Charge what a call came to, when that is known; nothing where there is no such limit."""
        now = self._limiter.clock() if self._dry_run else 0.0
        for share in self._charged:
            # What a dry run would have refused wouldn't have cost anything.
            if share.limit is limit and not (self._spared(share) and now < share.refused_until):
                share.tokens -= amount
                if share.tokens < 0:
                    self._limiter.tend(self.home)

    def told(self) -> Told:
        """Return what callers are told of their request rate: of the tightest bucket, if there are several."""
        now = self._limiter.clock()
        share, remaining = self._counted[0], self._counted[0].remaining(now)
        for other in self._counted[1:]:
            if (less := other.remaining(now)) < remaining:
                share, remaining = other, less
        reset = math.ceil(min((share.burst - remaining) / share.rate, LONGEST_SECONDS))
        return (
            ("ratelimit-limit", share.told), ("ratelimit-remaining", str(int(remaining))),
            ("ratelimit-reset", str(reset)),
        )  # fmt: skip

    def _enough(self, rooms: tuple[Places, ...], now: float) -> bool:
        for share in self._counted:
            if share.tokens < 1 or now >= share.until:
                return False
        for share in self._charged:
            if share.tokens <= 0 or now >= share.until:
                return False
        return all([one.enough(now) for one in rooms])  # noqa: C419  # there is none, or one or two

    def _use(self, rooms: tuple[Places, ...], *, dry: bool = False) -> None:
        for share in self._counted:
            if not dry or share.tokens >= 1:
                share.tokens -= 1
        for room in rooms:
            room.in_use += 1
        if rooms:
            self._limiter.tend(self.home)

    def _all(self, rooms: tuple[Places, ...]) -> tuple[Holding, ...]:
        return (*rooms, *self._counted, *self._charged)

    def _spared(self, one: Holding) -> bool:
        """Tell whether a dry run lets pass what goes beyond this: what is the tenant's; keys and tokens narrow for good."""
        return self._dry_run and one.of == OF_TENANT

    def _lacking(self, rooms: tuple[Places, ...], now: float) -> Holding | None:
        """Return what there isn't enough of: rather what refuses than what is spared, and what was asked for in vain."""
        lacking = [one for one in self._all(rooms) if not one.enough(now)]
        return min(lacking, key=lambda one: (self._spared(one), now >= one.refused_until), default=None)

    def _short(self, rooms: tuple[Places, ...], now: float) -> list[Share | Places]:
        """Return what to ask for: what isn't enough, and what soon won't be."""
        shares = [one for one in (*self._counted, *self._charged) if not one.enough(now) or one.tokens < one.chunk / 2]
        return [*shares, *(room for room in rooms if not room.enough(now))]


def _worth_asking(lacking: Holding | None, now: float) -> bool:
    """Tell whether there may be more of what is lacking: it wasn't asked for in vain just now."""
    return lacking is not None and now >= lacking.refused_until
