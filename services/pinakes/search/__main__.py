# SPDX-License-Identifier: Apache-2.0
"""`pinakes-search`: runs the SearchService server."""

from __future__ import annotations

import grpc

from pinakes.core.platform import Platform
from pinakes.core.rpc.server import Service, run
from pinakes.search.servicer import SearchServicer
from pinakes.v1 import search_pb2_grpc


def add(platform: Platform, server: grpc.aio.Server) -> None:
    """Add the servicer to a server."""
    search_pb2_grpc.add_SearchServiceServicer_to_server(SearchServicer(platform), server)


SERVICE = Service("pinakes.v1.SearchService", add)


def main() -> None:
    """Serve until a signal."""
    run(SERVICE)


if __name__ == "__main__":
    main()
