# SPDX-License-Identifier: Apache-2.0
"""The demo's tour: searches of every kind through Envoy, one by curl, and proof that tenants see only their own."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pinakes.client import AsyncClient, PermissionDenied, scoped_token
from pinakes.demo.access import COLLECTION, PACKAGES, PYTHON
from pinakes.v1 import search_pb2

QUERY = "parse command line arguments"


async def tour(console: Console, endpoint: str, keys: dict[str, str]) -> bool:
    """Show everything; return whether each tenant saw only its own."""
    async with (
        AsyncClient(endpoint, key=keys[PYTHON.tenant]) as python,
        AsyncClient(endpoint, key=keys[PACKAGES.tenant]) as packages,
    ):
        await _searches(console, python)
        await curl(console, endpoint, keys[PACKAGES.tenant])
        apart = await isolation(console, python, packages)
        return await narrowed(console, endpoint, python, keys[PYTHON.tenant]) and apart


async def _searches(console: Console, client: AsyncClient) -> None:
    """Search ranked, filtered, ordered and page by page."""
    answer = await client.search(QUERY, collection=COLLECTION, page_size=5)
    show(console, f"ranked: [b]{QUERY}[/b]", answer)
    condition = 'attributes.kind = "class" AND attributes.public = true AND attributes.words > 50'
    answer = await client.search("queue", collection=COLLECTION, filter=condition, page_size=5)
    show(console, f"filtered: [b]queue[/b] where {escape(condition)}", answer)
    order = "attributes.words desc"
    answer = await client.search("asyncio", collection=COLLECTION, order_by=order, page_size=5)
    show(console, f"ordered: [b]asyncio[/b] by {order}", answer)
    token = ""
    for page in range(1, 4):
        answer = await client.search("socket", collection=COLLECTION, page_size=3, page_token=token)
        show(console, f"paged: [b]socket[/b], page {page} of 3 results", answer)
        token = answer.next_page_token
        if not token:
            break


def show(console: Console, title: str, answer: search_pb2.SearchResponse) -> None:
    """Print one page of results."""
    more = "+" if answer.total_size_capped else ""
    took = answer.took.ToTimedelta().total_seconds() * 1e3
    printed = Table(title=f"{title} - {answer.total_size:,}{more} found in {took:.1f} ms", title_justify="left")
    printed.add_column("score", justify="right", min_width=5)
    printed.add_column("title", overflow="ellipsis", no_wrap=True, max_width=60)
    printed.add_column("tags", overflow="ellipsis", no_wrap=True, max_width=40)
    for result in answer.results:
        score = f"{result.score:.2f}" if result.score else ""
        printed.add_row(score, escape(result.document.title), escape(", ".join(result.document.tags)))
    console.print(printed)


async def curl(console: Console, endpoint: str, key: str) -> None:
    """Search over JSON by curl itself. The key goes in by its standard input, where no process list shows it."""
    query = {
        "query": "http client",
        "filter": "attributes.typed = true",
        "pageSize": 3,
        "readMask": "title,attributes",
    }
    address = f"http://{endpoint}/v1/tenants/-/collections/{COLLECTION}:search"
    command = ["curl", "-sS", "--fail-with-body", "--max-time", "20", "-H", "@-", "-d", json.dumps(query), address]
    # What a person would type: the key as a variable of the shell, which needs the double quotes.
    shown = f'{shlex.join(command[:5])} -H "authorization: Bearer $KEY" {shlex.join(command[7:])}'
    console.print(f"\n[b]JSON by curl[/b]\n$ {escape(shown)}", soft_wrap=True)
    if shutil.which(command[0]) is None:
        console.print("curl isn't installed here; any HTTP client will do.")
        return
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    headers = f"authorization: Bearer {key}\ncontent-type: application/json\n"
    output, _ = await process.communicate(headers.encode())
    text = output.decode("utf-8", "replace")
    if process.returncode:
        message = f"curl answered {process.returncode}: {text}"
        raise RuntimeError(message)
    console.print_json(text)


async def isolation(console: Console, python: AsyncClient, packages: AsyncClient) -> bool:
    """Ask both tenants the same, and one for the other's documents by name; return whether both saw only their own."""
    console.print("\n[b]Each tenant sees only its own[/b]")
    seen: list[set[str]] = []
    for shelf, client in ((PYTHON, python), (PACKAGES, packages)):
        answer = await client.search("json", collection=COLLECTION, page_size=50)
        show_some = ", ".join(result.document.name.rpartition("/")[2] for result in answer.results[:4])
        console.print(f"  {shelf.tenant}: json -> {answer.total_size:,} found: {escape(show_some)} ...")
        seen.append({result.document.name.split("/")[1] for result in answer.results})
    # `tenants/-` may stand in names, so both forms are the tenant's own.
    own = seen[0] <= {PYTHON.tenant, "-"} and seen[1] <= {PACKAGES.tenant, "-"}
    try:
        await python.search("json", collection=COLLECTION, tenant=PACKAGES.tenant)
    except PermissionDenied as error:
        console.print(f"  {PYTHON.tenant} asks for tenants/{PACKAGES.tenant}: PERMISSION_DENIED, {escape(str(error))}")
    else:
        own = False
        console.print(f"  [red]{PYTHON.tenant} could search tenants/{PACKAGES.tenant}[/red]")
    return own


async def narrowed(console: Console, endpoint: str, whole: AsyncClient, key: str) -> bool:
    """Search by a key and by a token that its holder made of it alone; return whether the token sees less."""
    console.print("\n[b]A scoped token sees less than the key it is made of[/b]")
    condition = 'attributes.kind = "class"'
    token = scoped_token(key, expire=600, collections=[COLLECTION], filter=condition)
    every = (await whole.count_documents("json", collection=COLLECTION)).total_size
    async with AsyncClient(endpoint, key=token) as client:
        some = (await client.count_documents("json", collection=COLLECTION)).total_size
        console.print(f"  json: {every:,} by the key, {some:,} by a token for {escape(condition)}")
        try:
            await client.put_document({"id": "mine"}, collection=COLLECTION)
        except PermissionDenied as error:
            console.print(f"  a write with the token: PERMISSION_DENIED, {escape(str(error))}")
        else:
            return False
    return some < every


def by_hand(console: Console, endpoint: str, keys_file: Path) -> None:
    """Print how to go on by hand."""
    read_key = f'KEY=$(python3 -c \'import json; print(json.load(open("{keys_file}"))["keys"]["{PYTHON.tenant}"])\')'
    body = json.dumps({"parent": f"tenants/-/collections/{COLLECTION}", "query": QUERY, "page_size": 3})
    lines = [
        read_key,
        f"grpcurl -plaintext {endpoint} list",
        f"grpcurl -plaintext -H \"authorization: Bearer $KEY\" -d '{body}' {endpoint} pinakes.v1.SearchService/Search",
        "pinakes local status",
        "pinakes local down",
    ]
    console.print("\n[b]Go on by hand[/b] (the platform stays up)")
    for line in lines:
        console.print(f"  {line}", markup=False, soft_wrap=True)
