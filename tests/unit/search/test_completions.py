# SPDX-License-Identifier: Apache-2.0
"""What was typed taken apart, and the bodies made of it: nothing but own words, whatever is typed."""

from __future__ import annotations

import random
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.engine.bodies import Hit, Page
from pinakes.core.engine.dictionary import near_pattern, own_pattern, own_prefix, read_similar, similar_body
from pinakes.core.engine.documents import Owner
from pinakes.core.faults import Fault
from pinakes.core.query import allowlist
from pinakes.core.query.options import options_of
from pinakes.core.query.schema import Schema
from pinakes.core.query.words import LONGEST
from pinakes.core.settings import Limits
from pinakes.core.tenancy.models import CollectionRecord
from pinakes.search.completions import Completions, Typed, read_titles, read_typed, read_words
from pinakes.search.typos import distance_to_beginning

SEED = random.SystemRandom().randrange(1 << 32)
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
        own = ("words", "title_key")
        found = [leaf for key, inner in value.items() if key in own and inner != "asc" for leaf in _strings(inner)]
        return found + [leaf for key, inner in value.items() if key not in own for leaf in leaves(inner)]
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
    endings = [COMPLETIONS.as_typed(found), COMPLETIONS.as_typed(found, typos=True)]
    endings += [COMPLETIONS.misspelt(found), COMPLETIONS.instead(("other",))]
    bodies = [COMPLETIONS.found(found, 5, ending) for ending in endings] + [COMPLETIONS.related(found, 5)]
    for body in bodies:
        allowlist.check_body(body)
        orjson.dumps(body)
        assert all(leaf.startswith(own_prefix(OWNER)) for leaf in leaves(body))


def test_titles_and_words_come_of_one_body_and_only_what_is_asked_for() -> None:
    found = typed("event lo")
    both = COMPLETIONS.found(found, 5, COMPLETIONS.as_typed(found))
    assert both["aggs"]["sample"]["aggs"].keys() == {"words", "titles"}
    assert (both["size"], both["post_filter"]["prefix"]["title_key"]["value"]) == (5, own_prefix(OWNER) + "event lo")
    words = COMPLETIONS.found(found, 5, COMPLETIONS.as_typed(found), titles=False)
    assert (words["size"], words["aggs"]["sample"]["aggs"].keys()) == (0, {"words"})
    assert "post_filter" not in words
    titles = COMPLETIONS.found(found, 5, COMPLETIONS.as_typed(found), terms=False)
    assert titles["aggs"]["sample"]["aggs"].keys() == {"titles"}


@pytest.mark.parametrize(("last", "wider"), [("loo", None), ("loop", "loo"), ("utf8", None)])
def test_what_may_be_an_error_is_looked_for_without_its_last_letter_too(last: str, wider: str | None) -> None:
    ending = COMPLETIONS.as_typed(typed(last), typos=True)
    assert (ending.nearly and ending.nearly.include) == (wider and own_pattern(OWNER, wider))
    assert COMPLETIONS.as_typed(typed(last)).nearly is None


def page(sample: dict[str, Any], *hits: dict[str, str]) -> Page:
    found = [Hit(hit, 0.0, [], {}, []) for hit in hits]
    return Page(found, 0, False, {"sample": sample}, 1, 1, False)


def looked_at(*names: str) -> dict[str, Any]:
    """Return what a sample holds: a word and a title of each name."""
    sources = [{"id": name, "title_en": name.title(), "title_key": "x"} for name in names]
    return {
        "doc_count": len(names),
        "words": {"buckets": [{"key": own_prefix(OWNER) + name, "doc_count": 1} for name in names]},
        "titles": {"hits": {"hits": [{"_source": source} for source in sources]}},
    }


def test_what_begins_as_typed_comes_first_and_once() -> None:
    found = page(looked_at("a", "b", "c"), {"id": "c", "title_und": "C"}, {"id": "d", "title_en": ""})
    assert read_titles(found, 5) == [("c", "C"), ("a", "A"), ("b", "B")]
    assert read_titles(found, 2) == [("c", "C"), ("a", "A")]


def test_what_nearly_fits_counts_where_nothing_fits() -> None:
    nothing = page(looked_at("near") | {"fits": looked_at()})
    assert (read_titles(nothing, 5), read_words(nothing, OWNER)) == ([("near", "Near")], [("near", 1)])
    assert read_words(nothing, OWNER, fitting=True) == []
    something = page(looked_at("near", "exact") | {"fits": looked_at("exact")})
    assert (read_titles(something, 5), read_words(something, OWNER)) == ([("exact", "Exact")], [("exact", 1)])
    assert read_words(page({}), OWNER) == []


@given(st.text(min_size=1, max_size=20))
def test_a_pattern_takes_a_beginning_as_it_is(beginning: str) -> None:
    # Python reads what the engine does here: letters and digits as they are, all else after a backslash.
    escaped = own_pattern(OWNER, beginning).removeprefix(own_prefix(OWNER)).removesuffix(".*")
    assert re.sub(r"\\(.)", r"\1", escaped, flags=re.DOTALL) == beginning
    assert not re.search(r"(?<!\\)(?:\\\\)*[.?+*|{}\[\]()\"#@&<>~^$-]", escaped)


def test_a_pattern_of_one_error_finds_what_begins_so_and_nothing_else() -> None:
    chance = random.Random(SEED)
    found = 0
    for _ in range(20_000):
        beginning = "".join(chance.choices("abc", k=chance.randrange(4, 9)))
        word = "".join(chance.choices("abc", k=chance.randrange(1, 10)))
        matches = re.fullmatch(near_pattern(OWNER, beginning), own_prefix(OWNER) + word) is not None
        assert matches == (distance_to_beginning(beginning, word) <= 1), (SEED, beginning, word)
        found += matches
    assert found > 100, SEED


@pytest.mark.parametrize("letter", ["a", "_", "'", "\u0915\u094d", "\U00020000"])
def test_a_pattern_of_one_error_is_no_longer_than_the_engine_takes(letter: str) -> None:
    owner = Owner("f" * 32, "f" * 32, "t", "c")
    pattern = near_pattern(owner, (letter * LONGEST)[:LONGEST])
    assert len(pattern.encode("utf-16-le")) // 2 <= 1000


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
