# SPDX-License-Identifier: Apache-2.0
"""`pinakes search`, `suggest`, `count`, `explain`, `insights`: what is found, why, and what is looked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.markup import escape

from pinakes.cli._session import (
    CollectionOption,
    Session,
    TenantOption,
    calling,
    console,
    plain,
    print_json,
    print_table,
    printable,
    usage,
)
from pinakes.client import SearchOptions, _names
from pinakes.v1.facets_pb2 import FacetResult
from pinakes.v1.insights_pb2 import QueryInsight
from pinakes.v1.search_pb2 import Highlight, Reason, SearchResponse, SearchResult
from pinakes.v1.suggest_pb2 import Correction

_PAGE = 50
_MARK = "**"
Query = Annotated[
    str,
    typer.Argument(help='Words, "phrases", -exclusions, beginnings*, title:words; empty finds all.', metavar="QUERY"),
]
Filter = Annotated[str, typer.Option("--filter", "-f", help='AIP-160: tags:asyncio AND attributes.kind = "function".')]
Fields = Annotated[
    str, typer.Option("--fields", help="Fields to read, separated by commas; `*` for all.", metavar="A,B")
]
Matching = Annotated[
    str, typer.Option("--matching", help="most, all or any of the words; else as the collection says.")
]
Typos = Annotated[
    bool | None,
    typer.Option("--typos/--no-typos", help="Whether typing errors are tolerated; else as the collection says."),
]
Language = Annotated[
    list[str], typer.Option("--language", help="A language in which the query is read.", metavar="CODE")
]
Collapse = Annotated[
    str, typer.Option("--collapse", help="Show only the best document of each value of it.", metavar="ATTRIBUTE")
]
NoCuration = Annotated[bool, typer.Option("--no-curation", help="Leave pins and hides aside.")]


@calling
def search(
    session: Session,
    query: Query = "",
    filter: Filter = "",
    order: Annotated[
        str, typer.Option("--order", "-o", help="`update_time desc, attributes.price`; else by relevance.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", help="Results at most.", min=1)] = 10,
    page_token: Annotated[str, typer.Option("--page-token", help="Go on after the page that ended with it.")] = "",
    fields: Fields = "",
    matching: Matching = "",
    typos: Typos = None,
    language: Language = [],  # noqa: B006 - typer copies it
    facet: Annotated[
        list[str],
        typer.Option(
            "--facet", help="Count values: kind, price:0..10,10.., price:5, create_time:month.", metavar="FACET"
        ),
    ] = [],  # noqa: B006 - typer copies it
    highlight: Annotated[bool, typer.Option("--highlight", help="Show passages with the words found.")] = False,
    collapse: Collapse = "",
    explain: Annotated[bool, typer.Option("--explain", help="Say of every result why it is there.")] = False,
    no_curation: NoCuration = False,
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Search the documents of a collection."""
    options = SearchOptions(
        filter=filter, order_by=order, read_mask=[fields] if fields else (), matching=matching, typos=typos,
        languages=language, facets=facet, collapse=collapse, explain=explain, without_curation=no_curation,
    )  # fmt: skip
    if highlight:
        options["highlight"] = Highlight() if session.as_json else Highlight(plain=True, before=_MARK, after=_MARK)
    first: SearchResponse | None = None
    found = SearchResponse(next_page_token=page_token)
    results: list[SearchResult] = []
    with session.client() as client:
        # The page size is what is asked for, so that the token of the last page goes on exactly where this ends.
        while len(results) < limit:
            found = client.search(
                query,
                collection=collection,
                tenant=tenant,
                page_size=min(limit - len(results), _PAGE),
                page_token=found.next_page_token,
                **options,
            )
            first = first or found
            results += found.results
            if not found.next_page_token or not found.results:
                break
    first = first or found
    if session.as_json:
        # Facets, correction and the id are the first page's; where to go on is the last one's.
        answer = plain(first) | {"results": [plain(result) for result in results]}
        answer.pop("next_page_token", None)
        token = {"next_page_token": found.next_page_token} if found.next_page_token else {}
        print_json({"total_size": "0"} | answer | token)
        return
    _print_results(results, at_length=highlight or explain)
    for counted in first.facets:
        _print_facet(counted)
    total = f"{'more than ' if found.total_size_capped else ''}{found.total_size:,}"
    sys.stderr.write(f"{len(results)} of {total} documents, {found.took.ToMilliseconds()} ms\n")
    if found.coverage.reason:
        sys.stderr.write(f"not all was searched: {found.coverage.reason}\n")
    if first.HasField("correction"):
        sys.stderr.write(f"did you mean: {_correction(first.correction)}\n")
    if found.next_page_token:
        sys.stderr.write(f"go on with --page-token {found.next_page_token}\n")


