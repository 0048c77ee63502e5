# SPDX-License-Identifier: Apache-2.0
# What `native.pyx` offers where it is built.

from collections.abc import Callable, Sequence

def all_plain(message: bytes, field: int) -> bool: ...

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
