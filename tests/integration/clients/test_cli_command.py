# SPDX-License-Identifier: Apache-2.0
"""The command: profiles, exit codes, one line for an error, import's account of rows."""

from __future__ import annotations

import io
import json
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from pinakes.cli import _profiles, main
from pinakes.cli._failures import Failure
from pinakes.cli._session import printable
from pinakes.v1 import failures_pb2, index_pb2, search_pb2
from pinakes.v1.resources_pb2 import Document
from tests.integration._objects import PACK
from tests.integration.clients._scripted_server import (
    Scripted,
    StreamRequest,
    StreamResponse,
    accept_all,
    acknowledge,
    opened,
    refuse,
    refuses_after,
    status,
)


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


def rejects_b(messages: Iterator[StreamRequest], _: grpc.ServicerContext) -> Iterator[StreamResponse]:
    """Take every document but `b`."""
    next(messages)
    yield opened()
    for message in messages:
        answer = acknowledge(message)
        for index, write in enumerate(message.writes):
            if write.put.name.endswith("/b"):
                told = status(grpc.StatusCode.INVALID_ARGUMENT, "TITLE_TOO_LONG", "title is too long")
                answer.acknowledgement.outcomes[index] = index_pb2.WriteResult.OUTCOME_REJECTED
                answer.acknowledgement.faults.add(index=index, name=write.put.name, status=told)
        yield answer


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_import_tells_each_bad_line_and_keeps_it(run: Any, scripted: Scripted, tmp_path: Path, suffix: str) -> None:
    scripted.converse = rejects_b
    lines = [b'{"id": "a"}', b"{oops", b"", b'{"id": "b"}', b"[]", b'{"id": "c"}', b'{"title": "x"}', b'{"id": "\xff"}']
    content = b"\n".join(lines)
    file = tmp_path / f"docs{suffix}"
    file.write_bytes(PACK.get(file.suffix, bytes)(content))
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


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_file_that_is_damaged_is_told_and_gone_on_with_when_it_is_whole(
    run: Any, scripted: Scripted, tmp_path: Path, suffix: str, damage: str
) -> None:
    scripted.converse = accept_all
    whole = PACK[suffix]("\n".join(json.dumps({"id": f"d{n}", "title": "x" * (n % 90)}) for n in range(ROWS)).encode())
    file = tmp_path / f"docs.jsonl{suffix}"
    file.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"no such thing" + whole)
    code, _, err = run("import", str(file), "--endpoint", scripted.endpoint)
    assert code == 1
    assert "FILE_UNREADABLE" in err
    assert str(file) in err


def test_import_reads_stdin(run: Any, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted.converse = accept_all
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"id": "a"}\n{"id": "b"}\n')))
    code, out, _ = run("import", "-", "--endpoint", scripted.endpoint)
    assert code == 0
    assert out.startswith("2 documents accepted")