@calling
def suggest(
    session: Session,
    query: Annotated[str, typer.Argument(help="What was typed so far.", metavar="QUERY")],
    kind: Annotated[
        list[str], typer.Option("--kind", help="title, term, correction or related; else titles and terms.")
    ] = [],  # noqa: B006 - typer copies it
    limit: Annotated[int, typer.Option("--limit", "-n", help="Suggestions of each kind at most.", min=1, max=20)] = 5,
    filter: Filter = "",
    typos: Typos = None,
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Suggest titles, queries and corrections for what was typed so far."""
    with session.client() as client:
        found = client.suggest(
            query, kinds=kind, limit=limit, filter=filter, typos=typos, collection=collection, tenant=tenant
        )
    if session.as_json:
        print_json(plain(found))
        return
    rows = [("title", title.title, _names.last(title.document)) for title in found.titles]
    rows += [("term", term.text, f"{term.count:,}") for term in found.terms]
    rows += [("related", term.text, f"{term.count:,}") for term in found.related]
    if found.HasField("correction"):
        rows.append(("correction", found.correction.query, f"{found.correction.total_size:,}"))
    if rows:
        print_table(("KIND", "SUGGESTION", "DOCUMENTS"), rows)
    else:
        sys.stderr.write("nothing to suggest\n")


@calling
def count(
    session: Session,
    query: Query = "",
    filter: Filter = "",
    matching: Matching = "",
    typos: Typos = None,
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Count the documents that a search finds, all of them."""
    with session.client() as client:
        found = client.count_documents(
            query, filter=filter, matching=matching, typos=typos, collection=collection, tenant=tenant
        )
    if session.as_json:
        print_json({"total_size": "0"} | plain(found))
        return
    sys.stdout.write(f"{found.total_size}\n")
    if found.coverage.reason:
        sys.stderr.write(f"not all was searched: {found.coverage.reason}\n")


@calling
def explain(
    session: Session,
    document: Annotated[str, typer.Argument(help="Id of the document.", metavar="DOCUMENT")],
    query: Query = "",
    filter: Filter = "",
    matching: Matching = "",
    typos: Typos = None,
    language: Language = [],  # noqa: B006 - typer copies it
    collapse: Collapse = "",
    no_curation: NoCuration = False,
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Say why a document is in the result of a search, or why it isn't."""
    with session.client() as client:
        found = client.explain_document(
            document, query, collection=collection, tenant=tenant, filter=filter, matching=matching, typos=typos,
            languages=language, collapse=collapse, without_curation=no_curation,
        )  # fmt: skip
    if session.as_json:
        print_json(plain(found))
        return
    console().print(escape(printable(found.text)), soft_wrap=True)
    for line in _reasons(found.reasons):
        console().print(line, soft_wrap=True)
    if found.position:
        sys.stderr.write(f"result {found.position:,}, score {found.score:.3f}\n")


@calling
def insights(
    session: Session,
    since: Annotated[str, typer.Option("--since", help="From when on, RFC 3339.", metavar="TIME")] = "",
    until: Annotated[str, typer.Option("--until", help="Until when, RFC 3339.", metavar="TIME")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", help="Queries in each list at most.", min=1, max=100)] = 10,
    show: Annotated[str, typer.Option("--show", help="top, without-results or slow.")] = "top",
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Tell what is looked for, what isn't found and what is slow."""
    lists = {"top": "top_queries", "without-results": "queries_without_results", "slow": "slow_queries"}
    if show not in lists:
        raise usage(f"--show {show}: not {', '.join(lists)}")
    with session.client() as client:
        found = client.get_search_insights(
            start_time=since or None, end_time=until or None, limit=limit, collection=collection, tenant=tenant
        )
    if session.as_json:
        print_json(plain(found))
        return
    queries: Iterable[QueryInsight] = getattr(found, lists[show])
    if rows := [_insight_row(query) for query in queries]:
        print_table(("QUERY", "SEARCHES", "WITHOUT RESULTS", "CLICKS", "POSITION", "CONVERSIONS", "P95"), rows)
    sys.stderr.write(
        f"{found.searches:,} searches, {found.without_results:,} without results, {found.clicks:,} clicks, "
        f"{found.conversions:,} conversions; kept for {found.retention.ToTimedelta().days} days\n"
    )


def _print_results(results: list[SearchResult], *, at_length: bool) -> None:
    """Print results as a table, or each with its passages and reasons."""
    if not at_length:
        if results:
            print_table(("TITLE", "SCORE", "ID", "TAGS"), [_row(result) for result in results])
        return
    target = console()
    for result in results:
        title, *rest = _row(result)
        told = " ".join(part for part in rest if part)
        target.print(f"[bold]{escape(printable(title))}[/bold]  {escape(printable(told))}", soft_wrap=True)
        for passages in result.highlights:
            for text in passages.texts:
                words = " ".join(printable(text).split())
                target.print(f"    [dim]{escape(passages.field)}:[/dim] {escape(words)}", soft_wrap=True)
        for line in _reasons(result.reasons):
            target.print(line, soft_wrap=True)


def _reasons(reasons: Iterable[Reason]) -> list[str]:
    return [f"    {'+' if reason.matches else '-'} {escape(printable(reason.text))}" for reason in reasons]


def _print_facet(counted: FacetResult) -> None:
    name = counted.field.removeprefix("attributes.").upper()
    rows = [(_bucket(bucket), f"{bucket.count:,}") for bucket in counted.buckets]
    if counted.other_count:
        rows.append(("others", f"{counted.other_count:,}"))
    sys.stdout.write("\n")
    print_table((name, "DOCUMENTS"), rows)


def _bucket(bucket: Any) -> str:
    lower = getattr(bucket, "from")
    value: str = bucket.value
    return value or f"{lower}..{bucket.to}"


def _correction(correction: Correction) -> str:
    return f"{printable(correction.query)} ({correction.total_size:,} documents)"


def _row(result: SearchResult) -> tuple[str, str, str, str]:
    document = result.document
    score = "pinned" if result.pinned else (f"{result.score:.3f}" if result.score else "")
    return " ".join(document.title.split()), score, _names.last(document.name), ", ".join(document.tags)


def _insight_row(query: QueryInsight) -> tuple[str, ...]:
    return (
        query.query,
        f"{query.searches:,}",
        f"{query.without_results:,}",
        f"{query.clicks:,}",
        f"{query.mean_click_position:.1f}" if query.mean_click_position else "",
        f"{query.conversions:,}",
        f"{query.p95_took.ToMicroseconds() / 1000:.1f} ms",
    )
