# SPDX-License-Identifier: Apache-2.0
"""Makes the placement plan: which tenants get an index of their own, come back to a pool, or leave a full one, and why.

It is a function of facts and thresholds alone. Whatever it plans stays below the marks from which it would be undone: a
tenant comes back at a part of what it left for, and a full pool is brought down to its fill mark, which no target passes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from pinakes.core.placement.load import Load, emptiest, loads, shift
from pinakes.core.placement.model import OWN, Facts, Plan, Planned, TenantFacts, Thresholds, Why

_Weight = Callable[[TenantFacts], int]
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def make_plan(facts: Facts, limits: Thresholds) -> Plan:
    """Return what should happen, the most urgent first, and what of it could begin now."""
    return _Planner(facts, limits).plan()


class _Planner:
    """One plan in the making: `held` is what pools will hold when all that is planned so far has been done."""

    def __init__(self, facts: Facts, limits: Thresholds) -> None:
        self._facts = facts
        self._limits = limits
        self._held = loads(facts)
        self._pools = tuple(
            self._held[number].told(limits, draining=number in facts.draining) for number in sorted(self._held)
        )
        self._running = tuple(tenant for tenant in facts.tenants if tenant.target is not None)
        self._settled = [tenant for tenant in facts.tenants if tenant.target is None and not tenant.fixed]
        self._moves: list[Planned] = []
        self._leaving: set[str] = set()
        self._opens: dict[int, str] = {}

    def plan(self) -> Plan:
        for tenant in sorted(self._settled, key=lambda one: (-one.bytes, -one.documents, one.tenant_id)):
            self._outgrown(tenant)
        for number in sorted(self._facts.pools):
            self._large_shards(number)
        for tenant in sorted(self._settled, key=lambda one: (-one.noise, one.tenant_id)):
            self._noisy(tenant)
        for number in sorted(self._facts.pools):
            self._full(number)
        for tenant in sorted(self._settled, key=lambda one: (one.bytes, one.tenant_id)):
            self._shrunk(tenant)
        if all(load.fill(self._limits) >= self._limits.fill for load in self._held.values()):
            self._open(f"every pool is filled to {self._limits.fill:.0%}, and new tenants need room")
        return Plan(self._facts.read_ms, self._pools, self._scheduled(), self._opens, self._running)

    # ---- reasons to move

    def _outgrown(self, tenant: TenantFacts) -> None:
        """Give a tenant an index of its own that has more than a pool is for."""
        limits = self._limits
        if tenant.place == OWN:
            return
        own = "on a tenant gets an index of its own"
        if tenant.documents >= limits.dedicated_documents:
            text = f"has {tenant.documents:,} documents; from {limits.dedicated_documents:,} {own}"
            self._move(tenant, OWN, Why.DOCUMENTS, text)
        elif tenant.bytes >= limits.dedicated_bytes:
            text = f"takes {size(tenant.bytes)}; from {size(limits.dedicated_bytes)} {own}"
            self._move(tenant, OWN, Why.BYTES, text)

    def _large_shards(self, number: int) -> None:
        """Take the largest tenants out of shards that are too large, if they are large enough to stay out."""
        limits, held = self._limits, self._held[number]
        for tenant in sorted(self._staying(number), key=lambda one: (-one.bytes, one.tenant_id)):
            shard = held.shards[tenant.shard]
            if shard > limits.shard_bytes and self._large(tenant):
                text = (
                    f"takes {size(tenant.bytes)} of a shard of {size(shard)} in pool {number}; "
                    f"a shard should have at most {size(limits.shard_bytes)}"
                )
                self._move(tenant, OWN, Why.SHARD, text)

    def _noisy(self, tenant: TenantFacts) -> None:
        """Give a tenant an index of its own that makes too much of its pool's work for too long."""
        limits = self._limits
        if tenant.place != OWN and tenant.uid not in self._leaving and tenant.noisy_looks >= limits.noise_looks:
            text = (
                f"made {tenant.noise:.0%} of the work of pool {tenant.place}, and too much {tenant.noisy_looks} times in "
                f"a row; from {limits.noise_share:.0%} on a tenant gets an index of its own"
            )
            self._move(tenant, OWN, Why.NOISE, text)

    def _full(self, number: int) -> None:
        """Bring a full pool down to its fill mark: its tenants go to pools that have room, or to a new one.

        It isn't full any more when the first have gone, and goes on all the same.
        """
        limits, held = self._limits, self._held[number]
        from_part = limits.fill if number in self._facts.draining else 1.0
        most = limits.pool_documents * len(held.shards)
        if held.documents >= most * from_part:
            words = f"{held.documents:,} of {most:,} documents"
            self._lighten(number, words, lambda: held.documents - limits.fill * most, lambda one: one.documents)
        for shard, held_bytes in enumerate(held.shards):
            if held_bytes >= limits.shard_bytes * from_part:
                words = f"a shard of {size(held_bytes)}, where {size(limits.shard_bytes)} are the most"
                self._lighten(number, words, partial(self._too_large, held, shard), lambda one: one.bytes, shard)
        if held.tenants >= limits.pool_tenants * from_part:
            words = f"{held.tenants:,} of {limits.pool_tenants:,} tenants"
            self._lighten(number, words, lambda: held.tenants - limits.fill * limits.pool_tenants, lambda _: 1)

    def _too_large(self, held: Load, shard: int) -> float:
        return held.shards[shard] - self._limits.fill * self._limits.shard_bytes

    def _lighten(
        self, number: int, words: str, excess: Callable[[], float], weight: _Weight, shard: int | None = None
    ) -> None:
        """Move tenants out of a pool, or out of one of its shards, until nothing is too much."""
        state = f"pool {number} {'was' if number in self._facts.draining else 'is'} full: {words}"
        rest = _ByWeight([one for one in self._movable(number) if shard in {None, one.shard}], weight)
        while (much := excess()) > 0 and (tenant := rest.take(much)) is not None:
            target = self._room(tenant, state, number)
            if target is not None:
                text = f"{state}; it is brought down to {self._limits.fill:.0%}"
                self._move(tenant, target, Why.FULL, text)

    def _shrunk(self, tenant: TenantFacts) -> None:
        """Bring a tenant back to a pool that is small and quiet again, if the controller gave it its index."""
        limits = self._limits
        quiet = tenant.noisy_looks == 0 and tenant.noise < limits.noise_share * limits.return_share
        if tenant.place != OWN or not tenant.returns or not quiet or self._large(tenant):
            return
        text = (
            f"has {tenant.documents:,} documents and takes {size(tenant.bytes)}, less than {limits.return_share:.0%} of "
            "what an index of its own is for"
        )
        target = self._room(tenant, f"tenant {tenant.tenant_id} comes back to a pool")
        if target is not None:
            self._move(tenant, target, Why.SMALL, text)

    # ---- pools

    def _room(self, tenant: TenantFacts, why: str, source: int = OWN) -> int | None:
        """Return the emptiest pool that takes a tenant, a new one if none does, or None if it is too large for any."""
        limits = self._limits
        load = emptiest(
            (one for one in self._held.values() if one.number != source and one.takes(tenant, limits)), limits
        )
        if load is not None:
            return load.number
        if not _empty(0, limits).takes(tenant, limits):
            return None
        return self._open(why)

    def _open(self, why: str) -> int:
        number = max(self._held, default=-1) + 1
        self._held[number] = _empty(number, self._limits)
        self._opens[number] = why
        return number

    # ---- tenants

    def _staying(self, number: int) -> list[TenantFacts]:
        return [one for one in self._settled if one.place == number and one.uid not in self._leaving]

    def _movable(self, number: int) -> list[TenantFacts]:
        """Return the tenants of a pool that may be moved now: one of many can always be another."""
        return [one for one in self._staying(number) if not self._cooling(one)]

    def _large(self, tenant: TenantFacts) -> bool:
        """Tell whether a tenant has so much that it wouldn't come back from an index of its own."""
        limits = self._limits
        return (
            tenant.documents >= limits.dedicated_documents * limits.return_share
            or tenant.bytes >= limits.dedicated_bytes * limits.return_share
        )

    def _cooling(self, tenant: TenantFacts) -> bool:
        return tenant.moved_ms > 0 and tenant.moved_ms + self._limits.cooldown_ms > self._facts.read_ms

    def _move(self, tenant: TenantFacts, target: int, why: Why, reason: str) -> None:
        self._leaving.add(tenant.uid)
        shift(self._held, tenant, target)
        until = tenant.moved_ms + self._limits.cooldown_ms
        waits = f"it was moved lately, and rests until {_time(until)}" if self._cooling(tenant) else ""
        self._moves.append(
            Planned(
                tenant_id=tenant.tenant_id, uid=tenant.uid, source=tenant.place, target=target, why=why, reason=reason,
                documents=tenant.documents, bytes=tenant.bytes, waits=waits,
            )
        )  # fmt: skip

    def _scheduled(self) -> tuple[Planned, ...]:
        """Return the moves in order, all but the first few of which wait for others."""
        free = self._limits.moves - len(self._running)
        scheduled: list[Planned] = []
        for move in self._moves:
            if move.waits:
                scheduled.append(move)
            elif free > 0:
                free -= 1
                scheduled.append(move)
            else:
                scheduled.append(replace(move, waits=f"{self._limits.moves} at once is the most"))
        return tuple(scheduled)


class _ByWeight:
    """Tenants by what they weigh, for taking out as few as possible."""

    def __init__(self, tenants: list[TenantFacts], weight: _Weight) -> None:
        self._weight = weight
        # Of those that weigh the same, the one that costs least to move is the last.
        self._rest = sorted((one for one in tenants if weight(one)), key=lambda one: (weight(one), -one.bytes, one.uid))

    def take(self, excess: float) -> TenantFacts | None:
        """Take the lightest tenant that is enough, or the heaviest if none is; None when all are taken."""
        if not self._rest:
            return None
        enough = min(bisect_left(self._rest, excess, key=self._weight), len(self._rest) - 1)
        last = bisect_right(self._rest, self._weight(self._rest[enough]), key=self._weight) - 1
        return self._rest.pop(last)


def _empty(number: int, limits: Thresholds) -> Load:
    return Load(number, 0, 0, [0] * limits.pool_shards)


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    number, unit = float(count), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:,.1f} {_UNITS[unit]}" if unit else f"{count} bytes"


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
