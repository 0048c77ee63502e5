# SPDX-License-Identifier: Apache-2.0
"""Where buckets and rooms are kept: in Redis for all processes, in this process when that isn't there."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pinakes.core.limits.bucket import LEAST, LONGEST_SECONDS, Bucket

if TYPE_CHECKING:
    from redis.asyncio import Redis

LEASE_SECONDS = 3.0
"""Time after which the room of a process that says nothing any more is free again."""
LARGEST = 20_000
"""Buckets that a process keeps by itself."""

# KEYS: a bucket or room each. ARGV: the holder, the lease in µs, the longest wait in µs, then six for each key:
# 'b', tokens a second, tokens at most, debt, tokens wanted, 1 for whole tokens; or 'r', places in all, in use, wanted, 0, 0.
# Answers three for each: granted, µs until something is there, what is left; tokens in thousandths, and no less is granted.
_EXCHANGE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local holder, lease, longest = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local answers = {}
for i, key in ipairs(KEYS) do
  local at = 4 + (i - 1) * 6
  local a, b, c, d = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local granted, wait, left = 0, 0, 0
  if ARGV[at] == 'b' then
    local whole = ARGV[at + 5] == '1'
    local kept = redis.call('HMGET', key, 'tokens', 'at')
    local tokens, seen = tonumber(kept[1]) or b, tonumber(kept[2]) or now
    tokens = math.min(b, tokens + math.max(0, now - seen) * a / 1000000) - c
    granted = math.max(0, math.min(d, tokens))
    if whole then granted = math.floor(granted + 1e-9) else granted = math.floor(granted * 1000 + 1e-6) / 1000 end
    if granted == 0 and d > 0 then wait = math.min(longest, ((whole and 1 or 0.001) - tokens) / a * 1000000) end
    tokens = tokens - granted
    left = tokens * 1000
    redis.call('HSET', key, 'tokens', string.format('%.9f', tokens), 'at', string.format('%.0f', now))
    redis.call('PEXPIRE', key, math.min(2592000000, math.ceil((b - math.min(0, tokens)) / a * 1000) + 1000))
    granted = math.floor(granted * 1000 + 0.5)
  else
    local others = 0
    local held = redis.call('HGETALL', key)
    for j = 1, #held, 2 do
      local count, until_us = string.match(held[j + 1], '(%d+):(%d+)')
      if held[j] ~= holder then
        if tonumber(until_us) > now then others = others + tonumber(count) else redis.call('HDEL', key, held[j]) end
      end
    end
    granted = math.max(b, math.min(c, a - others))
    left = a - others - granted
    if granted > 0 then
      redis.call('HSET', key, holder, string.format('%.0f:%.0f', granted, now + lease))
      redis.call('PEXPIRE', key, math.ceil(lease / 1000) + 1000)
    else
      redis.call('HDEL', key, holder)
    end
  end
  answers[#answers + 1] = granted
  answers[#answers + 1] = math.ceil(wait)
  answers[#answers + 1] = math.floor(left)
end
return answers
"""


@dataclass(frozen=True, slots=True)
class Draw:
    """Asks for `wanted` tokens of a bucket, and charges it `debt` first. `whole` tokens are counted, others measured."""

    key: str
    rate: float
    burst: float
    debt: float
    wanted: float
    whole: bool


@dataclass(frozen=True, slots=True)
class Room:
    """Asks for `wanted` of `places` places, of which the holder has `in_use` taken."""

    key: str
    places: int
    in_use: int
    wanted: int


Question = Draw | Room


class Answer(NamedTuple):
    """What was granted, the seconds until something may be (where nothing was), and what is left for others."""

    granted: float
    wait: float
    left: float


class RedisLedger:
    """Buckets and rooms of all processes, asked for in one round trip."""

    def __init__(self, redis: Redis, holder: str) -> None:
        """Ask in the name of `holder`, another for each process."""
        self.redis = redis
        self._holder = holder
        self._exchange = redis.register_script(_EXCHANGE)

    async def exchange(self, questions: Sequence[Question]) -> list[Answer]:
        """Ask all at once. Raises what Redis does."""
        arguments: list[str | float] = [self._holder, round(LEASE_SECONDS * 1e6), round(LONGEST_SECONDS * 1e6)]
        for one in questions:
            if isinstance(one, Draw):
                arguments += ["b", one.rate, one.burst, one.debt, one.wanted, int(one.whole)]
            else:
                arguments += ["r", one.places, one.in_use, one.wanted, 0, 0]
        found = await self._exchange(keys=[one.key for one in questions], args=arguments)
        return [
            Answer(found[3 * i], found[3 * i + 1] / 1e6, found[3 * i + 2])
            if isinstance(one, Room)
            else Answer(found[3 * i] / 1000, found[3 * i + 1] / 1e6, found[3 * i + 2] / 1000)
            for i, one in enumerate(questions)
        ]


class LocalLedger:
    """Buckets and rooms of this process, of which it takes a part only: others do the same by themselves."""

    def __init__(self, share: float = 1.0) -> None:
        """Allow `share` of every limit."""
        self._share = share
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def exchange(self, questions: Sequence[Question], now: float) -> list[Answer]:
        """Ask all at once."""
        return [self._draw(one, now) if isinstance(one, Draw) else self._room(one) for one in questions]

    def _draw(self, one: Draw, now: float) -> Answer:
        # A part of the smallest number would be none at all, and nothing is divided by that.
        rate = max(one.rate * self._share, sys.float_info.min)
        burst = max(one.burst * self._share, 1.0 if one.whole else LEAST)
        bucket = self._buckets.get(one.key)
        if bucket is None or (bucket.rate, bucket.burst) != (rate, burst):
            bucket = self._buckets[one.key] = Bucket(rate, burst, now)
            if len(self._buckets) > LARGEST:
                self._buckets.popitem(last=False)
        granted, wait = bucket.take(now, one.wanted, one.debt, whole=one.whole)
        return Answer(granted, wait, bucket.tokens)

    def _room(self, one: Room) -> Answer:
        places = max(1, math.floor(one.places * self._share))
        granted = max(one.in_use, min(one.wanted, places))
        return Answer(granted, 0.0, places - granted)
