# SPDX-License-Identifier: Apache-2.0
"""`pinakes purge`, `reindex`, `operations`: work that goes on after the call."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from google.protobuf.message import Message
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from pinakes.cli._failures import Failure, failure_of
from pinakes.cli._session import (
    CollectionOption,
    Session,
    TenantOption,
    calling,
    plain,
    print_json,
    print_table,
    printable,
)
from pinakes.client import Client, Operation
from pinakes.v1.lifecycle_pb2 import EraseTenantResponse
from pinakes.v1.operations_pb2 import PurgeDocumentsResponse, ReindexCollectionResponse

operations = typer.Typer(no_args_is_help=True, help="List, read, wait for and cancel long-running operations.")

OperationArgument = Annotated[str, typer.Argument(help="Id or name of the operation.", metavar="ID")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is done, showing how far it is.")]
RequestId = Annotated[
    str, typer.Option("--request-id", help="Start it once, however often this is run with it.", metavar="ID")
]


@calling
def purge(
    session: Session,
    filter: Annotated[str, typer.Option("--filter", "-f", help="AIP-160, as in `search`; empty is all.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Delete; otherwise only count and show some.")] = False,
    all_documents: Annotated[
        bool, typer.Option("--all-documents", help="Needed with --force if every document matches.")
    ] = False,
    wait: Wait = True,
    request_id: RequestId = "",
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Delete the documents that match a filter. Without --force: tell how many there are, and the names of some."""
    with session.client() as client:
        started = client.purge_documents(
            filter,
            collection=collection,
            tenant=tenant,
            force=force,
            all_documents=all_documents,
            request_id=request_id,
        )
        if started.done and not force:
            _show_sample(session, started)
        else:
            follow(session, client, started, wait=wait)


