# SPDX-License-Identifier: Apache-2.0
"""Making the next piece of work while one is being done: the engine and this process work at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def ahead(items: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """Yield items, of which one more is made meanwhile. Close it (`aclosing`), or that one is left alone."""

    async def following() -> T | None:
        return await anext(items, None)

    task = asyncio.create_task(following())
    try:
        while (item := await task) is not None:
            task = asyncio.create_task(following())
            yield item
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
        await items.aclose()
