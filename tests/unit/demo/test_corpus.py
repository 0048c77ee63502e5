# SPDX-License-Identifier: Apache-2.0
"""The demo's corpora hold what they promise, and nothing that the contract would refuse."""

from __future__ import annotations

import re
from pathlib import Path

import protovalidate
import pytest

from pinakes.demo.corpus import document_id, python_documents, shorten
from pinakes.demo.distributions import package_documents
from pinakes.v1.resources_pb2 import Document

ID = re.compile(r"^[A-Za-z0-9._~:-]{1,128}$")

SOURCE = '''"""A module."""

class Shelf(dict, metaclass=type):
    """Holds scrolls."""

    async def fetch(self, name: str, *, slow: bool = False) -> bytes:
        """Bring a scroll."""

    def silent(self): ...

def _hidden():
    """For us alone."""
'''


@pytest.fixture(scope="module")
def library() -> list[Document]:
    """The whole standard library."""
    return list(python_documents())


def _read(folder: Path) -> dict[str, Document]:
    (folder / "pack").mkdir()
    (folder / "pack" / "__init__.py").write_text(SOURCE)
    (folder / "test").mkdir()
    (folder / "test" / "test_it.py").write_text(SOURCE)
    (folder / "broken.py").write_text("def (:\n")
    return {document.name: document for document in python_documents(folder)}


def test_every_documented_definition_becomes_a_document_and_no_other(tmp_path: Path) -> None:
    assert list(_read(tmp_path)) == ["pack", "pack.Shelf", "pack.Shelf.fetch", "pack._hidden"]


def test_a_document_tells_signature_kind_line_and_whether_it_is_public(tmp_path: Path) -> None:
    read = _read(tmp_path)
    fetch = read["pack.Shelf.fetch"]
    assert fetch.body == "async def fetch(self, name: str, *, slow: bool=False) -> bytes\n\nBring a scroll."
    assert dict(fetch.attributes)["kind"] == "method"
    assert dict(fetch.attributes)["line"] == 6
    assert list(fetch.tags) == ["method", "pack"]
    assert dict(read["pack._hidden"].attributes)["public"] is False


def test_a_class_is_shown_with_its_bases(tmp_path: Path) -> None:
    assert dict(_read(tmp_path)["pack.Shelf"].attributes)["signature"].startswith("class Shelf(dict")


def test_the_whole_library_is_there_with_its_builtin_modules(library: list[Document]) -> None:
    names = {document.name for document in library}
    assert {"asyncio", "json.dumps", "pathlib.Path.exists", "math.sqrt", "itertools.chain"} <= names
    assert len(library) > 5000


def test_no_document_comes_from_tests_or_other_packages(library: list[Document]) -> None:
    packages = {dict(document.attributes)["package"] for document in library}
    assert packages.isdisjoint({"test", "idlelib", "site-packages", "pytest"})


def test_every_document_keeps_the_contract_and_every_id_is_its_own(library: list[Document]) -> None:
    documents = [*library, *package_documents()]
    for document in documents:
        assert ID.match(document.name)
        protovalidate.validate(document)
    assert len({document.name for document in library}) == len(library)


def test_two_readings_give_the_same_documents() -> None:
    first, second = list(package_documents()), list(package_documents())
    assert first == second


def test_distributions_have_their_readme_and_what_they_require() -> None:
    found = {document.name: document for document in package_documents()}
    rich = found["rich"]
    assert "terminal" in rich.body.lower()
    assert "attributes" not in dict(rich.attributes)
    assert dict(rich.attributes)["requirements"] >= 1


@pytest.mark.parametrize("name", ["a b", "x" * 300, "naïve", "a/b", ""])
def test_a_name_that_cannot_be_an_id_gets_one_that_stays_the_same(name: str) -> None:
    assert ID.match(document_id(name))
    assert document_id(name) == document_id(name)


def test_names_that_clean_to_the_same_text_keep_ids_of_their_own() -> None:
    assert document_id("a b") != document_id("a/b")


def test_shortening_never_splits_a_character() -> None:
    assert shorten("ééé", 3) == "é"
    assert shorten("\udc80x", 10) == "?x"
