# SPDX-License-Identifier: Apache-2.0
"""The descriptor set for Envoy's JSON transcoding, as `make gen` makes it from the contract."""

from __future__ import annotations

from pathlib import Path

from pinakes.v1 import search_pb2


def descriptor_set() -> bytes:
    """Return the serialised FileDescriptorSet of all services and of the errors' details."""
    return Path(search_pb2.__file__).with_name("descriptors.binpb").read_bytes()
