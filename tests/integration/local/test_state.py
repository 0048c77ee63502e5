# SPDX-License-Identifier: Apache-2.0
"""What a platform remembers, and the checks of the machine."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pinakes.local import LocalError, Platform, machine, state, supervisor
from pinakes.local.parts import Launch
from pinakes.local.supervisor import Owner


def _sleeper() -> Launch:
    return Launch(argv=(sys.executable, "-c", "import time; time.sleep(60)"))


def test_state_comes_back_as_it_was_saved_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    kept = state.State(ports={"envoy": 1}, processes={"envoy": state.Started(1, 2.5, "f")})
    state.save(tmp_path / "state.json", kept)
    assert state.load(tmp_path / "state.json") == kept
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_a_damaged_state_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{", encoding="utf-8")
    with pytest.raises(LocalError, match=r"damaged.*reset"):
        state.load(tmp_path / "state.json")


def test_secrets_and_ports_are_chosen_once_and_kept() -> None:
    kept = state.State()
    state.complete(kept, random_ports=True)
    before = (dict(kept.ports), kept.secret_key, kept.bootstrap_admin_key)
    state.complete(kept, random_ports=True)
    assert (kept.ports, kept.secret_key, kept.bootstrap_admin_key) == before
    assert set(kept.ports) == set(state.DEFAULT_PORTS)
    assert len(set(kept.ports.values())) == len(kept.ports)


def test_the_bootstrap_key_has_the_form_that_servers_demand() -> None:
    kept = state.State()
    state.complete(kept, random_ports=True)
    random_part = kept.bootstrap_admin_key.removeprefix("pk_bootstrap_")
    assert len(random_part) == 43
    assert len(base64.urlsafe_b64decode(random_part + "=")) == 32
    assert len(kept.secret_key) >= 32


def test_the_default_port_is_taken_when_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "port_free", lambda port: port != state.DEFAULT_PORTS["redis-cache"])
    kept = state.State()
    state.complete(kept, random_ports=False)
    assert kept.ports["envoy"] == state.DEFAULT_PORTS["envoy"]
    assert kept.ports["redis-cache"] != state.DEFAULT_PORTS["redis-cache"]


def test_too_little_memory_is_said_in_numbers() -> None:
    with pytest.raises(LocalError, match="1300 MiB of memory, 900 MiB"):
        machine.check_memory(1000, 900)
    machine.check_memory(1000, 1300)


def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{200 << 20}\n")
    (tmp_path / "memory.current").write_text(f"{80 << 20}\n")
    assert machine.available_mib(tmp_path) == 120


def test_a_part_that_does_not_exist_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"no part printer.*opensearch"):
        Platform(tmp_path / "home", parts=("printer",))
    assert not (tmp_path / "home").exists()


def test_only_the_process_that_was_started_is_stopped(tmp_path: Path) -> None:
    with subprocess.Popen(_sleeper().argv) as stranger:
        owner = Owner(tmp_path, "search")
        started = supervisor.start(owner, _sleeper(), tmp_path / "search.log")
        reused = state.Started(stranger.pid, started.created - 100, "")
        assert supervisor.alive(started)
        assert not supervisor.alive(reused)
        supervisor.stop(Owner(tmp_path, "index"), reused, 1.0)
        assert supervisor.alive(started)
        supervisor.stop(owner, started, 5.0)
        assert not supervisor.alive(started)
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_that_was_never_recorded_is_found_by_its_marks(tmp_path: Path) -> None:
    owner = Owner(tmp_path, "search")
    started = supervisor.start(owner, _sleeper(), tmp_path / "search.log")
    assert [process.pid for process in supervisor.leftovers(owner)] == [started.pid]
    assert supervisor.leftovers(Owner(tmp_path, "index")) == []
    assert supervisor.leftovers(owner, besides=started) == []
    supervisor.stop(owner, None, 5.0)
    assert not supervisor.alive(started)


def test_a_changed_setting_changes_the_fingerprint() -> None:
    assert supervisor.fingerprint(Launch(("a",), env={"X": "1"})) != supervisor.fingerprint(
        Launch(("a",), env={"X": "2"})
    )
    assert supervisor.fingerprint(Launch(("a",))) == supervisor.fingerprint(Launch(("a",)))


def test_variables_of_the_callers_own_platform_do_not_leak_into_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINAKES_API_KEY", "secret")
    owner = Owner(tmp_path, "print")
    code = "import os; print([n for n in os.environ if n.startswith('PINAKES_') and not n.endswith('_MARK')])"
    launch = Launch(argv=(sys.executable, "-c", code))
    started = supervisor.start(owner, launch, tmp_path / "print.log")
    os.waitpid(started.pid, 0)
    assert (tmp_path / "print.log").read_text().strip() == "[]"
