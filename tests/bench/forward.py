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

import orjson
import uvloop

from pinakes.core.engine.connection import EngineConnection
from pinakes.core.engine.searches import Search, Searches
from tests.bench.echo import serve


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine's address, searches as the raw client sends them (path and body), and what every call is answered."""

    engine: str
    bodies: list[tuple[str, dict[str, Any]]]
    answer: bytes


def _search(path: str, body: dict[str, Any]) -> Search:
    address = urlsplit(path)
    return Search(
        address.path.split("/")[1],
        parse_qs(address.query)["routing"][0],
        orjson.dumps({name: value for name, value in body.items() if name != "timeout"}),
        cheap=True,
    )


async def _forward(ready: Ready) -> None:
    """Forward searches."""
    address = urlsplit(ready.engine)
    engine = EngineConnection(host=address.hostname, port=address.port, maxsize=16)

    async def send(payload: bytes) -> Any:
        _, _, found = await engine.perform_request("POST", "/_msearch", None, payload)
        return orjson.loads(found)

    searches, ready_made = Searches(send), [_search(path, body) for path, body in ready.bodies]

    async def reply(request: bytes, _context: object) -> bytes:
        await searches.run(ready_made[int(request)], 5.0)
        return ready.answer

    await serve(reply)


if __name__ == "__main__":
    uvloop.run(_forward(pickle.load(sys.stdin.buffer)))  # noqa: S301 - from our own parent
