# SPDX-License-Identifier: Apache-2.0
"""Finding through Envoy as people do it: the command, and both clients, with every option and call of SearchService."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pinakes.client import Client, InvalidArgument, document, search_request
from pinakes.v1 import search_pb2
from pinakes.v1.search_pb2 import ExplainDocumentResponse, SearchResponse

Run = Callable[..., "subprocess.CompletedProcess[str]"]
BOOKS = [
    ("iliad", "The Iliad", "Sing, goddess, the anger of Achilles.", ["epic"], "poem", 5, "2026-01-05T00:00:00Z"),
    ("odyssey", "The Odyssey", "Tell me, Muse, of the man of many ways.", ["epic"], "poem", 20, "2026-01-09T00:00:00Z"),
    ("elements", "The Elements", "A point is that which has no part. <b>", ["proof"], "treatise", 8, "2026-02-01T00:00:00Z"),
    ("conics", "The Conics", "Sections of a cone by Apollonius.", ["proof"], "treatise", 30, "2026-03-01T00:00:00Z"),
]  # fmt: skip


@pytest.fixture(scope="module")
def key(platform: Any) -> Iterator[str]:
    """Make a tenant with a collection of books, and delete it afterwards."""
    tenant = f"find-{secrets.token_hex(4)}"
    with Client(platform.endpoint, key=platform.admin_key) as admin:
        admin.create_tenant(tenant)
        secret = admin.create_key("service", tenant=tenant).secret
        with Client(platform.endpoint, key=secret) as client:
            definitions = ["kind:string:sortable", "price:number:sortable", "published:time:sortable"]
            client.create_collection("books", attributes=definitions)
            documents = [
                document(key, title=title, body=body, tags=tags, attributes={"kind": kind, "price": price, "published": when})
                for key, title, body, tags, kind, price, when in BOOKS
            ]  # fmt: skip
            client.batch_write(documents, collection="books", mode="searchable")
        yield secret
        admin.delete_tenant(tenant)


@pytest.fixture
def client(platform: Any, key: str) -> Iterator[Client]:
    """Give the blocking client, whose methods are those of the asynchronous one."""
    with Client(platform.endpoint, key=key, timeout=20) as opened:
        yield opened


@pytest.fixture(scope="module")
def run(platform: Any, key: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs the command in the collection of books."""
    config = tmp_path_factory.mktemp("config")

    def running(*arguments: str, text: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "XDG_CONFIG_HOME": str(config),
            "PINAKES_ENDPOINT": platform.endpoint,
            "PINAKES_API_KEY": key,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "COLUMNS": "200",
        }
        command = [sys.executable, "-m", "pinakes.cli", *arguments, "-c", "books"]
        done = subprocess.run(
            command, env=environment, input=text, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, done.stderr
        return done

    return running


def ids(answer: SearchResponse) -> list[str]:
    """Return the ids of the results in order."""
    return [result.document.name.rpartition("/")[2] for result in answer.results]


# ---- the client


def test_every_rpc_of_search_has_a_method_of_the_client() -> None:
    for method in search_pb2.DESCRIPTOR.services_by_name["SearchService"].methods:
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in method.name).lstrip("_")
        assert callable(getattr(Client, name)), method.name


def test_a_search_with_everything(client: Client) -> None:
    found = client.search(
        "the", collection="books", facets=["kind", "price:0..10,10..", "published:month", "tags"],
        highlight=["title", "body"], matching="all", typos=False, ranking={"title": 5}, languages=["en"], explain=True,
        order_by="attributes.price", read_mask=["title"],
    )  # fmt: skip
    assert ids(found) == ["iliad", "elements", "odyssey", "conics"]
    counted = {
        facet.field: {bucket.value or getattr(bucket, "from"): bucket.count for bucket in facet.buckets}
        for facet in found.facets
    }
    assert counted["attributes.kind"] == {"poem": 2, "treatise": 2}
    assert counted["tags"] == {"epic": 2, "proof": 2}
    assert sum(counted["attributes.price"].values()) == 4
    assert list(counted["attributes.published"].values()) == [2, 1, 1]
    assert any(
        "<mark>" in text for result in found.results for passages in result.highlights for text in passages.texts
    )
    assert all(result.reasons for result in found.results)
    assert len(client.search("the", collection="books", collapse="kind").results) == 2
    with pytest.raises(ValueError, match="matching is most, all or any"):
        client.search("x", matching="some")
    with pytest.raises(ValueError, match="after the colon"):
        client.search("x", facets=["price:lots"])
    with pytest.raises(ValueError, match="ranking"):
        client.search("x", ranking={"titel": 5})


def test_a_batch_has_an_outcome_each(client: Client) -> None:
    found = client.batch_search(
        [{"query": "iliad"}, search_request("", filter="nonsense = 1"), {"query": "", "page_size": 3}],
        collection="books",
    )
    assert isinstance(found[0], SearchResponse)
    assert ids(found[0]) == ["iliad"]
    assert isinstance(found[1], InvalidArgument)
    assert found[1].violations[0].field == "filter"
    assert isinstance(found[2], SearchResponse)
    assert (len(found[2].results), found[2].total_size) == (3, 4)
    assert found[0].search_id


