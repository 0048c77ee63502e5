# SPDX-License-Identifier: Apache-2.0
"""Pages as one iteration: what a list method returns, item by item or page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Generic, TypeVar

Item = TypeVar("Item", covariant=True)  # noqa: PLC0105 - the field's own word


class Pages(Generic[Item]):
    """Items that are fetched page by page while they are iterated: `async for tenant in client.list_tenants()`."""

    def __init__(self, pages: AsyncIterator[list[Item]]) -> None:
        """Take the pages; they are fetched when somebody iterates, once."""
        self._pages = pages

    def pages(self) -> AsyncIterator[list[Item]]:
        """Iterate over whole pages, as they arrive."""
        return self._pages

    async def __aiter__(self) -> AsyncIterator[Item]:
        """Iterate over the items."""
        async for page in self._pages:
            for item in page:
                yield item
