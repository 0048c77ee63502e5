# SPDX-License-Identifier: Apache-2.0
"""What the query compiler knows of a collection: its languages and declared attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pinakes.core.privacy.classes import Pii, class_of, hidden

# Those whose text has fields and an analyzer of its own; text in any other is folded.
LANGUAGES = (
    "ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "ga", "gl", "hi", "hu",
    "hy", "id", "it", "ja", "ko", "lt", "lv", "nl", "no", "pt", "ro", "ru", "sv", "th", "tr", "zh",
)  # fmt: skip
BIGRAM_LANGUAGES = ("ko", "zh")
OTHER_LANGUAGE = "und"
# Both written forms of Norwegian share its analyzer.
_SAME = {"nb": "no", "nn": "no"}


class AttributeType(StrEnum):
    """The types a declared attribute can have."""

    STRING = "string"
    TEXT = "text"
    NUMBER = "number"
    BOOL = "bool"
    TIME = "time"
    GEO = "geo"


@dataclass(frozen=True, slots=True)
class Attribute:
    """A declared attribute; `slot` is the engine field that holds it, such as `kw_03`."""

    name: str
    type: AttributeType
    slot: str
    sortable: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """Languages (BCP 47 codes; empty means `en`), declared attributes by name, and classes of personal data by path.

    `masked` says that it is the schema as a caller has it who may not see personal data: such a caller can't look for,
    order by or count what is hidden, or it could be found out by trying.
    """

    languages: tuple[str, ...] = ("en",)
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    classes: Mapping[str, Pii] = field(default_factory=dict)
    masked: bool = False

    def hides(self, path: str) -> bool:
        """Whether the caller may not see the values of a field, `title` or `attributes.email`."""
        return self.masked and hidden(path, self.classes) is not None

    def classed(self, path: str) -> bool:
        """Whether a field has personal data, which no error or log tells, whoever may see it."""
        return class_of(path, self.classes) is not None

    def text_languages(self, only: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the suffixes of the text fields to search, of `only` these languages if given; always with `und`."""
        known = (language_field(code) for code in only or self.languages or ("en",))
        return tuple(dict.fromkeys((*known, OTHER_LANGUAGE)))


def language_field(code: str) -> str:
    """Return the suffix of the text fields of a language: its own code if it has fields, else `und`."""
    code = _SAME.get(code, code)
    return code if code in LANGUAGES else OTHER_LANGUAGE