@calling
def reindex(
    session: Session,
    wait: Wait = True,
    request_id: RequestId = "",
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Index every document of a collection anew, by the attributes that it declares now."""
    with session.client() as client:
        started = client.reindex_collection(collection, tenant=tenant, request_id=request_id)
        follow(session, client, started, wait=wait)


@operations.command("list")
@calling
def list_operations(session: Session, tenant: TenantOption = "-") -> None:
    """List the operations of the last days, the newest last."""
    with session.client() as client:
        found = sorted(client.list_operations(tenant=tenant), key=lambda one: one.metadata.create_time.ToNanoseconds())
    if session.as_json:
        for one in found:
            print_json(as_json(one))
    elif found:
        print_table(("ID", "VERB", "STATE", "DONE", "FAILED", "CREATED"), [_row(one) for one in found])
    else:
        sys.stderr.write("there are no operations\n")


@operations.command("get")
@calling
def get_operation(session: Session, operation: OperationArgument, tenant: TenantOption = "-") -> None:
    """Read an operation as it is now."""
    with session.client() as client:
        show(session, client.get_operation(operation, tenant=tenant))


@operations.command("wait")
@calling
def wait_operation(
    session: Session,
    operation: OperationArgument,
    at_most: Annotated[
        float, typer.Option("--for", help="Seconds to wait at most; 0 for as long as it takes.", min=0)
    ] = 0,
    tenant: TenantOption = "-",
) -> None:
    """Wait until an operation is done; the exit code is 1 if it failed or was cancelled, 6 if it isn't done in time."""
    with session.client() as client:
        finish(session, wait_for(client, operation, tenant=tenant, seconds=at_most or None))


@operations.command("cancel")
@calling
def cancel_operation(session: Session, operation: OperationArgument, tenant: TenantOption = "-") -> None:
    """Ask an operation to stop; what it has done stands."""
    with session.client() as client:
        client.cancel_operation(operation, tenant=tenant)
    session.done(f"asked {operation} to stop", cancelled=operation)


@operations.command("delete")
@calling
def delete_operation(session: Session, operation: OperationArgument, tenant: TenantOption = "-") -> None:
    """Forget a finished operation; they go by themselves after some days."""
    with session.client() as client:
        client.delete_operation(operation, tenant=tenant)
    session.done(f"deleted {operation}", deleted=operation)


def follow(session: Session, client: Client, started: Operation, *, wait: bool) -> Operation:
    """Wait for an operation and tell its end, or tell its name; return it as it was seen last."""
    if wait and not started.done:
        sys.stderr.write(f"{started.name}\n")
        started = wait_for(client, started.name)
    if started.done:
        finish(session, started)
    else:
        show(session, started)
    return started


def wait_for(client: Client, operation: str, *, tenant: str = "-", seconds: float | None = None) -> Operation:
    """Wait for an operation, with its progress on stderr if that is a terminal."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
        TextColumn("{task.fields[count]}"), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=None, count="")
        return client.wait_operation(
            operation, tenant=tenant, timeout=seconds, poll=1.0, watch=lambda seen: _advance(progress, bar, seen)
        )


def _advance(progress: Progress, bar: Any, seen: Operation) -> None:
    """Show how far an operation is: in bytes if those are known, else in documents."""
    told = seen.metadata
    total, done = (told.total_bytes, told.done_bytes) if told.total_bytes else (told.total, told.done)
    failed = f", {told.failed:,} failed" if told.failed else ""
    count = f"{told.done:,} documents{failed}"
    progress.update(bar, description=seen.state, total=total or None, completed=done, count=count)


def finish(session: Session, operation: Operation) -> None:
    """Tell the end of an operation. Raises `Failure` if it isn't a good one."""
    if not operation.done:
        show(session, operation)
        raise Failure("NOT_DONE", f"{operation.name} is {operation.state}", "wait for it again", 6)
    if operation.error is not None:
        if session.as_json:
            print_json(as_json(operation))
        failure = failure_of(operation.error)
        raise Failure(failure.reason, failure.message, f"see `pinakes operations get {operation.operation_id}`", 1)
    show(session, operation)


def show(session: Session, operation: Operation) -> None:
    """Print an operation."""
    if session.as_json:
        print_json(as_json(operation))
        return
    told = operation.metadata
    rows = [
        ("operation", operation.name),
        ("verb", told.verb),
        ("collection" if "/collections/" in told.target else "tenant", told.target),
        ("state", operation.state),
        ("done", f"{told.done:,} of {told.total:,}" if told.total else f"{told.done:,}" if told.done else ""),
        ("failed", f"{told.failed:,}" if told.failed else ""),
        ("created", told.create_time.ToJsonString()),
        ("ended", told.end_time.ToJsonString() if told.HasField("end_time") else ""),
        ("result", _told(operation.response)),
        ("error", str(operation.error) if operation.error else ""),
    ]
    session.show(told, rows)
    for failure in told.failures:
        sys.stderr.write(f"{failure.line}: {failure.reason}: {printable(failure.message)}\n")


def as_json(operation: Operation) -> dict[str, Any]:
    """Return an operation as JSON has it."""
    made: dict[str, Any] = {"name": operation.name, "done": operation.done, "metadata": plain(operation.metadata)}
    if operation.response is not None:
        made["response"] = plain(operation.response)
    if operation.error is not None:
        made["error"] = {"reason": operation.error.reason, "message": operation.error.message}
    return made


def _show_sample(session: Session, operation: Operation) -> None:
    found = operation.result()
    if session.as_json or not isinstance(found, PurgeDocumentsResponse):
        print_json(as_json(operation))
        return
    for name in found.purge_sample:
        sys.stdout.write(f"{name}\n")
    more = "; the first of them are above" if found.purge_count > len(found.purge_sample) else ""
    sys.stderr.write(f"{found.purge_count:,} documents match{more}; --force deletes them\n")


def _told(response: Message | None) -> str:
    """Return a response in words, as far as it is a known one."""
    if isinstance(response, PurgeDocumentsResponse):
        return f"{response.purge_count:,} documents deleted"
    if isinstance(response, ReindexCollectionResponse):
        return f"{response.reindexed_count:,} documents indexed anew"
    if isinstance(response, EraseTenantResponse):
        return "everything is removed; `pinakes tenants receipt` has the receipt"
    if response is None:
        return ""
    return ", ".join(f"{name} {value}" for name, value in plain(response).items() if not isinstance(value, list | dict))


def _row(one: Operation) -> tuple[str, ...]:
    told = one.metadata
    done = f"{told.done:,}/{told.total:,}" if told.total else f"{told.done:,}"
    return one.operation_id, told.verb, one.state, done, f"{told.failed:,}", told.create_time.ToJsonString()