def test_counts_suggestions_and_explanations(client: Client) -> None:
    assert client.count_documents("the", filter="attributes.price > 6", collection="books").total_size == 3
    suggested = client.suggest("il", kinds=["title", "term"], collection="books")
    assert [title.title for title in suggested.titles] == ["The Iliad"]
    assert [term.text for term in suggested.terms] == ["iliad"]
    verdicts = ExplainDocumentResponse.Verdict
    found = client.explain_document("iliad", "iliad", collection="books")
    assert (found.verdict, found.position) == (verdicts.VERDICT_FOUND, 1)
    assert client.explain_document("conics", "iliad", collection="books").verdict == verdicts.VERDICT_QUERY
    assert (
        client.explain_document("iliad", "iliad", collection="books", filter="tags:proof").verdict
        == verdicts.VERDICT_FILTER
    )


def test_search_all_takes_the_same_options(client: Client) -> None:
    found = list(client.search_all("the", collection="books", filter="tags:epic", order_by="attributes.price desc"))
    assert [result.document.title for result in found] == ["The Odyssey", "The Iliad"]


# ---- the command


def test_the_command_searches_with_facets_passages_and_reasons(run: Run) -> None:
    done = run("search", "anger", "--facet", "kind", "--facet", "price:0..10,10..", "--highlight", "--explain")
    assert "The Iliad" in done.stdout
    assert "**anger**" in done.stdout
    assert "    + " in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["KIND", "DOCUMENTS"] in lines
    assert ["poem", "1"] in lines
    assert ["0..10", "1"] in lines
    as_json = json.loads(run("search", "the", "--facet", "kind", "--highlight", "--json", "--limit", "3").stdout)
    assert len(as_json["results"]) == 3
    assert as_json["facets"][0]["field"] == "attributes.kind"
    assert as_json["next_page_token"]
    assert as_json["search_id"]
    few = json.loads(
        run("search", "iliad anger nonsense", "--matching", "any", "--no-typos", "--collapse", "kind", "--json").stdout
    )
    assert len(few["results"]) == 1


def test_the_command_counts_suggests_and_explains(run: Run) -> None:
    assert run("count", "the", "--filter", "tags:epic").stdout == "2\n"
    assert json.loads(run("count", "nothing", "--json").stdout)["total_size"] == "0"
    assert "The Odyssey" in run("suggest", "odys").stdout
    assert json.loads(run("suggest", "odys", "--kind", "term", "--json").stdout)["terms"][0]["text"] == "odyssey"
    assert run("explain", "iliad", "anger").stdout
    assert json.loads(run("explain", "conics", "anger", "--json").stdout)["verdict"] == "VERDICT_QUERY"
    assert "an event" not in run("suggest", "x", "--kind", "nonsense", code=2).stdout


def test_settings_are_printed_set_and_changed_by_the_command(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"stop_words": ["the"], "synonyms": [{"words": ["rage", "anger"]}]}))
    run("settings", "set", str(file))
    assert json.loads(run("settings", "get").stdout) == json.loads(file.read_text())
    run("settings", "pin", "Greek books", "conics", "iliad")
    run("settings", "hide", "greek  books", "odyssey")
    found = run("search", "greek books")
    assert [line.split()[2] for line in found.stdout.splitlines()[1:3]] == ["pinned", "pinned"]
    run("settings", "synonym", "cone", "pyramid", "--means", "section")
    held = json.loads(run("settings", "get", "--json").stdout)
    assert len(held["synonyms"]) == 2
    assert held["curations"][0] == {
        "query": "Greek books", "match": "MATCH_EXACT", "pins": ["conics", "iliad"], "hides": ["odyssey"]
    }  # fmt: skip
    run("settings", "remove-synonym", "cone")
    run("settings", "uncurate", "greek books")
    assert json.loads(run("settings", "get").stdout) == json.loads(file.read_text())
    run("settings", "uncurate", "greek books", code=2)
    run("settings", "set", "-", text="{}")
    assert json.loads(run("settings", "get").stdout) == {}
    wrong = run("settings", "pin", "x", "a b", code=1)
    assert "search.curations[0].pins[0]" in wrong.stderr
    assert "FILE_UNREADABLE" in run("settings", "set", "-", text='{"stopwords": []}', code=1).stderr


def test_insights_are_told_by_the_command(run: Run, client: Client) -> None:
    found = client.search("wooden horse", collection="books")
    assert client.record_event(found.search_id, "iliad", position=1, collection="books")
    end = time.monotonic() + 40
    while "wooden horse" not in (done := run("insights")).stdout:
        assert time.monotonic() < end, done.stdout + done.stderr
        time.sleep(1)
    assert "kept for 30 days" in done.stderr
    told = json.loads(run("insights", "--json").stdout)
    assert "wooden horse" in {query["query"] for query in told["top_queries"]}
    assert "wooden horse" in run("insights", "--show", "without-results").stdout
    run("insights", "--show", "nonsense", code=2)
