# SPDX-License-Identifier: Apache-2.0
"""`pinakes-index`: runs the IndexService server."""

from __future__ import annotations

import grpc

from pinakes.core.platform import Platform
from pinakes.core.rpc.server import Service, run
from pinakes.index.servicer import IndexServicer
from pinakes.v1 import index_pb2_grpc


def add(platform: Platform, server: grpc.aio.Server) -> None:
    """Add the servicer to a server."""
    index_pb2_grpc.add_IndexServiceServicer_to_server(IndexServicer(platform), server)


# It accepts writes into the queue while the engine is away.
SERVICE = Service("pinakes.v1.IndexService", add, queues=True)


def main() -> None:
    """Serve until a signal."""
    run(SERVICE)


if __name__ == "__main__":
    main()
