# SPDX-License-Identifier: Apache-2.0
"""Tokens that keep undeclared attributes filterable by equality: `path␟s:value` in one keyword field."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

SEPARATOR = "\x1f"
LONGEST_BYTES = 256
# Characters of a token that is short enough whatever they are: one has at most four bytes.
_SHORT = LONGEST_BYTES // 4 - len("\x1fs:")
EXACT = 1 << 53
"""Whole numbers up to here are kept exactly by a double."""


def tokens_of(attributes: Mapping[str, Any], declared: Collection[str]) -> list[str]:
    """Return the distinct tokens of a document's attributes, in order, without those the collection declares.

    Every scalar gives its value's token and the presence of its path and of each path above; null gives nothing.
    """
    tokens: dict[str, None] = {}
    for key, value in attributes.items():
        if key in declared:
            continue
        if isinstance(value, str) and len(key) + len(value) < _SHORT and SEPARATOR not in key:
            tokens[f"{key}{SEPARATOR}s:{value}"] = None  # what most attributes are, without a call
            tokens[f"{key}{SEPARATOR}*"] = None
        elif isinstance(value, (str, bool, int, float)):
            tokens[token(key, value)] = None
            tokens[presence(key)] = None
        else:
            tokens.update(dict.fromkeys(_walk((key,), value)))
    return list(tokens)


def token(path: str, value: str | float | bool) -> str:
    """Return the token of a scalar at a path of keys joined by dots."""
    return _bounded(path, _typed(value))


def presence(path: str) -> str:
    """Return the token that says that there is something at a path."""
    return _bounded(path, "*")


def _walk(keys: tuple[str, ...], value: object) -> Iterator[str]:
    """Yield the tokens of a value and of everything inside it."""
    if value is None:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk((*keys, str(key)), inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _walk(keys, inner)
    elif isinstance(value, (str, bool, int, float)):
        yield token(".".join(keys), value)
        for length in range(len(keys), 0, -1):
            yield presence(".".join(keys[:length]))
    else:
        message = f"{type(value).__name__} can't be in attributes"
        raise TypeError(message)


def _typed(value: str | float | bool) -> str:
    """Return a scalar with its type, so that "1", 1 and true stay apart."""
    if isinstance(value, str):
        return f"s:{value}"
    if isinstance(value, bool):
        return "b:true" if value else "b:false"
    number = float(value)
    whole = number.is_integer() and abs(number) <= EXACT
    return f"n:{int(number)}" if whole else f"n:{number!r}"


def _bounded(path: str, rest: str) -> str:
    """Join path and rest; a token that is too long for the index is replaced by its hash."""
    # A separator inside a key would let one attribute pass for another.
    if SEPARATOR in path:
        path = path.replace(SEPARATOR, "\ufffd")
    joined = f"{path}{SEPARATOR}{rest}"
    if len(joined) <= LONGEST_BYTES // 4:
        return joined  # however many bytes its characters have
    encoded = joined.encode("utf-8", "surrogatepass")
    if len(encoded) <= LONGEST_BYTES:
        return joined
    digest = base64.urlsafe_b64encode(hashlib.sha256(encoded).digest()).decode()[:22]
    # A path that is too long itself goes into the hash alone.
    return f"{path if len(path.encode('utf-8', 'surrogatepass')) <= LONGEST_BYTES else ''}{SEPARATOR}h:{digest}"
