# SPDX-License-Identifier: Apache-2.0
"""The contract: lint, format, drift, and the rules that buf doesn't know: HTTP, comments, constraints."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api import annotations_pb2, field_behavior_pb2
from google.longrunning import operations_pb2 as longrunning_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, MethodDescriptor

from buf.validate import validate_pb2
from pinakes.v1 import failures_pb2, index_pb2, operations_pb2, resources_pb2, search_pb2, tenant_pb2
from tools import check_breaking, vendor_protos

ROOT = Path(__file__).resolve().parents[2]
BUF = str(Path(sys.executable).parent / "buf")
FILES: tuple[FileDescriptor, ...] = (
    failures_pb2.DESCRIPTOR,
    index_pb2.DESCRIPTOR,
    operations_pb2.DESCRIPTOR,
    resources_pb2.DESCRIPTOR,
    search_pb2.DESCRIPTOR,
    tenant_pb2.DESCRIPTOR,
)

# String fields of requests without a rule in the proto, each with the reason.
UNCONSTRAINED = {
    "SearchRequest.query": "its limit is a setting, told by the error (core/settings.py Limits.query_chars)",
    "CountDocumentsRequest.query": "its limit is a setting, told by the error (core/settings.py Limits.query_chars)",
    "SearchRequest.filter": "its limit is a setting (Limits.filter_chars)",
    "CountDocumentsRequest.filter": "its limit is a setting (Limits.filter_chars)",
    "ListDocumentsRequest.filter": "its limit is a setting (Limits.filter_chars)",
    "PurgeDocumentsRequest.filter": "its limit is a setting (Limits.filter_chars)",
    "ExportDocumentsRequest.filter": "its limit is a setting (Limits.filter_chars)",
    "Document.body": "bounded with the whole document by a setting (Limits.document_bytes)",
}


@pytest.fixture(scope="module", autouse=True)
def _imports_of_the_protos() -> None:
    vendor_protos.main()


def run(*command: str) -> None:
    """Run a command in the project's root; its output is the failure's message."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def methods() -> Iterator[MethodDescriptor]:
    for file in FILES:
        for service in file.services_by_name.values():
            yield from service.methods


def reachable(message: Descriptor, seen: set[str]) -> Iterator[FieldDescriptor]:
    """Fields that a caller can set, of a message and of ours inside it."""
    if message.full_name in seen or message.file not in FILES:
        return
    seen.add(message.full_name)
    for field in message.fields:
        if field_behavior_pb2.OUTPUT_ONLY in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]:
            continue
        yield field
        if field.message_type is not None:
            yield from reachable(field.message_type, seen)


def request_fields() -> list[FieldDescriptor]:
    seen: set[str] = set()
    return [field for method in methods() for field in reachable(method.input_type, seen)]


def short_name(field: FieldDescriptor) -> str:
    return field.full_name.removeprefix("pinakes.v1.")


def test_the_contract_passes_buf_lint_with_comments_required() -> None:
    run(BUF, "lint")


def test_the_protos_are_formatted() -> None:
    run(BUF, "format", "--diff", "--exit-code", "protos")


def test_the_generated_code_is_what_the_contract_generates() -> None:
    run(sys.executable, "-m", "tools.generate", "--check")


def test_nothing_of_the_main_branchs_contract_is_broken() -> None:
    run(sys.executable, "-m", "tools.check_breaking")


def test_a_broken_contract_would_be_found(tmp_path: Path) -> None:
    # Two copies beside the same imports; in one a method's answer is gone.
    for name in ("before", "after"):
        folder = tmp_path / name
        (folder / ".cache").mkdir(parents=True)
        (folder / ".cache" / "protos").symlink_to(vendor_protos.TARGET, target_is_directory=True)
        (folder / "buf.yaml").write_bytes((ROOT / "buf.yaml").read_bytes())
        for proto in (ROOT / "protos").rglob("*.proto"):
            target = folder / proto.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            content = proto.read_text(encoding="utf-8")
            if name == "after":
                content = content.replace("string page_token = ", "int64 page_token_number = ")
                content = content.replace("int64 total_size = 3;", "int64 total_size = 33;")
            target.write_text(content, encoding="utf-8")
    done = subprocess.run(
        [BUF, "breaking", "--against", str(tmp_path / "before")],
        cwd=tmp_path / "after",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "total_size" in done.stdout + done.stderr


def test_an_unknown_reference_has_no_contract() -> None:
    assert check_breaking.reference("no-such-branch") is None


@pytest.mark.parametrize("method", list(methods()), ids=lambda method: method.full_name)
def test_every_method_that_is_not_bidirectional_has_http(method: MethodDescriptor) -> None:
    if method.client_streaming and method.server_streaming:
        return
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    kind = rule.WhichOneof("pattern")
    assert kind is not None
    assert getattr(rule, kind).startswith("/v1/")


def test_slow_work_says_what_it_comes_to() -> None:
    for method in methods():
        if method.output_type.name == "Operation":
            info = method.GetOptions().Extensions[longrunning_pb2.operation_info]
            assert info.response_type == f"{method.name}Response"
            assert info.metadata_type == "OperationMetadata"


def test_every_method_has_a_request_of_its_own_named_after_it() -> None:
    assert [m.full_name for m in methods() if m.input_type.name != f"{m.name}Request"] == []


def test_every_method_answers_with_its_own_answer_a_resource_or_nothing() -> None:
    allowed = {"Collection", "Document", "Tenant", "ApiKey", "Empty", "Operation", "PlacementPlan"}
    wrong = [m.full_name for m in methods() if m.output_type.name not in allowed | {f"{m.name}Response"}]
    assert wrong == []


def test_every_string_a_caller_sends_has_a_rule_or_a_reason() -> None:
    bare = {
        short_name(field)
        for field in request_fields()
        if field.type == FieldDescriptor.TYPE_STRING and not field.containing_type.GetOptions().map_entry
        # A rule for an OUTPUT_ONLY field would refuse what the server itself has returned.
        if not field.GetOptions().HasExtension(validate_pb2.field)
    }
    assert bare == set(UNCONSTRAINED)


def test_every_enum_a_caller_sends_refuses_unknown_numbers() -> None:
    loose = [
        short_name(field)
        for field in request_fields()
        if field.type == FieldDescriptor.TYPE_ENUM
        and not field.GetOptions().Extensions[validate_pb2.field].enum.defined_only
    ]
    assert loose == []


def test_every_list_a_caller_sends_is_bounded() -> None:
    reasons = {
        "BatchWriteDocumentsRequest.writes": "its limit is a setting (Limits.batch_documents)",
        "StreamWriteDocumentsRequest.writes": "its limit is a setting (Limits.stream_documents)",
        "SearchRequest.facets": "its limit is a setting (Limits.facets)",
    }
    endless = {
        short_name(field)
        for field in request_fields()
        if field.is_repeated
        and not field.GetOptions().Extensions[validate_pb2.field].repeated.max_items
        and not field.GetOptions().Extensions[validate_pb2.field].map.max_pairs
    }
    assert endless == set(reasons)
