# SPDX-License-Identifier: Apache-2.0
"""The demo's second corpus: metadata and README of every distribution that is installed beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from email.message import Message
from importlib import metadata
from typing import cast

from pinakes.demo.corpus import LONGEST_BODY, LONGEST_TAG, LONGEST_TITLE, attributes_of, document_id, shorten
from pinakes.v1.resources_pb2 import Document

MOST_TAGS = 100
MOST_REQUIREMENTS = 60


def package_documents() -> Iterator[Document]:
    """Read every installed distribution once, in the order of their names."""
    found: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions():
        name = _canonical(_told(distribution).get("Name") or "")
        if name:
            found.setdefault(name, distribution)  # the first on the path is the one that is imported
    for name in sorted(found):
        yield _document(name, found[name])


def _told(distribution: metadata.Distribution) -> Message:
    """Metadata of a distribution as the message it is written in."""
    return cast("Message", distribution.metadata)


def _canonical(name: str) -> str:
    """Name of a distribution as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _document(name: str, distribution: metadata.Distribution) -> Document:
    """Put a distribution's metadata into a document; `name` holds the bare id until it is written to a collection."""
    told = _told(distribution)
    summary = told.get("Summary") or ""
    # Newer metadata has the README as the message's payload, older as a header.
    readme = str(told.get_payload() or told.get("Description") or "")
    requires = [requirement for requirement in distribution.requires or [] if "extra ==" not in requirement]
    keywords = [word.strip() for word in re.split(r"[,;\s]+", told.get("Keywords") or "")]
    topics = [line.rpartition("::")[2].strip() for line in told.get_all("Classifier") or [] if line.startswith("Topic")]
    return Document(
        name=document_id(name),
        title=shorten(f"{told.get('Name') or name}: {summary}" if summary else name, LONGEST_TITLE),
        body=shorten(f"{summary}\n\n{readme}", LONGEST_BODY),
        tags=_tags([*keywords, *topics]),
        language="en",
        source_uri=f"https://pypi.org/project/{name}/",
        attributes=attributes_of(
            {
                "package": name,
                "version": distribution.version or "",
                "license": shorten(_license(told.get("License-Expression"), told.get("License")), 200),
                "requires_python": told.get("Requires-Python") or "",
                "requires": [shorten(requirement, 200) for requirement in requires[:MOST_REQUIREMENTS]],
                "requirements": len(requires),
                "readme_words": len(readme.split()),
                "typed": any(file.name == "py.typed" for file in distribution.files or []),
            }
        ),
    )


def _license(expression: str | None, text: str | None) -> str:
    """Name a licence: its expression, or the first line of what is often the whole text."""
    lines = (expression or text or "").strip().splitlines()
    return lines[0].strip() if lines else "unknown"


def _tags(words: Iterable[str]) -> list[str]:
    """Take each word once, as a tag may be."""
    cleaned = (shorten(word.lower(), LONGEST_TAG) for word in words)
    return list(dict.fromkeys(word for word in cleaned if word))[:MOST_TAGS]
