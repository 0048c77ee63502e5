# SPDX-License-Identifier: Apache-2.0
"""Every command of the docs works: `console` blocks are run against the real platform, one shell a page.

So are Python blocks that take their key from the environment, each where it stands among the commands.
"""

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

from tests.relevance.formats import NAMES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
_MAKE = re.compile(r"`?\bmake ([a-z-]+)\b")
Done = subprocess.CompletedProcess[str]
AT_ONCE = 2
_KEY = 'os.environ["PINAKES_API_KEY"]'
"""What a Python block says that is run; one with a placeholder for a key is only compiled."""
SEARCH_GUIDES = [ROOT / "docs" / "guides" / name for name in ("searching.md", "search-settings.md", "suggestions.md")]
_TENANT = re.compile(r"pinakes tenants create ([a-z][a-z0-9-]+)")


def page_name(page: Path) -> str:
    """Path of a page inside the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    """Texts of a page's fenced blocks of one language."""
    return [text for found, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]


def commands(page: Path) -> list[str]:
    """Commands of a page's console blocks: lines after `$ `, with those that a backslash continues."""
    return [command for block in blocks(page, "console") for command in _commands(block)]


def _commands(block: str) -> list[str]:
    found: list[str] = []
    continued = False
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(line[2:])
        elif continued:
            found[-1] += "\n" + line
        continued = bool(found) and (line.startswith("$ ") or continued) and line.endswith("\\")
    return found


def steps(page: Path) -> tuple[list[str], dict[str, str]]:
    """Commands of a page and of its Python blocks, in the order of the page, and the files that they need.

    A Python block prints just what the text block behind it says; without one, anything.
    """
    found: list[str] = []
    files: dict[str, str] = {}
    written = _BLOCK.findall(page.read_text(encoding="utf-8"))
    following = [*written, ("", "")][1:]
    for number, ((language, text), (after, printed)) in enumerate(zip(written, following, strict=True), 1):
        if language == "console":
            found += _commands(text)
        elif language == "python" and _KEY in text:
            name = f"block-{number}"
            files[f"{name}.py"] = text
            if after == "text":
                files[f"{name}.txt"] = printed
            found.append(f"python3 {name}.py | " + (f"diff {name}.txt -" if after == "text" else "grep ."))
    return found, files


def script(lines: list[str]) -> str:
    """Commands as a shell script that stops at the first that fails and names it."""
    return "\n".join(["set -euo pipefail", "trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR", *lines]) + "\n"


RUN = [page for page in PAGES if steps(page)[0]]


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
    """Run a page's commands and Python blocks in a folder of its own."""
    folder.mkdir()
    lines, files = steps(page)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    text = script(lines)
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


@pytest.mark.parametrize("page", SEARCH_GUIDES, ids=page_name)
def test_every_python_example_of_the_search_guides_is_run(page: Path) -> None:
    scripts = [text for name, text in steps(page)[1].items() if name.endswith(".py")]
    assert scripts == blocks(page, "python") != []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_what_a_page_shows_as_refused_must_be_refused(page: Path) -> None:
    passing_either_way = [command for command in commands(page) if re.search(r"\|\| (test \$\?|\[|true *$)", command)]
    assert not passing_either_way


@pytest.mark.parametrize(
    ("example", "code", "told"),
    [
        ("print('two')", 0, ""),
        ("print('two'); raise ValueError('wrong')", 1, "ValueError: wrong"),
        ("print('three')", 1, "> three"),
        ("pass", 1, "< two"),
    ],
)
def test_a_python_example_that_raises_or_prints_something_else_fails_its_page(
    platform: Any, tmp_path: Path, example: str, code: int, told: str
) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ export PINAKES_API_KEY=key\n```\n\n"
        f'```python\nimport os\n\nassert {_KEY} == "key"\n{example}\n```\n\n```text\ntwo\n```\n',
        encoding="utf-8",
    )
    done = run(page, platform, tmp_path / "run")
    assert (done.returncode, told in done.stdout + done.stderr) == (code, True)


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


@pytest.mark.parametrize("what", NAMES)
def test_the_names_by_which_files_of_judged_collections_are_found_are_told(what: str) -> None:
    rows = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()
    told = ", ".join(f"`{name}`" for name in NAMES[what])
    assert any(f"| {told} |" in row for row in rows)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_python_examples_compile_and_name_what_the_client_has(page: Path) -> None:
    client = importlib.import_module("pinakes.client")
    for block in blocks(page, "python"):
        compile(block, page_name(page), "exec")
        for names in re.findall(r"from pinakes\.client import (.+)", block):
            assert {name.strip() for name in names.split(",")} <= set(client.__all__)
