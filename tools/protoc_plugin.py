# SPDX-License-Identifier: Apache-2.0
"""A protoc plugin for `buf generate`, made of the generators inside `grpcio-tools`, which ships no plugin executables.

Option `generator` chooses what is made: `python`, `pyi`, `grpc_python`, or `grpc_types` (mypy-protobuf's types of it).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

GENERATORS = frozenset({"python", "pyi", "grpc_python", "grpc_types"})
ONLY_SERVICES = frozenset({"grpc_python", "grpc_types"})


def generate(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """Run one generator over the request's files; the answer holds what it wrote, or an error."""
    options = dict(option.partition("=")[::2] for option in request.parameter.split(",") if option)
    generator = options.get("generator", "")
    if generator not in GENERATORS:
        expected = ", ".join(sorted(GENERATORS))
        return plugin_pb2.CodeGeneratorResponse(error=f"option generator is {generator!r}, expected one of {expected}")
    # Stubs of files without services would be empty modules.
    with_services = {file.name for file in request.proto_file if file.service}
    files = [name for name in request.file_to_generate if generator not in ONLY_SERVICES or name in with_services]
    if not files:
        return plugin_pb2.CodeGeneratorResponse()
    if generator == "grpc_types":
        return _typed(request, files)
    return _compiled(request, files, generator)


def _compiled(
    request: plugin_pb2.CodeGeneratorRequest, files: list[str], generator: str
) -> plugin_pb2.CodeGeneratorResponse:
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    )
    with tempfile.TemporaryDirectory(prefix="protoc-") as folder:
        descriptors = Path(folder, "descriptors.binpb")
        descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        out = Path(folder, "out")
        out.mkdir()
        if protoc.main(["protoc", f"--descriptor_set_in={descriptors}", f"--{generator}_out={out}", *files]) != 0:
            response.error = f"protoc --{generator}_out failed"
            return response
        for path in sorted(out.rglob("*.py*")):
            response.file.add(name=path.relative_to(out).as_posix(), content=path.read_text(encoding="utf-8"))
    return response


def _typed(request: plugin_pb2.CodeGeneratorRequest, files: list[str]) -> plugin_pb2.CodeGeneratorResponse:
    asked = plugin_pb2.CodeGeneratorRequest()
    asked.CopyFrom(request)
    asked.parameter = "quiet"
    del asked.file_to_generate[:]
    asked.file_to_generate.extend(files)
    done = subprocess.run(
        [sys.executable, "-c", "from mypy_protobuf.main import grpc; grpc()"],
        input=asked.SerializeToString(),
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode != 0:
        return plugin_pb2.CodeGeneratorResponse(error="mypy-protobuf failed")
    return plugin_pb2.CodeGeneratorResponse.FromString(done.stdout)


def main() -> None:
    """Speak the plugin protocol: a request on standard input, the answer on standard output."""
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(generate(request).SerializeToString())


if __name__ == "__main__":
    main()
