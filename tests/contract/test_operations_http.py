# SPDX-License-Identifier: Apache-2.0
"""Operations over JSON: what Envoy transcodes by, what the OpenAPI document says, and that the two are the same."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from pinakes.local.descriptors import descriptor_set
from pinakes.v1 import search_pb2
from tools.operations_http import FILE, METHODS

OPENAPI = Path(search_pb2.__file__).with_name("openapi.yaml")


def test_every_method_has_a_path_for_names_of_ours() -> None:
    files = FileDescriptorSet.FromString(descriptor_set()).file
    [service] = [service for file in files if file.name == FILE for service in file.service]
    found: dict[str, tuple[str, str, str]] = {}
    for method in service.method:
        rule = method.options.Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        found[method.name] = (verb, getattr(rule, verb), rule.body)
    assert found == {name: (known.verb, known.template, "*" if known.body else "") for name, known in METHODS.items()}


def test_the_openapi_document_has_the_same_paths() -> None:
    document = yaml.safe_load(OPENAPI.read_text("utf-8"))
    told = {
        (verb, path): method["operationId"]
        for path, verbs in document["paths"].items()
        for verb, method in verbs.items()
        if "/operations" in path
    }
    assert told == {(known.verb, known.path): f"Operations_{name}" for name, known in METHODS.items()}
    for known in METHODS.values():
        # The two ways to write one path: {name=tenants/*/operations/*} and tenants/{tenant}/operations/{operation}.
        assert known.template.replace("{name=", "").replace("}", "") == re.sub(r"\{\w+\}", "*", known.path)
    schemas = document["components"]["schemas"]
    references = set(re.findall(r"#/components/schemas/(\w+)", OPENAPI.read_text("utf-8")))
    assert references <= set(schemas)
