# SPDX-License-Identifier: Apache-2.0
"""The command: profiles, exit codes, one line for an error, import's account of rows."""

from __future__ import annotations

import gzip
import io
import json
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from pinakes.cli import _profiles, main
from pinakes.cli._failures import Failure
from pinakes.cli._session import printable
from pinakes.v1 import index_pb2, search_pb2
from pinakes.v1.resources_pb2 import Document
from tests.integration.clients._scripted_server import Scripted, refuse, status, write_all


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's own configuration and platform out of the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PINAKES_HOME", str(tmp_path / "home"))
    for name in ("PINAKES_ENDPOINT", "PINAKES_API_KEY", "PINAKES_PROFILE", "PINAKES_CA_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the command and returns its exit code, stdout and stderr."""

    def running(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pinakes", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out = capsys.readouterr()
        return int(ended.value.code or 0), out.out, out.err

    return running


def test_a_profile_is_kept_in_a_file_only_its_owner_reads(run: Any) -> None:
    assert run("profile", "set", "prod", "--endpoint", "search.example.com:443", "--key", 'pk_abc_"secret')[0] == 0
    assert stat.S_IMODE(_profiles.path().stat().st_mode) == 0o600
    found = _profiles.resolve()
    assert (found.endpoint, found.key) == ("search.example.com:443", 'pk_abc_"secret')
    code, out, _ = run("profile", "list", "--json")
    assert code == 0
    assert "secret" not in out


def test_the_environment_overrides_the_profile_and_an_option_both(monkeypatch: pytest.MonkeyPatch) -> None:
    _profiles.save(_profiles.Config("a", {"a": _profiles.Profile("one:1", "k1")}))
    monkeypatch.setenv("PINAKES_ENDPOINT", "two:2")
    assert _profiles.resolve().endpoint == "two:2"
    assert _profiles.resolve().key == "k1"
    monkeypatch.setenv("PINAKES_API_KEY", "k2")
    assert _profiles.resolve().key == "k2"
    assert _profiles.resolve(endpoint="three:3").endpoint == "three:3"
    with pytest.raises(Failure, match="no profile b"):
        _profiles.resolve("b")


def test_nothing_to_call_is_wrong_usage_with_advice(run: Any) -> None:
    code, _, err = run("search", "x")
    assert code == 2
    assert err.startswith("pinakes: NO_ENDPOINT: ")
    assert "pinakes profile set" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("refusal", "code"),
    [("NOT_FOUND", 4), ("PERMISSION_DENIED", 5), ("UNAUTHENTICATED", 5), ("UNAVAILABLE", 6), ("ABORTED", 1)],
)
def test_an_error_is_one_line_and_an_exit_code(run: Any, scripted: Scripted, refusal: str, code: int) -> None:
    told = status(grpc.StatusCode[refusal], "SOME_REASON", "what\nhappened")
    scripted.answers["IndexService/UpdateDocument"] = lambda _, context: refuse(context, told) or Document()
    got, _, err = run("put", "a", "--title", "T", "--endpoint", scripted.endpoint)
    assert got == code
    assert err.startswith("pinakes: SOME_REASON: what happened — ")
    assert err.count("\n") == 1


def test_search_prints_a_table_or_json(run: Any, scripted: Scripted) -> None:
    document = Document(name="tenants/t-1/collections/default/documents/a", title="[red]T\x1b[0m", tags=["x", "y"])
    result = search_pb2.SearchResult(document=document, score=1.5)
    answer = search_pb2.SearchResponse(results=[result], total_size=1)
    scripted.answers["SearchService/Search"] = lambda *_: answer
    code, out, err = run("search", "q", "--filter", "tags:x", "--endpoint", scripted.endpoint)
    assert code == 0
    assert out.splitlines()[0].split() == ["TITLE", "SCORE", "ID", "TAGS"]
    assert "[red]T\ufffd[0m" in out
    assert "1 of 1 documents" in err
    assert scripted.requests[0].filter == "tags:x"
    code, out, _ = run("search", "q", "--json", "--endpoint", scripted.endpoint)
    assert json.loads(out)["results"][0]["score"] == 1.5


def rejects_b(request: index_pb2.BatchWriteDocumentsRequest, context: grpc.ServicerContext) -> Any:
    """Take every document but `b`."""
    response: Any = write_all(request, context)
    for result in response.results:
        if result.name.endswith("/b"):
            told = status(grpc.StatusCode.INVALID_ARGUMENT, "TITLE_TOO_LONG", "title is too long")
            result.CopyFrom(index_pb2.WriteResult(name=result.name, outcome="OUTCOME_REJECTED", status=told))
    return response


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_import_tells_each_bad_line_and_keeps_it(run: Any, scripted: Scripted, tmp_path: Path, suffix: str) -> None:
    scripted.answers["IndexService/BatchWriteDocuments"] = rejects_b
    lines = [b'{"id": "a"}', b"{oops", b"", b'{"id": "b"}', b"[]", b'{"id": "c"}', b'{"title": "x"}', b'{"id": "\xff"}']
    content = b"\n".join(lines)
    file = tmp_path / f"docs{suffix}"
    file.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    code, out, err = run("import", str(file), "--endpoint", scripted.endpoint, "--json")
    assert code == 3
    told = json.loads(out)
    assert (told["written"], told["failed"]) == (2, 5)
    failed = [json.loads(line) for line in (tmp_path / "docs.failed.jsonl").read_text().splitlines()]
    assert {row["line"]: row["reason"] for row in failed} == {
        2: "INVALID_JSON", 4: "TITLE_TOO_LONG", 5: "INVALID_JSON", 7: "INVALID_JSON", 8: "INVALID_JSON",
    }  # fmt: skip
    assert {row["line"]: row["document"] for row in failed}[4] == {"id": "b"}
    assert "pinakes: line 4: TITLE_TOO_LONG: title is too long" in err


def test_import_reads_stdin(run: Any, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted.answers["IndexService/BatchWriteDocuments"] = write_all
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"id": "a"}\n{"id": "b"}\n')))
    code, out, _ = run("import", "-", "--endpoint", scripted.endpoint)
    assert code == 0
    assert out.startswith("2 documents written")


def test_a_missing_file_is_told_with_its_path(run: Any, scripted: Scripted) -> None:
    code, _, err = run("import", "nowhere.jsonl", "--endpoint", scripted.endpoint)
    assert code == 1
    assert "nowhere.jsonl" in err


def test_a_part_that_is_not_installed_names_its_extra(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pinakes.local.cli", None)
    code, _, err = run("local", "up")
    assert code == 1
    assert "pip install 'pinakes[local]'" in err


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b]0;x\x07b\n") == "a\ufffd]0;x\ufffdb\n"


def test_a_local_platform_is_called_when_nothing_else_is_said(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as envoy:
        port = envoy.getsockname()[1]
        started = {"pid": 1, "created": 0.0, "fingerprint": ""}
        state = {
            "ports": {"envoy": port},
            "secret_key": "s",
            "bootstrap_admin_key": "pk_bootstrap_x",
            "processes": {"envoy": started},
        }
        (home / "state.json").write_text(json.dumps(state))
        found = _profiles.resolve()
    assert (found.endpoint, found.key) == (f"127.0.0.1:{port}", "pk_bootstrap_x")
