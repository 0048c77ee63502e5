# SPDX-License-Identifier: Apache-2.0
"""What no search server in Python can be cheaper than: gRPC, a shared call of the engine with a ready body, a ready answer.

It knows no tenants, plans nothing and reads nothing of what the engine finds. A request is the number of a body.
"""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import orjson
import uvloop

from pinakes.core.engine.connection import EngineConnection
from pinakes.core.engine.searches import Search, Searches


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine's address, searches as the raw client sends them (path and body), and what every call is answered."""

    engine: str
    bodies: list[tuple[str, dict[str, Any]]]
    answer: bytes


class _Forwarder(grpc.GenericRpcHandler):
    """Forwards searches."""

    def __init__(self, ready: Ready) -> None:
        address = urlsplit(ready.engine)
        engine = EngineConnection(host=address.hostname, port=address.port, maxsize=16)

        async def send(payload: bytes) -> Any:
            _, _, found = await engine.perform_request("POST", "/_msearch", None, payload)
            return orjson.loads(found)

        searches, ready_made = Searches(send), [_search(path, body) for path, body in ready.bodies]

        async def reply(request: bytes, _context: object) -> bytes:
            await searches.run(ready_made[int(request)], 5.0)
            return ready.answer

        self._handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(reply)

    def service(self, _details: object) -> object:  # type: ignore[override]
        """Take every method."""
        return self._handler


def _search(path: str, body: dict[str, Any]) -> Search:
    address = urlsplit(path)
    return Search(
        address.path.split("/")[1],
        parse_qs(address.query)["routing"][0],
        orjson.dumps({name: value for name, value in body.items() if name != "timeout"}),
        cheap=True,
    )


async def _serve(ready: Ready) -> None:
    """Serve on a free port, told on standard output, until killed."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Forwarder(ready),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(_serve(pickle.load(sys.stdin.buffer)))  # noqa: S301 - from our own parent
