# SPDX-License-Identifier: Apache-2.0
"""A protoc plugin for `buf generate`, made of the generators inside `grpcio-tools`, which ships no plugin executables.

Option `generator` chooses what is made: `python`, `pyi` or `grpc_python`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

GENERATORS = frozenset({"python", "pyi", "grpc_python"})


def generate(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """Run one generator of `grpc_tools.protoc` over the request's files; the answer holds what it wrote."""
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    )
    options = dict(option.partition("=")[::2] for option in request.parameter.split(",") if option)
    generator = options.get("generator", "")
    if generator not in GENERATORS:
        response.error = f"option generator is {generator!r}, expected one of {', '.join(sorted(GENERATORS))}"
        return response
    # Stubs of files without services would be empty modules.
    with_services = {file.name for file in request.proto_file if file.service}
    files = [name for name in request.file_to_generate if generator != "grpc_python" or name in with_services]
    with tempfile.TemporaryDirectory(prefix="protoc-") as folder:
        descriptors = Path(folder, "descriptors.binpb")
        descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        out = Path(folder, "out")
        out.mkdir()
        arguments = ["protoc", f"--descriptor_set_in={descriptors}", f"--{generator}_out={out}"]
        if protoc.main([*arguments, *files]) != 0:
            response.error = f"protoc --{generator}_out failed"
            return response
        for path in sorted(out.rglob("*.py*")):
            response.file.add(name=path.relative_to(out).as_posix(), content=path.read_text(encoding="utf-8"))
    return response


def main() -> None:
    """Speak the plugin protocol: a request on standard input, the answer on standard output."""
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(generate(request).SerializeToString())


if __name__ == "__main__":
    main()
