# SPDX-License-Identifier: Apache-2.0
# What `native.pyx` offers where it is built.

from collections.abc import Callable, Sequence

def all_plain(message: bytes, field: int) -> bool: ...
def framed(
    field: int, document_id: str, revision: int, body: bytes, content_hash: str, position: int, retries: int
) -> bytes: ...

class Plan:
    def __init__(
        self,
        common: bytes,
        prefix: str,
        declared: dict[str, tuple[str, bytes]],
        single: bytes | None,
        largest: int,
        most: int,
        fields: Callable[[str], str],
        detect: Callable[[str, str], str],
        words: Callable[[str, Sequence[str]], list[str]],
        key: Callable[[str], str],
        token: Callable[[str, str | float | bool], str],
        presence: Callable[[str], str],
        time: Callable[[str], int],
    ) -> None: ...
    def compile(
        self, raw: bytes, document_id: str, revision: int, revision_ms: int
    ) -> tuple[bytes, str, int] | None: ...
    def compile_all(
        self, message: bytes, field: int, prefixes: tuple[bytes, ...], first: int, step: int, first_us: int
    ) -> list[tuple[str, int, bytes, str, int, bytes, int] | None] | None: ...
