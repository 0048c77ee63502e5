# SPDX-License-Identifier: Apache-2.0
"""The lowest rung: a bare grpc.aio server that answers every call with the same bytes, read from standard input."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import grpc
import uvloop

Reply = Callable[[bytes, object], Awaitable[bytes]]


class _Any(grpc.GenericRpcHandler):
    """Answers whatever is asked."""

    def __init__(self, reply: Reply) -> None:
        self._handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(reply)

    def service(self, _details: object) -> object:  # type: ignore[override]
        """Take every method."""
        return self._handler


async def serve(reply: Reply) -> None:
    """Serve on a free port, told on standard output, until killed."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Any(reply),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


async def _echo(answer: bytes) -> None:
    async def reply(_request: bytes, _context: object) -> bytes:
        await asyncio.sleep(0)
        return answer

    await serve(reply)


if __name__ == "__main__":
    uvloop.run(_echo(sys.stdin.buffer.read()))
