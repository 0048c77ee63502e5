# SPDX-License-Identifier: Apache-2.0
"""Collections that others made are read as they are; a file that can't be read is told with its line."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from tests.relevance.formats import (
    Files,
    FormatError,
    read_collection,
    read_documents,
    read_qrels,
    read_topics,
)
from tests.relevance.judged import Item, Query

SAMPLES = Path(__file__).parent / "samples"


def test_a_collection_in_trecs_form_is_read() -> None:
    judged = read_collection(SAMPLES / "trec", Files())
    assert list(judged.documents()) == [
        Item(
            "FERRY-01", "Ferries & timetables",
            "The ferry to the island leaves every two hours. \n In storms it stays in the harbour.", "en",
        ),
        Item("FERRY-02", "", "Cars must be booked a day before the crossing.", "en"),
        Item("MARKET-01", "", "The market on the quay sells smoked fish.", "en"),
    ]  # fmt: skip
    assert judged.queries == [
        Query("7", "ferry timetable", {"FERRY-01": 2, "FERRY-02": 0, "MARKET-01": 0}),
        Query("8", "Where is fish sold?", {"MARKET-01": 1}),
    ]
    assert judged.notes == ["trec: 1 of 3 queries have no relevant document; left out"]


def test_a_collection_in_beirs_form_is_read() -> None:
    judged = read_collection(SAMPLES / "beir", Files(), "de")
    assert list(judged.documents()) == [
        Item("d1", "Kilns", "Clay is fired at a thousand degrees.", "de"),
        Item("d2", "", "A glaze is glass that melts onto the pot.", "de"),
    ]
    assert judged.languages == ("de",)
    assert judged.queries == [
        Query("q1", "how hot is a kiln", {"d1": 1}),
        Query("q2", "what is a glaze", {"d1": 0, "d2": 2}),
    ]


def test_documents_are_read_from_packed_files_and_from_folders(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    shutil.copy(SAMPLES / "trec" / "documents.sgml", folder / "b")
    (folder / "a.gz").write_bytes(gzip.compress((SAMPLES / "beir" / "corpus.jsonl").read_bytes()))
    assert [item.id for item in read_documents(folder)] == ["d1", "d2", "FERRY-01", "FERRY-02", "MARKET-01"]


def test_queries_may_be_lines_with_a_tab(tmp_path: Path) -> None:
    path = tmp_path / "queries.tsv"
    path.write_text("1\tsea and wind\n\n2\ta\tb\n", encoding="utf-8")
    assert read_topics(path) == {"1": "sea and wind", "2": "a\tb"}


def test_a_missing_file_is_told_with_the_names_that_were_looked_for(tmp_path: Path) -> None:
    shutil.copy(SAMPLES / "trec" / "documents.sgml", tmp_path)
    with pytest.raises(FormatError, match=r"has no topics: looked for queries.jsonl, .* name it by --topics"):
        read_collection(tmp_path, Files())
    with pytest.raises(FormatError, match="isn't a folder"):
        read_collection(tmp_path / "absent", Files())
    with pytest.raises(FormatError, match="can't be read: No such file"):
        read_qrels(tmp_path / "absent")


def test_judgements_of_other_queries_are_told(tmp_path: Path) -> None:
    path = tmp_path / "qrels"
    path.write_text("1 0 d1 1\n", encoding="utf-8")
    with pytest.raises(FormatError, match="do queries and judgements use the same ids"):
        read_collection(SAMPLES / "beir", Files(qrels=path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<DOC>\n<TEXT>x</TEXT>\n</DOC>\n", "line 1: the document has no <DOCNO>"),
        ("<DOC>\n<DOCNO>1</DOCNO>\n", "line 1: <doc> has no </doc>"),
        ("<DOC>\n<DOCNO>1</DOCNO>\n<DOC>\n", "line 3: <doc> inside the one that begins at line 1"),
        ("\n</DOC>\n", "line 2: </doc> without <doc>"),
        ("", "line 1: the file is empty"),
        ('{"_id": "1", "text": "x"}\n{"_id": "2"}\n', "line 2: there is no text `text`"),
        ('{"_id": "1", "text": "x"}\n{"_id": \n', "line 2: not JSON"),
        ('{"_id": "1", "text": "x"}\n[]\n', "line 2: a line is a JSON object"),
    ],
)
def test_documents_that_cant_be_read_are_told_with_their_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "documents"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        list(read_documents(path))
    assert f"documents, {said}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<top>\n<title> x\n</top>\n", "line 1: the topic has no <num>"),
        ("<top>\n<num> Number: 1\n<narr> x\n</top>\n", "line 1: topic 1 has neither <title> nor <desc>"),
        ("1\tx\n2 y\n", "line 2: a line is id, tab, text"),
        ("1\tx\n1\ty\n", "the query 1 is there twice"),
    ],
)
def test_queries_that_cant_be_read_are_told_with_their_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "topics"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        read_topics(path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 0 d1 1\n1 d2\n", "line 2: a judgement is"),
        ("1 0 d1 high\n", "line 1: the grade 'high' isn't a whole number"),
    ],
)
def test_judgements_that_cant_be_read_are_told_with_their_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "qrels"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        read_qrels(path)
    assert f"qrels, {said}" in str(caught.value)
