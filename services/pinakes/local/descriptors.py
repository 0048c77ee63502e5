# SPDX-License-Identifier: Apache-2.0
"""The descriptor set for Envoy's JSON transcoding, built from the generated code, so that the two can't differ."""

from __future__ import annotations

import sys

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2

from pinakes.v1 import index_pb2, search_pb2, tenant_pb2

# Envoy drops the body of an error whose details it has no descriptor for; nothing in the contract imports these.
ROOTS = (search_pb2, index_pb2, tenant_pb2, status_pb2, error_details_pb2)


def descriptor_set() -> bytes:
    """Return the serialised FileDescriptorSet of all services and errors, imports before what imports them."""
    files: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        if file.name not in files:
            for imported in file.dependencies:
                add(imported)
            files[file.name] = file

    for root in ROOTS:
        add(root.DESCRIPTOR)
    result = FileDescriptorSet()
    for file in files.values():
        result.file.add().ParseFromString(file.serialized_pb)
    return result.SerializeToString(deterministic=True)


if __name__ == "__main__":
    sys.stdout.buffer.write(descriptor_set())
