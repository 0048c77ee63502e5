# SPDX-License-Identifier: Apache-2.0
"""What this process holds of a tenant's buckets and rooms: enough for a moment, so that few requests ask Redis."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pinakes.core.limits.bucket import LEAST
from pinakes.core.limits.figures import burst_of, in_force
from pinakes.core.limits.kinds import Kind, Limit
from pinakes.core.limits.ledger import LEASE_SECONDS, Answer, Draw, Room

if TYPE_CHECKING:
    from pinakes.core.limits.budget import Budget
    from pinakes.core.limits.figures import InForce
    from pinakes.core.tenancy.models import TenantRecord

OF_TENANT, OF_KEY, OF_TOKEN = "tenant", "key", "token"
"""Whose a limit is, as refusals say. The defaults that callers of no one tenant have count as a tenant's."""
CHUNKS_A_SECOND = 20
HOLD_SECONDS = 1.0
"""Time for which tokens are held; older ones would add to the burst that the bucket allows."""
COST_SECONDS = 10.0
"""Seconds of a search cost that may be saved up."""
SPARE = 16
"""A room's places are held one in so many beyond what is needed."""
CALLERS = 1000
"""Callers of one tenant that are remembered."""
CROWDED_SECONDS = 0.05
"""Time after which it is worth asking again whether a place is free."""


class Holding(ABC):
    """What this process holds of one bucket or room: of which limit, of what figure, and whose (the tenant's, the key's)."""

    __slots__ = ("figure", "key", "limit", "of", "refused_until")

    def __init__(self, key: str, limit: Limit, of: str, figure: float) -> None:
        """Hold nothing yet. Times are of the limiter's clock."""
        self.key, self.limit, self.of, self.figure = key, limit, of, figure
        self.refused_until = 0.0

    @abstractmethod
    def enough(self, now: float) -> bool:
        """Tell whether what is held does for one more call."""

    @abstractmethod
    def take_in(self, answer: Answer, now: float) -> None:
        """Take what was granted."""


class Share(Holding):
    """What this process holds of one bucket.

    Requests take a token before they are done; costs are charged afterwards, and may leave a debt.
    """

    __slots__ = ("asked", "before", "burst", "chunk", "given", "left", "rate", "tokens", "told", "until")

    def __init__(self, key: str, limit: Limit, of: str, rate: float, burst: float = 0.0) -> None:
        """Hold nothing yet."""
        super().__init__(key, limit, of, rate)
        self.rate, self.given = rate, (rate, burst)
        self.before = limit is Limit.REQUESTS
        if self.before:
            self.burst, self.chunk = burst_of(rate, burst), float(max(1, int(rate / CHUNKS_A_SECOND)))
        else:
            self.burst = max(rate * (COST_SECONDS if limit is Limit.SEARCH_COST else 1.0), LEAST)
            self.chunk = max(rate / CHUNKS_A_SECOND, LEAST)
        self.told = f"{self.burst:g}"
        self.tokens = self.until = self.asked = 0.0
        self.left = self.burst

    def enough(self, now: float) -> bool:
        """Tell whether what is held does for one more call."""
        return now < self.until and (self.tokens >= 1 if self.before else self.tokens > 0)

    def draw(self, now: float, waiting: int) -> Draw:
        """Return what to ask for so that `waiting` calls can go on; a debt goes with it, and what is too old is let go."""
        debt = max(0.0, -self.tokens)
        if debt or now >= self.until:
            self.tokens = 0.0
        wanted = max(self.chunk, waiting) if self.before else self.chunk
        return Draw(self.key, self.rate, self.burst, debt, wanted, self.before)

    def take_in(self, answer: Answer, now: float) -> None:
        """Take what was granted."""
        self.left, self.asked = answer.left, now
        if answer.granted > 0:
            self.tokens += answer.granted
            self.until = now + HOLD_SECONDS
            self.refused_until = 0.0
        elif answer.wait > 0:
            self.refused_until = now + answer.wait

    def remaining(self, now: float) -> float:
        """Return about how many requests could be sent now, by what was heard last."""
        filled = min(self.burst, self.left + (now - self.asked) * self.rate) if self.asked else self.burst
        held = self.tokens if now < self.until else 0.0
        return max(0.0, min(self.burst, filled + held))


