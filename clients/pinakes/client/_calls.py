# SPDX-License-Identifier: Apache-2.0
"""What the calls of every service share: the channel, changes that are done once, masks and paging."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from pinakes.client._channel import Channel
from pinakes.client._errors import Conflict
from pinakes.v1 import index_pb2

Answer = TypeVar("Answer", bound=Message)
Page = TypeVar("Page", bound="PageAnswer")
Item = TypeVar("Item")

_MODES = {
    "": index_pb2.WRITE_MODE_UNSPECIFIED,
    "accepted": index_pb2.WRITE_MODE_ACCEPTED,
    "applied": index_pb2.WRITE_MODE_APPLIED,
    "searchable": index_pb2.WRITE_MODE_SEARCHABLE,
}
LARGEST_PAGE = 50
_UNDER_WAY = "REQUEST_UNDER_WAY"


class PageAnswer(Protocol):
    """An answer that says where the next one begins."""

    next_page_token: str


class Calls:
    """Base of the groups of calls: holds the channel."""

    _channel: Channel

    async def _once(self, method: str, request: Any, answer: type[Answer], timeout: float | None) -> Answer:
        """Make a call that changes something once, however often it is sent: with a random request id if it has none.

        Where a connection broke, the channel sends it again, and a server may still be at what was sent before; its answer
        is waited for, as long as there is time.
        """
        request.request_id = request.request_id or uuid.uuid4().hex
        end = time.monotonic() + (self._channel.timeout if timeout is None else timeout)
        while True:
            try:
                return await self._channel.call(method, request, answer, max(0.0, end - time.monotonic()))
            except Conflict as error:
                pause = error.retry_after or 0.0
                if error.reason != _UNDER_WAY or time.monotonic() + pause >= end:
                    raise
            await asyncio.sleep(pause)


def mask(paths: Iterable[str]) -> FieldMask | None:
    """Make a field mask of paths; None if there are none."""
    named = [paths] if isinstance(paths, str) else list(paths)
    return FieldMask(paths=[path.strip() for name in named for path in name.split(",")]) if named else None


def mode_number(mode: str) -> index_pb2.WriteMode:
    """Return the number of a write mode, `accepted`, `applied` or `searchable`; empty means the call's default."""
    if mode not in _MODES:
        message = f"mode is accepted, applied or searchable, not {mode!r}"
        raise ValueError(message)
    return _MODES[mode]


async def paged(
    ask: Callable[[str], Awaitable[Page]], items: Callable[[Page], Iterable[Item]], page_token: str = ""
) -> AsyncIterator[list[Item]]:
    """Ask for page after page until the last."""
    while True:
        answer = await ask(page_token)
        yield list(items(answer))
        page_token = answer.next_page_token
        if not page_token:
            return
