# SPDX-License-Identifier: Apache-2.0
"""A call that changes records is done once per request id, whichever of the services it is of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import Message

from pinakes.core.rpc.call import Call
from pinakes.core.tenancy.marks import Mark

if TYPE_CHECKING:
    from pinakes.core.platform import Platform

M = TypeVar("M", bound=Message)


async def once(
    platform: Platform, call: Call, answer: type[M], work: Callable[[Mark], Awaitable[M]], within: str = ""
) -> M:
    """Do what a call asks for in its tenant, with the mark of its request, or return the answer it had before.

    `within` is what its request id is told apart in, if that isn't the tenant with all that is written in it.
    A mere check isn't claimed, nor is what is asked about a tenant that is erased: of that nothing is to be kept.
    """
    request: Any = call.request
    if getattr(request, "validate_only", False) or call.tenant.erase_ms:
        return await work(Mark.new())
    return await platform.requests.change(call.tenant.uid, request.request_id, request, answer, work, within=within)