class Places(Holding):
    """What this process holds of one room: how many calls it may have under way, and how many it has."""

    __slots__ = ("held", "in_use", "most", "until", "wanting")

    def __init__(self, key: str, of: str, most: int) -> None:
        """Hold nothing yet."""
        super().__init__(key, Limit.CONCURRENT, of, most)
        self.most = most
        self.held = self.in_use = 0
        self.until = 0.0
        self.wanting = False

    def enough(self, now: float) -> bool:
        """Tell whether there is a place for one more call."""
        return self.in_use < self.held and now < self.until

    def ask(self, waiting: int) -> Room:
        """Return what to ask for so that `waiting` more calls can begin; without any, what isn't needed is given back."""
        wanted, self.wanting = self.in_use + waiting, waiting > 0
        if waiting:
            wanted = min(self.most, wanted + self.most // SPARE)
        else:
            self.held = self.in_use  # nobody takes what is being given back
        return Room(self.key, self.most, self.in_use, wanted)

    def take_in(self, answer: Answer, now: float) -> None:
        """Take what was granted."""
        self.held, self.until = int(answer.granted), now + LEASE_SECONDS
        # What was only given back or kept says nothing about others' places.
        crowded = self.wanting and self.held <= self.in_use
        self.refused_until = now + CROWDED_SECONDS if crowded else 0.0

    def due(self, now: float) -> bool:
        """Tell whether places are to be given back, or kept for longer."""
        return self.held > self.in_use or (self.in_use > 0 and now > self.until - LEASE_SECONDS / 2)


@dataclass(slots=True)
class Home:
    """What this process holds of one tenant, or of a caller who has none. One task at a time asks for more."""

    uid: str
    budgets: OrderedDict[tuple[str, str, Kind], Budget] = field(default_factory=OrderedDict)
    shares: OrderedDict[str, Share] = field(default_factory=OrderedDict)
    places: dict[str, Places] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    asking: asyncio.Task[None] | None = None
    """What asked last, for callers."""
    _held: tuple[TenantRecord | None, InForce] | None = None

    def in_force(self, tenant: TenantRecord | None, defaults: InForce) -> InForce:
        """Return what holds for the tenant by its record; for a caller who has none, the defaults."""
        if self._held is None or self._held[0] is not tenant:
            self._held = (tenant, in_force(tenant, defaults) if tenant is not None else defaults)
        return self._held[1]

    def share(self, owner: str, limit: Limit, of: str, rate: float, burst: float = 0.0) -> Share:
        """Return the share of a bucket; one whose limit has changed begins anew, but keeps its debt."""
        key = f"pinakes:limit:1:{{{self.uid}}}:{owner}:{limit}"
        known = self.shares.get(key)
        if known is not None and known.given == (rate, burst):
            return known
        made = Share(key, limit, of, rate, burst)
        if known is not None:
            made.tokens = min(0.0, known.tokens)
        self.shares[key] = made
        if len(self.shares) > CALLERS and next(iter(self.shares.values())).tokens >= 0:
            self.shares.popitem(last=False)
        return made

    def room(self, owner: str, of: str, most: int) -> Places:
        """Return the places in a room; calls that are under way stay in it when its size changes."""
        key = f"pinakes:limit:1:{{{self.uid}}}:{owner}:{Limit.CONCURRENT}"
        known = self.places.get(key)
        if known is None:
            known = self.places[key] = Places(key, of, most)
        elif known.most != most:
            known.figure = known.most = most
            known.held, known.refused_until = known.in_use, 0.0
        return known

    def remember(self, key: tuple[str, str, Kind], budget: Budget) -> Budget:
        """Keep what a caller may use, by the credential and token that have limits; of too many the first are forgotten."""
        self.budgets[key] = budget
        if len(self.budgets) > CALLERS:
            self.budgets.popitem(last=False)
        return budget

    async def heard(self) -> None:
        """Wait for the answer to what was asked for a caller who has left. Whoever got the lock does so before it asks."""
        if self.asking is not None and not self.asking.done():
            await asyncio.wait([self.asking])

    @property
    def busy(self) -> bool:
        """Whether there are calls in its rooms, something to tell Redis, or an answer on its way."""
        return (
            any(one.in_use or one.held for one in self.places.values())
            or any(one.tokens < 0 for one in self.shares.values())
            or (self.asking is not None and not self.asking.done())
        )
