# SPDX-License-Identifier: Apache-2.0
"""Which of a collection's languages a text is in (decision 0010). The same text always has the same answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from pinakes.core.telemetry.logs import logger

LOOKED_AT = 1000
# Part of the text in percent that must be in a language for it to be the text's.
_MOST = 50
# What the detector calls a language that is declared by another code.
_CALLED = {"nb": "no", "nn": "no", "he": "iw", "jv": "jw", "fil": "tl"}
_MEANT = {"nn": "no", "zh-Hant": "zh"}
_log = logger("pinakes.languages")


def language_of(title: str, body: str, declared: Sequence[str]) -> str:
    """Return which of the declared languages (BCP 47 codes, at least one) a text is in, the first if that isn't clear.

    It looks at the title and the first 1,000 characters of the body. One language is no question and costs nothing.
    """
    if len(declared) == 1:
        return declared[0]
    text = f"{title}\n{body[:LOOKED_AT]}"
    return _detected(text, declared) or declared[0]


def _detected(text: str, declared: Sequence[str]) -> str | None:
    """Return the language, or None.

    The detector weighs nearly a hundred languages, and close relatives take short texts from one another. So it is
    asked once for each declared language with the hint that it is that one; the clearest answer counts.
    """
    detect, known = _detector()
    codes: dict[str, str] = {}
    for code in declared:
        codes.setdefault(_CALLED.get(code, code), code)
    best: tuple[int, float] = (_MOST, 0.0)
    found = None
    for hint in codes:
        if hint not in known:
            continue
        for code, percent, score in detect(text, hint):
            meant = _MEANT.get(code, code)
            if meant in codes:
                if (percent, score) > best:
                    best, found = (percent, score), codes[meant]
                break
    return found


@lru_cache(maxsize=1)
def _detector() -> tuple[Callable[[str, str], list[tuple[str, int, float]]], frozenset[str]]:
    """Return the detector and the codes that it knows: 4 MiB, loaded when the first text needs it."""
    try:
        import pycld2  # only for collections of several languages
    except ImportError:
        _log.warning("languages of documents aren't recognised: pycld2 has no package for this Python or machine")
        return (lambda _text, _hint: []), frozenset()

    def detect(text: str, hint: str) -> list[tuple[str, int, float]]:
        options: dict[str, Any] = {"isPlainText": True, "bestEffort": True, "hintLanguage": hint}
        try:
            _, _, answers = pycld2.detect(text.encode(), **options)
        except pycld2.error:
            # It refuses control characters.
            printable = "".join(character if character.isprintable() else " " for character in text)
            _, _, answers = pycld2.detect(printable.encode(), **options)
        return [(code, percent, score) for _, code, percent, score in answers]

    return detect, frozenset(code for _, code in pycld2.LANGUAGES)
