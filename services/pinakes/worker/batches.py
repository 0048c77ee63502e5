# SPDX-License-Identifier: Apache-2.0
"""Which of the entries that were read go into the next bulk call: a turn for each tenant, up to a size that adapts."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from pinakes.core.queue.consumer import Delivered

SMALLEST = 16


class FairBuffer:
    """Entries of one partition by tenant, in the order they came. Tenants take turns, so none waits for another's flood."""

    def __init__(self) -> None:
        """Begin empty."""
        self._tenants: OrderedDict[str, deque[Delivered]] = OrderedDict()
        self.bytes = 0

    def __bool__(self) -> bool:
        return bool(self._tenants)

    def add(self, entries: Iterable[Delivered]) -> None:
        """Put entries in."""
        for item in entries:
            self._tenants.setdefault(item.tenant_uid, deque()).append(item)
            self.bytes += item.size

    def take(self, documents: int, size: int) -> list[Delivered]:
        """Take entries for one batch, at least one, of a tenant after the other; a tenant's own stay in order."""
        batch: list[Delivered] = []
        count = used = 0
        while self._tenants:
            tenant, queue = next(iter(self._tenants.items()))
            item = queue[0]
            if batch and (count + item.documents > documents or used + item.size > size):
                break
            batch.append(queue.popleft())
            count, used = count + item.documents, used + item.size
            self.bytes -= item.size
            if queue:
                self._tenants.move_to_end(tenant)
            else:
                del self._tenants[tenant]
        return batch


class AdaptiveSize:
    """How many documents go into a batch: half as many each time the engine is busy, and slowly more again."""

    def __init__(self, most: int) -> None:
        """Begin with the most."""
        self._most = most
        self._now = float(most)

    @property
    def now(self) -> int:
        """Documents for the next batch."""
        return int(self._now)

    def busy(self) -> None:
        """Take half."""
        self._now = max(float(min(SMALLEST, self._most)), self._now / 2)

    def ok(self) -> None:
        """Take a tenth more."""
        self._now = min(float(self._most), self._now * 1.1 + 1)
