# SPDX-License-Identifier: Apache-2.0
"""What was typed taken apart, and the bodies made of it: nothing but own words, whatever is typed."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.engine.dictionary import own_pattern, own_prefix, read_similar, similar_body
from pinakes.core.engine.documents import Owner
from pinakes.core.faults import Fault
from pinakes.core.query import allowlist
from pinakes.core.query.options import options_of
from pinakes.core.query.schema import Schema
from pinakes.core.settings import Limits
from pinakes.core.tenancy.models import CollectionRecord
from pinakes.search.completions import Completions, Typed, read_typed

OWNER = Owner("t1", "c1", "tenant", "default")
OPTIONS = options_of(CollectionRecord(tenant_uid="t1", collection_id="default", uid="c1"))
COMPLETIONS = Completions(OWNER, OPTIONS, Schema(), None)


def typed(text: str) -> Typed:
    return read_typed(text, OPTIONS, Limits())


@pytest.mark.parametrize(
    ("text", "words", "last", "barred", "head"),
    [
        ("", (), "", (), ""),
        ("asy", (), "asy", (), ""),
        ("Event Lo", ("event",), "lo", (), "Event "),
        ("event loop ", ("event", "loop"), "", (), "event loop "),
        ("asyncio.gat", ("asyncio",), "gat", (), "asyncio."),
        ('"event lo', ("event",), "lo", (), '"event '),
        ('"event loop" po', ("event", "loop"), "po", (), '"event loop" '),
        ("event -lo", ("event",), "", ("lo",), "event -lo"),
        ("-event lo", (), "lo", ("event",), "-event "),
        ("well-kn", ("well",), "kn", (), "well-"),
        ("Élan vi", ("elan",), "vi", (), "Élan "),
        ("東京タ", (), "東京タ", (), ""),
        ("x" * 65, ("x" * 65,), "", (), "x" * 65),
        ("a*b", ("a", "b"), "", (), "a*b"),
        ("red lam*", ("red",), "lam", (), "red "),
        ("event --lo", ("event",), "", ("lo",), "event --lo"),
        ("!?", (), "", (), "!?"),
    ],
)
def test_the_last_word_is_a_beginning_unless_something_follows_it(
    text: str, words: tuple[str, ...], last: str, barred: tuple[str, ...], head: str
) -> None:
    found = typed(text)
    assert (found.words, found.last, found.barred, found.head) == (words, last, barred, head)
    assert found.empty == (not words and not last)


def test_what_is_too_long_for_a_search_is_too_long_to_complete() -> None:
    with pytest.raises(Fault, match="limit query_chars"):
        typed("x" * 501)


def leaves(value: Any) -> list[str]:
    """Return every string that a body compares own words with."""
    if isinstance(value, dict):
        found = [leaf for key, inner in value.items() if key == "words" for leaf in _strings(inner)]
        return found + [leaf for key, inner in value.items() if key != "words" for leaf in leaves(inner)]
    return [leaf for inner in value for leaf in leaves(inner)] if isinstance(value, list) else []


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        # Aggregations may be named `words` too: of these, what is included counts.
        if kind := value.get("terms") or value.get("significant_terms"):
            included = kind["include"]
            return included if isinstance(included, list) else [included]
        return [value["value"]]
    return list(value)


@given(st.text(max_size=40))
def test_every_comparison_begins_with_the_owners_prefix_and_passes_the_list(text: str) -> None:
    try:
        found = typed(text)
    except Fault:
        return
    if found.empty:
        return
    bodies = [COMPLETIONS.titles(found, 5), COMPLETIONS.terms(found, 5), COMPLETIONS.related(found, 5)]
    bodies += [COMPLETIONS.terms(found, 5, ("other",)), COMPLETIONS.titles(found, 5, ("other",))]
    for body in bodies:
        allowlist.check_body(body)
        orjson.dumps(body)
        assert all(leaf.startswith(own_prefix(OWNER)) for leaf in leaves(body))


@given(st.text(min_size=1, max_size=20))
def test_a_pattern_takes_a_beginning_as_it_is(beginning: str) -> None:
    # Python reads what the engine does here: letters and digits as they are, all else after a backslash.
    escaped = own_pattern(OWNER, beginning).removeprefix(own_prefix(OWNER)).removesuffix(".*")
    assert re.sub(r"\\(.)", r"\1", escaped, flags=re.DOTALL) == beginning
    assert not re.search(r"(?<!\\)(?:\\\\)*[.?+*|{}\[\]()\"#@&<>~^$-]", escaped)


def test_similar_words_are_asked_for_behind_the_owners_prefix_alone() -> None:
    body = similar_body(OWNER, [("gahter", 1), ("dictonary", 2)])
    own = own_prefix(OWNER)
    for place, word, edits in (("0", "gahter", 1), ("1", "dictonary", 2)):
        asked = body["suggest"][place]
        assert asked["text"] == own + word
        assert (asked["term"]["prefix_length"], asked["term"]["max_edits"]) == (len(own), edits)
    assert (body["size"], body["query"]) == (0, {"match_none": {}})


def test_a_word_without_the_owners_prefix_is_dropped() -> None:
    own = own_prefix(OWNER)
    options = [{"text": own + "gather"}, {"text": "t1\x1fc2\x1fgather"}, {"text": "gather"}]
    answer = {"suggest": {"0": [{"options": options}], "1": [{"options": []}]}}
    assert read_similar(OWNER, answer, 3) == [["gather"], [], []]
