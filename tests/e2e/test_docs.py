# SPDX-License-Identifier: Apache-2.0
"""Every command of the docs works: `console` blocks are run against the real platform, one shell a page."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
_MAKE = re.compile(r"`?\bmake ([a-z-]+)\b")
Done = subprocess.CompletedProcess[str]
AT_ONCE = 2
_TENANT = re.compile(r"pinakes tenants create ([a-z][a-z0-9-]+)")


def page_name(page: Path) -> str:
    """Path of a page inside the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    """Texts of a page's fenced blocks of one language."""
    return [text for found, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]


def commands(page: Path) -> list[str]:
    """Commands of a page's console blocks: lines after `$ `, with those that a backslash continues."""
    found: list[str] = []
    for block in blocks(page, "console"):
        continued = False
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(line[2:])
            elif continued:
                found[-1] += "\n" + line
            continued = bool(found) and (line.startswith("$ ") or continued) and line.endswith("\\")
    return found


def script(page: Path) -> str:
    """A page as a shell script that stops at the first command that fails and names it."""
    lines = ["set -euo pipefail", "trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR"]
    return "\n".join([*lines, *commands(page)]) + "\n"


RUN = [page for page in PAGES if commands(page)]


def shell(text: str, platform: Any, folder: Path) -> Done:
    """Run a script as a reader would: the tools on PATH, a home of its own, the platform where `pinakes` finds it."""
    tools = [str(Path(sys.executable).parent), str(ROOT / ".cache" / "bin")]
    environment = {
        "PATH": os.pathsep.join([*tools, os.environ["PATH"]]),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PINAKES_HOME": str(platform.home),
        "ENDPOINT": platform.endpoint,
    }
    # As on a reader's machine, `pinakes` acts for the administrator unless a key is exported.
    profile = 'pinakes profile set default --endpoint "$ENDPOINT" --key "$ADMIN_KEY" > /dev/null\nunset ADMIN_KEY\n'
    environment["ADMIN_KEY"] = platform.admin_key
    return subprocess.run(
        ["bash", "-c", profile + text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def run(page: Path, platform: Any, folder: Path) -> Done:
    """Run a page's commands in a folder of its own."""
    folder.mkdir()
    text = script(page)
    if left := _TENANT.findall(text):  # of a run that failed half-way
        shell("\n".join(f"pinakes tenants delete {tenant} || true" for tenant in left), platform, folder)
    return shell(text, platform, folder)


@pytest.fixture(scope="module")
def runs(platform: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, Future[Done]]]:
    """Give the runs of all pages: some side by side, because most of the time one process after the other starts."""
    home = tmp_path_factory.mktemp("pages")
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        yield {page: pool.submit(run, page, platform, home / str(place)) for place, page in enumerate(RUN)}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("page", RUN, ids=page_name)
@pytest.mark.timeout(900)
def test_the_commands_of_a_page_work_one_after_the_other(page: Path, runs: dict[Path, Future[Done]]) -> None:
    done = runs[page].result()
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_the_tutorial_s_commands_are_found() -> None:
    assert len(commands(ROOT / "docs" / "tutorial.md")) > 8


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    targets = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    missing = [link for link in targets if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_make_targets_that_a_page_names_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    code = "\n".join(blocks(page, "sh") + re.findall(r"`(make [^`]+)`", page.read_text(encoding="utf-8")))
    missing = [name for name in _MAKE.findall(code) if not re.search(rf"^{name}:", makefile, re.MULTILINE)]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_python_examples_compile_and_name_what_the_client_has(page: Path) -> None:
    client = importlib.import_module("pinakes.client")
    for block in blocks(page, "python"):
        compile(block, page_name(page), "exec")
        for names in re.findall(r"from pinakes\.client import (.+)", block):
            assert {name.strip() for name in names.split(",")} <= set(client.__all__)
