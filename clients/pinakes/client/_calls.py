# SPDX-License-Identifier: Apache-2.0
"""What the calls of every service share: the channel, masks and paging."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask

from pinakes.client._channel import Channel
from pinakes.v1 import index_pb2

Page = TypeVar("Page", bound="PageAnswer")
Item = TypeVar("Item")

_MODES = {
    "": index_pb2.WRITE_MODE_UNSPECIFIED,
    "accepted": index_pb2.WRITE_MODE_ACCEPTED,
    "applied": index_pb2.WRITE_MODE_APPLIED,
    "searchable": index_pb2.WRITE_MODE_SEARCHABLE,
}
LARGEST_PAGE = 50


class PageAnswer(Protocol):
    """An answer that says where the next one begins."""

    next_page_token: str


class Calls:
    """Base of the groups of calls: holds the channel."""

    _channel: Channel


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
