# SPDX-License-Identifier: Apache-2.0
"""Highlights: passages of found documents with the words found in them, safe to put into HTML.

The engine marks words with delimiters that hold a random number of this one request, so no text can hold them; the
text is escaped, then they are replaced by what the caller wants before and after a word.
"""

from __future__ import annotations

import html
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pinakes.core.faults import Fault, invalid
from pinakes.core.query.readable import check_readable
from pinakes.core.query.schema import LANGUAGES, AttributeType, Schema
from pinakes.v1 import search_pb2

if TYPE_CHECKING:
    from pinakes.core.query.options import Options

Json = dict[str, Any]

DEFAULT_FIELDS = ("title", "body")
WHOLE = "title"
CHARS, LEAST_CHARS = 200, 50
ANALYZED_CHARS = 100_000
"""Characters of a text that are looked through: each is analysed anew for each answer."""
_PREFIX = "attributes."


@dataclass(frozen=True, slots=True)
class Highlights:
    """Highlights compiled: the engine fields of each field that was asked for, and what words are marked with."""

    fields: Mapping[str, tuple[str, ...]]
    opening: str
    closing: str
    before: str
    after: str
    plain: bool
    body: Json | None

    def read(self, found: Mapping[str, list[str]]) -> list[search_pb2.Passages]:
        """Return the passages of a result, in the order of the fields; `found` are the engine's by its fields."""
        read: list[search_pb2.Passages] = []
        for field, engine_fields in self.fields.items():
            texts = [self._marked(text) for name in engine_fields for text in found.get(name, ())]
            if texts:
                read.append(search_pb2.Passages(field=field, texts=texts))
        return read

    def _marked(self, text: str) -> str:
        safe = text if self.plain else html.escape(text)
        # The closing one can't be in `before`: nobody outside knows it.
        return safe.replace(self.opening, self.before).replace(self.closing, self.after)


def compile_highlights(
    asked: search_pb2.Highlight, options: Options, schema: Schema, words: Json | None, *, filtered: bool
) -> Highlights:
    """Compile what is asked of a search for `words`, an engine query; `filtered` tells whether it has a filter as well.

    Fields that the search doesn't look in have no passages, and nothing has any if there are no words.
    Raises a `Fault` of reason HIGHLIGHT_UNKNOWN_FIELD, HIGHLIGHT_WRONG_TYPE, HIGHLIGHT_PASSAGE_CHARS or FIELD_NOT_READABLE.
    """
    if 0 < asked.passage_chars < LEAST_CHARS:
        description = f"expected {LEAST_CHARS} to 1000, or 0 for {CHARS}; found {asked.passage_chars}"
        raise invalid("highlight.passage_chars", description, "HIGHLIGHT_PASSAGE_CHARS")
    fields: dict[str, tuple[str, ...]] = {}
    engine: Json = {}
    for place, name in enumerate(asked.fields or DEFAULT_FIELDS):
        if fault := _unknown(name, f"highlight.fields[{place}]", schema):
            raise fault
        if asked.fields:
            check_readable(schema, name, f"highlight.fields[{place}]")
        fields[name] = tuple(field for field, _ in options.fields.get(name, ()))
        whole = {"number_of_fragments": 0} if name == WHOLE else {}
        engine |= {field: whole | _locale(field, options) for field in fields[name]}
    nonce = secrets.token_hex(8)
    opening, closing = f"\ue000{nonce}\ue001", f"\ue002{nonce}\ue003"
    body: Json = {
        "type": "unified", "fields": engine, "pre_tags": [opening], "post_tags": [closing],
        "number_of_fragments": asked.passages or 1, "fragment_size": asked.passage_chars or CHARS,
        "boundary_scanner": "sentence", "max_analyzer_offset": ANALYZED_CHARS,
    }  # fmt: skip
    if filtered and words is not None:
        # Words of the filter aren't what was looked for.
        body["highlight_query"] = words
    before, after = asked.before or "<mark>", asked.after or "</mark>"
    return Highlights(fields, opening, closing, before, after, asked.plain, None if words is None else body)


def _unknown(name: str, place: str, schema: Schema) -> Fault | None:
    """Return what is wrong with the name of a field to take passages from."""
    if name in DEFAULT_FIELDS:
        return None
    attribute = schema.attributes.get(name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) else None
    if attribute is None:
        texts = [_PREFIX + a.name for a in schema.attributes.values() if a.type is AttributeType.TEXT]
        description = f"there is no text {name[:80]}; known: {', '.join((*DEFAULT_FIELDS, *texts))}"
        return invalid(place, description, "HIGHLIGHT_UNKNOWN_FIELD")
    if attribute.type is not AttributeType.TEXT:
        description = (
            f"{name} is of type {attribute.type.value.upper()}; passages are of title, body and TEXT attributes"
        )
        return invalid(place, description, "HIGHLIGHT_WRONG_TYPE")
    return None


def _locale(field: str, options: Options) -> Json:
    """Say by which language's rules sentences of a field end: its own, or the first of the search's."""
    suffix = field.rpartition("_")[2]
    return {"boundary_scanner_locale": suffix if suffix in LANGUAGES else options.languages[0]}
