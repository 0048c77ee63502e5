# SPDX-License-Identifier: Apache-2.0
"""Reasons in words, out of the names of the clauses that a document matches."""

from __future__ import annotations

from pinakes.core.query.text import Query, Term
from pinakes.search.queries.reasons import reasons

QUERY = Query(
    (
        Term("asyncio"), Term("in order", phrase=True), Term("bad", excluded=True), Term("instal"),
        Term("gath", prefix=True), Term("word", field="title"),
    ),
    empty=False,
)  # fmt: skip


def test_every_field_is_told_and_so_is_what_no_field_has() -> None:
    told = reasons(QUERY, ["0:title", "0:body", "3:body:install", "4:attributes.abstract"])
    assert [(reason.text, reason.term, reason.field, reason.matches) for reason in told] == [
        ('body has "asyncio"', "asyncio", "body", True),
        ('title has "asyncio"', "asyncio", "title", True),
        ('no field has "in order"', "in order", "", False),
        ('body has "install" (for "instal")', "instal", "body", True),
        ('attributes.abstract has "gath*"', "gath*", "attributes.abstract", True),
        ('title doesn\'t have "word"', "word", "", False),
    ]


def test_a_field_that_is_several_in_the_engine_is_told_once() -> None:
    names = ["0:title\x1ftitle_en", "0:title\x1ftitle_de"]
    told = reasons(Query((Term("x"),), empty=False), names)
    assert [reason.text for reason in told] == ['title has "x"']


def test_a_beginning_that_own_words_alone_have_is_of_a_title() -> None:
    beginning = Query((Term("runnin", prefix=True),), empty=False)
    assert [reason.text for reason in reasons(beginning, ["0:words\x1f"])] == ['title has "runnin*"']
    assert [reason.text for reason in reasons(beginning, ["0:words\x1f", "0:tags\x1ftags_text"])] == [
        'tags has "runnin*"'
    ]


def test_what_was_typed_first_is_told_before_what_was_found_instead() -> None:
    told = reasons(Query((Term("car"),), empty=False), ["0:body:automobile", "0:title:a:b", "0:title"])
    assert [reason.text for reason in told] == [
        'title has "car"',
        'body has "automobile" (for "car")',
        'title has "a:b" (for "car")',
    ]
