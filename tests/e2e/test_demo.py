# SPDX-License-Identifier: Apache-2.0
"""The demo on the session's platform, with a part of its documents: it shows what it is to show, and ends well."""

from __future__ import annotations

import io
import shutil
import sysconfig
from functools import partial
from pathlib import Path

from rich.console import Console

from pinakes.demo import access, corpus, distributions, run
from pinakes.local import Platform

MODULES = ("json", "queue.py", "socket.py", "argparse.py", "asyncio")


async def test_the_demo_shows_limits_a_scoped_token_and_an_erasure_with_its_receipt(
    platform: Platform, tmp_path: Path
) -> None:
    library, stdlib = tmp_path / "library", Path(sysconfig.get_paths()["stdlib"])
    library.mkdir()
    for name in MODULES:
        copy = shutil.copytree if (stdlib / name).is_dir() else shutil.copyfile
        copy(stdlib / name, library / name)
    corpora = (
        (access.PYTHON, partial(corpus.python_documents, library)),
        (access.PACKAGES, distributions.package_documents),
    )
    said = io.StringIO()
    code = await run(Console(file=said, width=120), platform.endpoint, platform.admin_key, tmp_path, corpora)
    text = said.getvalue()
    assert code == 0, text
    for shown in (
        "ranked: parse command line arguments",  # a search by what is meant
        "RESOURCE_EXHAUSTED",  # the visitor's limit
        "asks for tenants/packages: PERMISSION_DENIED",  # another tenant's name
        "by a token for attributes.kind",  # what a scoped token sees
        "a write with the token: PERMISSION_DENIED",
        "visitor is erased, with a receipt",
        ": right",  # its signature
    ):
        assert shown in text, text
    assert (tmp_path / "demo.json").stat().st_mode & 0o077 == 0, "the keys are nobody else's"
