# SPDX-License-Identifier: Apache-2.0
"""The `pinakes` command through Envoy, as a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run(platform: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs the command; `key` is the administrator's unless told."""
    config = tmp_path_factory.mktemp("config")

    def running(*arguments: str, key: str = platform.admin_key, text: str = "") -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "XDG_CONFIG_HOME": str(config),
            "PINAKES_ENDPOINT": platform.endpoint,
            "PINAKES_API_KEY": key,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "COLUMNS": "200",
        }
        command = [sys.executable, "-m", "pinakes.cli", *arguments]
        return subprocess.run(
            command, env=environment, input=text, capture_output=True, text=True, timeout=60, check=False
        )

    return running


@pytest.fixture(scope="module")
def key(run: Run) -> Iterator[str]:
    """Create a tenant and a key of it by the command, and delete the tenant afterwards."""
    tenant = f"cli-{secrets.token_hex(4)}"
    created = run("tenants", "create", tenant, "--display-name", "CLI tests", "--json")
    assert created.returncode == 0, created.stderr
    assert json.loads(created.stdout)["name"] == f"tenants/{tenant}"
    made = run("keys", "create", "--tenant", tenant, "--role", "service", "--json")
    key_id = json.loads(made.stdout)["api_key"]["name"].rpartition("/")[2]
    changed = run("keys", "update", key_id, "--tenant", tenant, "--display-name", "tests", "--limit", "burst=5000")
    assert changed.returncode == 0, changed.stderr
    assert "burst 5000" in changed.stdout
    assert run("keys", "update", key_id, "--tenant", tenant).returncode == 2
    yield json.loads(made.stdout)["secret"]
    assert run("tenants", "delete", tenant).returncode == 0
    assert json.loads(run("tenants", "get", tenant, "--json").stdout)["state"] == "STATE_DELETED"


def test_a_file_is_imported_and_its_bad_rows_are_told(run: Run, key: str, tmp_path: Path) -> None:
    assert run("collections", "create", "books", "-a", "year:number:sortable", key=key).returncode == 0
    file = tmp_path / "books.jsonl"
    rows = [
        {"id": f"b{n}", "title": f"Book {n}", "tags": ["novel"], "attributes": {"year": 1900 + n}} for n in range(30)
    ]
    rows.append({"id": "bad", "title": "x" * 2000})
    file.write_text("\n".join(map(json.dumps, rows)) + "\n{not json\n")
    imported = run("import", str(file), "-c", "books", "--mode", "searchable", key=key)
    assert imported.returncode == 3, imported.stderr
    failed = [json.loads(line) for line in (tmp_path / "books.failed.jsonl").read_text().splitlines()]
    assert {row["line"] for row in failed} == {31, 32}
    found = run(
        "search",
        "book",
        "-c",
        "books",
        "--filter",
        "attributes.year >= 1925",
        "--order",
        "attributes.year",
        "--json",
        key=key,
    )
    titles = [result["document"]["title"] for result in json.loads(found.stdout)["results"]]
    assert titles == [f"Book {n}" for n in range(25, 30)]
    table = run("search", "book", "-c", "books", "--limit", "3", key=key)
    assert table.stdout.splitlines()[0].split() == ["TITLE", "SCORE", "ID", "TAGS"]
    assert len(table.stdout.splitlines()) == 4


def test_a_document_is_put_got_and_deleted(run: Run, key: str) -> None:
    assert run("put", "a", "--title", "First", "--body", "-", "--tag", "x", key=key, text="from stdin").returncode == 0
    got = json.loads(run("get", "a", "--json", key=key).stdout)
    assert (got["title"], got["body"], got["tags"]) == ("First", "from stdin", ["x"])
    assert run("delete", "a", key=key).returncode == 0
    missing = run("get", "a", key=key)
    assert missing.returncode == 4
    assert missing.stderr.startswith("pinakes: DOCUMENT_NOT_FOUND: ")
    assert missing.stderr.count("\n") == 1


def test_exit_codes_tell_denied_wrong_and_unreachable_apart(run: Run, key: str) -> None:
    assert run("tenants", "list", key=key).returncode == 5
    assert run("search", "x", key="pk_wrong_key").returncode == 5
    assert run("search", "x", "--filter", "tags:", key=key).returncode == 1
    assert run("search", "x", "--endpoint", "127.0.0.1:1", "--timeout", "2", key=key).returncode == 6
    assert run("search", "--bogus", key=key).returncode == 2
