# SPDX-License-Identifier: Apache-2.0
"""TREC's SGML: documents between `<DOC>` and `</DOC>`, topics between `<top>` and `</top>`."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

TITLES = ("title", "headline", "hl", "head", "ttl", "h3")
TEXTS = ("text", "body", "abstract", "lp", "leadpara")
_TAG = re.compile(r"<[^<>]*>")
_OPENING = re.compile(r"^\s*<(\w+)[^<>]*>", re.MULTILINE)
_LABEL = re.compile(r"^\s*(?:Number|Topic|Description|Narrative)\s*:", re.IGNORECASE)


class SgmlError(Exception):
    """What is wrong; `line` says where, counted from 1."""

    def __init__(self, line: int, description: str) -> None:
        super().__init__(description)
        self.line = line


def documents(lines: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, title and text of each document. Raises SgmlError.

    The text is that of its text elements; of a document without any, all but name and title.
    """
    for start, block in _blocks(lines, "doc"):
        names = _elements(block, "docno") or _elements(block, "docid")
        if not names:
            raise SgmlError(start, "the document has no <DOCNO>")
        title = next((text for tag in TITLES for text in _elements(block, tag) if text), "")
        texts = [text for tag in TEXTS for text in _elements(block, tag) if text]
        yield names[0], title, "\n\n".join(texts) or _rest(block)


def topics(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield number and title of each topic; its description where it has no title. Raises SgmlError."""
    for start, block in _blocks(lines, "top"):
        fields = _fields(block)
        # `<num> Number: 301`, `<num>301</num>` and `<num> Number: CF-7`
        number = _LABEL.sub("", fields.get("num", "")).strip()
        if not number:
            raise SgmlError(start, "the topic has no <num>")
        text = _LABEL.sub("", fields.get("title", "")).strip() or _LABEL.sub("", fields.get("desc", "")).strip()
        if not text:
            raise SgmlError(start, f"topic {number} has neither <title> nor <desc>")
        yield number, " ".join(text.split())


def _blocks(lines: Iterable[str], tag: str) -> Iterator[tuple[int, str]]:
    """Yield what is between a tag and its end, with the line on which it begins."""
    opening, closing = re.compile(rf"<{tag}\b[^<>]*>", re.IGNORECASE), f"</{tag}>"
    start, held = 0, list[str]()
    number = 0
    for number, line in enumerate(lines, 1):
        begins, ends = opening.search(line), closing in line.lower()
        if begins:
            if start:
                raise SgmlError(number, f"<{tag}> inside the one that begins at line {start}; is </{tag}> missing?")
            start, held = number, []
        if start:
            held.append(line)
        if ends:
            if not start:
                raise SgmlError(number, f"</{tag}> without <{tag}>")
            text = "".join(held)
            yield start, text[opening.search(text).end() : text.lower().rindex(closing)]  # type: ignore[union-attr]
            start = 0
    if start:
        raise SgmlError(start, f"<{tag}> has no </{tag}>")
    if not number:
        raise SgmlError(1, "the file is empty")


def _elements(block: str, tag: str) -> list[str]:
    """Return the texts of all elements of a name, without tags."""
    found = re.findall(rf"<{tag}\b[^<>]*>(.*?)</{tag}\s*>", block, re.IGNORECASE | re.DOTALL)
    return [_plain(text) for text in found]


def _fields(block: str) -> dict[str, str]:
    """Return the fields of a topic, which begin with a tag at the start of a line and need no end."""
    marks = list(_OPENING.finditer(block))
    ends = [mark.start() for mark in marks[1:]] + [len(block)]
    return {mark.group(1).lower(): _plain(block[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)}


def _rest(block: str) -> str:
    for tag in ("docno", "docid", *TITLES):
        block = re.sub(rf"<{tag}\b[^<>]*>.*?</{tag}\s*>", " ", block, flags=re.IGNORECASE | re.DOTALL)
    return _plain(block)


def _plain(text: str) -> str:
    """Return text without tags and with its entities read."""
    return html.unescape(_TAG.sub(" ", text)).strip()
