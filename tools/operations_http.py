# SPDX-License-Identifier: Apache-2.0
"""`google.longrunning.Operations` over JSON: google's proto has paths for names that aren't ours, so ours are put in.

Into the descriptor set, from which Envoy transcodes, and into the OpenAPI document, which the contract alone generates.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

FILE = "google/longrunning/operations.proto"
_OPERATION = "/v1/tenants/{tenant}/operations/{operation}"


@dataclass(frozen=True, slots=True)
class Http:
    """How one method is called: HTTP verb, template of the transcoder, path of the OpenAPI document, what it does."""

    verb: str
    template: str
    path: str
    text: str
    answer: str = "Operation"
    body: bool = False


METHODS = {
    "ListOperations": Http(
        "get", "/v1/{name=tenants/*}/operations", "/v1/tenants/{tenant}/operations",
        "Lists a tenant's operations in the order of their ids.", "list",
    ),
    "GetOperation": Http("get", "/v1/{name=tenants/*/operations/*}", _OPERATION, "Reads an operation as it is now."),
    "DeleteOperation": Http(
        "delete", "/v1/{name=tenants/*/operations/*}", _OPERATION, "Forgets a finished operation.", "empty"
    ),
    "CancelOperation": Http(
        "post", "/v1/{name=tenants/*/operations/*}:cancel", f"{_OPERATION}:cancel",
        "Asks an operation to stop; what it has done stands.", "empty", body=True,
    ),
    "WaitOperation": Http(
        "post", "/v1/{name=tenants/*/operations/*}:wait", f"{_OPERATION}:wait",
        "Waits until an operation is done or the time is over, and says how it is then.", body=True,
    ),
}  # fmt: skip


def patch_descriptors(path: Path) -> None:
    """Give the methods in a descriptor set our HTTP rules. Stops if google's service isn't the one that is known."""
    files = FileDescriptorSet.FromString(path.read_bytes())
    (file,) = [file for file in files.file if file.name == FILE]
    (service,) = file.service
    if {method.name for method in service.method} != set(METHODS):
        raise SystemExit(f"generate: {FILE} has other methods than tools/operations_http.py knows")
    for method in service.method:
        known = METHODS[method.name]
        rule = method.options.Extensions[annotations_pb2.http]
        rule.Clear()
        setattr(rule, known.verb, known.template)
        if known.body:
            rule.body = "*"
    path.write_bytes(files.SerializeToString(deterministic=True))


def patch_openapi(path: Path) -> None:
    """Put the paths into an OpenAPI document, behind those of the contract."""
    text = path.read_text(encoding="utf-8")
    paths: dict[str, dict[str, Any]] = {}
    for name, known in METHODS.items():
        paths.setdefault(known.path, {})[known.verb] = _told(name, known)
    added = yaml.safe_dump(paths, sort_keys=False, indent=4, width=1000)
    mark = "\ncomponents:\n"
    if text.count(mark) != 1:
        raise SystemExit("generate: the OpenAPI document isn't of the form that is expected")
    indented = "".join(f"    {line}\n" for line in added.splitlines())
    path.write_text(text.replace(mark, f"\n{indented.rstrip()}{mark}"), encoding="utf-8")


def _told(name: str, known: Http) -> dict[str, Any]:
    """Return a method as the document has it."""
    parameters = [_parameter(part, "path", f"The {part} id.") for part in ("tenant", "operation") if part in known.path]
    if known.answer == "list":
        parameters += [
            _parameter("page_size", "query", "At most so many; 10 if 0, and never more than 50.", "integer"),
            _parameter("page_token", "query", "`next_page_token` of the page before."),
        ]
    told: dict[str, Any] = {
        "tags": ["Operations"], "description": known.text, "operationId": f"Operations_{name}",
        "parameters": parameters,
    }  # fmt: skip
    if known.body:
        timeout = {
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9]+)?s$",
            "description": "How long to wait, such as `5s`.",
        }
        properties = {"timeout": timeout} if name == "WaitOperation" else {}
        told["requestBody"] = {
            "content": {"application/json": {"schema": {"type": "object", "properties": properties}}},
            "required": True,
        }
    answers = {"default": _answer("Default error response", {"$ref": "#/components/schemas/Status"})}
    told["responses"] = {"200": _answer("OK", _schema(known.answer))} | answers
    return told


def _schema(answer: str) -> dict[str, Any]:
    operation = {"$ref": "#/components/schemas/Operation"}
    if answer == "list":
        return {
            "type": "object",
            "properties": {
                "operations": {"type": "array", "items": operation},
                "next_page_token": {"type": "string", "description": "Token of the next page; empty on the last."},
            },
        }
    return operation if answer == "Operation" else {"type": "object"}


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _parameter(name: str, place: str, text: str, kind: str = "string") -> dict[str, Any]:
    required = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, "description": text, **required, "schema": {"type": kind}}