ROWS = 2500
REVOKED = status(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", "revoked")


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_an_interrupted_import_goes_on_where_it_was(run: Any, scripted: Scripted, tmp_path: Path, suffix: str) -> None:
    lines = ["{oops" if n % 700 == 3 else json.dumps({"id": f"d{n}"}) for n in range(ROWS)]
    content = "\n".join(lines).encode()
    file, checkpoint = tmp_path / f"docs{suffix}", tmp_path / f"docs{suffix}.checkpoint"
    file.write_bytes(PACK.get(file.suffix, bytes)(content))
    scripted.converse = refuses_after(2, REVOKED)
    code, _, err = run("import", str(file), "--endpoint", scripted.endpoint)
    assert code == 5
    assert f"run it again to go on ({checkpoint})" in err
    state = json.loads(checkpoint.read_text())["state"]
    assert (state["sequence"], state["written"]) == (2, 1000)
    already = {write.put.name for m in scripted.requests if m.sequence in {1, 2} for write in m.writes}
    assert len(already) == 1000

    scripted.requests.clear()

    def goes_on(messages: Iterator[StreamRequest], _: grpc.ServicerContext) -> Iterator[StreamResponse]:
        assert next(messages).stream_id == state["stream_id"]
        yield opened(resume_after=2)
        for message in messages:
            yield acknowledge(message)

    scripted.converse = goes_on
    code, out, err = run("import", str(file), "--endpoint", scripted.endpoint, "--json")
    assert (code, json.loads(out)["written"], json.loads(out)["failed"]) == (3, ROWS - 4, 4)
    assert f"going on after line {state['line']:,}" in err
    later = [write.put.name for message in scripted.requests for write in message.writes]
    assert [message.sequence for message in scripted.requests[1:]] == [3, 4, 5]
    assert len(later) == len(set(later) - already) == ROWS - 4 - 1000
    failed = [json.loads(line)["line"] for line in (tmp_path / "docs.failed.jsonl").read_text().splitlines()]
    assert failed == [4, 704, 1404, 2104]
    assert not checkpoint.exists()


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        ("more", (), "FILE_CHANGED"),
        ("", ("--mode", "applied"), "CHECKPOINT_MISMATCH"),
        ("", ("--collection", "other"), "CHECKPOINT_MISMATCH"),
        ("checkpoint", (), "CHECKPOINT_UNREADABLE"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_until_told_to_begin_anew(
    run: Any, scripted: Scripted, tmp_path: Path, change: str, options: tuple[str, ...], told: str
) -> None:
    file = tmp_path / "docs.jsonl"
    file.write_text("\n".join(json.dumps({"id": f"d{n}"}) for n in range(ROWS)))
    scripted.converse = refuses_after(2, REVOKED)
    assert run("import", str(file), "--endpoint", scripted.endpoint)[0] == 5
    if change == "more":
        file.write_text(file.read_text() + '\n{"id": "more"}')
    if change == "checkpoint":
        (tmp_path / "docs.jsonl.checkpoint").write_text("{")
    scripted.converse = accept_all
    scripted.requests.clear()
    code, _, err = run("import", str(file), "--endpoint", scripted.endpoint, *options)
    assert (code, f"pinakes: {told}: " in err, "--restart" in err) == (1, True, True)
    assert not scripted.requests
    code, out, _ = run("import", str(file), "--endpoint", scripted.endpoint, *options, "--restart", "--json")
    assert (code, json.loads(out)["written"]) == (0, ROWS + (change == "more"))


def test_failed_writes_are_listed_retried_and_discarded(run: Any, scripted: Scripted) -> None:
    parent = "tenants/t-1/collections/books"
    told = status(grpc.StatusCode.INVALID_ARGUMENT, "NOT_INDEXABLE", "it can't be\nindexed")
    one = failures_pb2.FailedWrite(
        name=f"{parent}/failedWrites/f-1", document=Document(name=f"{parent}/documents/a"), status=told, retries=2
    )
    scripted.answers["IndexService/ListFailedWrites"] = lambda *_: failures_pb2.ListFailedWritesResponse(
        failed_writes=[one]
    )
    scripted.answers["IndexService/RetryFailedWrites"] = lambda *_: failures_pb2.RetryFailedWritesResponse(
        count=3, kept=len(scripted.requests) // 3
    )
    scripted.answers["IndexService/DiscardFailedWrites"] = lambda *_: failures_pb2.DiscardFailedWritesResponse(count=1)
    where = ("-c", "books", "--endpoint", scripted.endpoint)
    code, out, _ = run("failed", "list", *where)
    assert code == 0
    assert out.splitlines()[1].split()[:4] == ["f-1", "a", "put", "NOT_INDEXABLE"]
    assert "2        it can't be indexed" in out
    assert run("failed", "retry", "--all", *where)[1] == "3 queued again\n"
    assert run("failed", "discard", "f-1", *where)[1] == "1 discarded\n"
    assert scripted.requests[1].all
    assert list(scripted.requests[2].names) == ["tenants/-/collections/books/failedWrites/f-1"]
    stay = "3 queued again, 1 stay: the tenant has no room for them\n"
    assert run("failed", "retry", "--all", *where)[1] == stay
    assert run("failed", "discard", *where)[0] == run("failed", "retry", "f-1", "--all", *where)[0] == 2


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
