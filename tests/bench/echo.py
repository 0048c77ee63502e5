# SPDX-License-Identifier: Apache-2.0
"""The lowest rung: a bare grpc.aio server that answers every call with the same bytes, read from standard input."""

from __future__ import annotations

import asyncio
import sys

import grpc
import uvloop


class _Echo(grpc.GenericRpcHandler):
    """Answers whatever is asked."""

    def __init__(self, answer: bytes) -> None:
        async def reply(_request: bytes, _context: object) -> bytes:
            await asyncio.sleep(0)
            return answer

        self._handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(reply)

    def service(self, _details: object) -> object:  # type: ignore[override]
        """Take every method."""
        return self._handler


async def _serve(answer: bytes) -> None:
    """Serve on a free port, told on standard output, until killed."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Echo(answer),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(_serve(sys.stdin.buffer.read()))
