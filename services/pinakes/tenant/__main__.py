# SPDX-License-Identifier: Apache-2.0
"""`pinakes-tenant`: runs the TenantService server."""

from __future__ import annotations

import grpc
from google.longrunning import operations_pb2_grpc

from pinakes.core.platform import Platform
from pinakes.core.rpc.server import Service, run
from pinakes.tenant.hashes import renew_hashes
from pinakes.tenant.operations import OperationsServicer
from pinakes.tenant.servicer import TenantServicer
from pinakes.v1 import tenant_pb2_grpc


def add(platform: Platform, server: grpc.aio.Server) -> None:
    """Add the servicers to a server."""
    tenant_pb2_grpc.add_TenantServiceServicer_to_server(TenantServicer(platform), server)
    operations_pb2_grpc.add_OperationsServicer_to_server(OperationsServicer(platform), server)


SERVICE = Service("pinakes.v1.TenantService", add, ("google.longrunning.Operations",), work=renew_hashes)


def main() -> None:
    """Serve until a signal."""
    run(SERVICE)


if __name__ == "__main__":
    main()
