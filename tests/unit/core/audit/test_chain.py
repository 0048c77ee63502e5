# SPDX-License-Identifier: Apache-2.0
"""The chain: what a walk says of entries that were changed, dropped, put in, swapped or cut off."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pinakes.core.audit.chain import Head, Seal, head_of
from pinakes.core.audit.event import Event, Kind
from pinakes.core.audit.verify import Report, verify

Json = dict[str, Any]
SEAL = Seal(b"a secret of the deployment, 32 c.")


def entries(count: int, seal: Seal = SEAL) -> list[Json]:
    """Return a chain of so many entries, all of one process."""
    head, made = Head(), []
    for number in range(1, count + 1):
        event = Event(kind=Kind.CHANGE, action=f"a{number}", time=number).to_json()
        made.append(seal.link(head, event | {"origin": "p", "number": number, "event": f"p-{number}"}))
        head = head_of(made[-1])
    return made


class Kept:
    """A store and a spool that hold what they were given."""

    def __init__(self, chain: list[Json], **places: list[Head]) -> None:
        self.chain, self.kept = chain, places

    async def refresh(self) -> None:
        """Nothing to do."""

    async def walk(self) -> Any:
        yield self.chain

    async def take(self, most: int) -> list[Any]:
        return []

    async def places(self, name: str) -> list[Head]:
        return self.kept.get(name, [])


async def found(chain: list[Json], known: Head | None = None, **places: list[Head]) -> set[str]:
    """Return what sorts of things a walk finds wrong."""
    kept = cast("Any", Kept(chain, **places))
    report: Report = await verify(kept, kept, SEAL, known)
    return {finding.what for finding in report.findings}


async def test_a_chain_as_it_was_written_is_whole() -> None:
    chain = entries(5)
    assert await found(chain, head=[head_of(chain[-1])], known=head_of(chain[2])) == set()
    assert await found([]) == set()


@pytest.mark.parametrize("field", ["action", "time", "subject", "count", "sequence", "previous", "hash", "number"])
async def test_every_field_of_an_entry_counts(field: str) -> None:
    chain = entries(5)
    chain[2] = chain[2] | {field: 7 if isinstance(chain[2][field], int) else "other"}
    assert "changed" in await found(chain)


async def test_a_field_that_is_added_or_taken_away_is_found() -> None:
    chain = entries(3)
    assert "changed" in await found([chain[0], chain[1] | {"more": 1}, chain[2]])
    chain[1].pop("reason")
    assert "changed" in await found(chain)


async def test_entries_that_are_missing_are_found_wherever_they_were() -> None:
    chain = entries(6)
    head = [head_of(chain[-1])]
    assert await found(chain[1:], head=head) == {"missing"}
    assert await found(chain[:2] + chain[4:], head=head) == {"missing", "lost"}
    assert await found(chain[:-1], head=head) == {"cut"}
    assert await found([], head=head) == {"cut"}
    assert await found(chain[:-1], known=head[0]) == {"cut"}, "a head that was noted elsewhere tells it too"


def other(entry: Json, head: Head) -> Json:
    """Return an entry of the same key that says something else, behind a head."""
    return SEAL.link(head, {name: value for name, value in entry.items() if name != "hash"} | {"action": "other"})


async def test_an_entry_of_another_chain_of_the_same_key_is_found() -> None:
    chain = entries(5)
    swapped = other(chain[2], head_of(chain[1]))
    assert await found([*chain[:2], swapped, *chain[3:]]) == {"replaced"}
    assert await found([*chain[:4], other(chain[4], head_of(chain[3]))], head=[head_of(chain[4])]) == {"replaced"}
    assert await found([*chain[:3], chain[2], *chain[3:]]) == {"replaced"}


async def test_without_the_key_nothing_can_be_put_in() -> None:
    chain = entries(3)
    forged = Seal(b"another secret").link(head_of(chain[2]), chain[2] | {"number": 4})
    assert await found([*chain, forged]) == {"changed"}


async def test_what_was_dropped_by_age_is_known_by_its_anchor() -> None:
    chain = entries(6)
    assert await found(chain[3:], anchor=[head_of(chain[2])]) == set()
    assert await found(chain[2:], anchor=[head_of(chain[2])]) == set(), "one that is just being dropped"
    assert await found(chain[4:], anchor=[head_of(chain[2])]) == {"missing"}
    assert await found(chain[3:]) == {"missing"}


def test_what_is_packed_can_only_be_unpacked_as_it_was() -> None:
    packed = SEAL.pack({"a": 1})
    assert SEAL.unpack(packed) == {"a": 1}
    for other in (
        packed.replace(b"1", b"2"),
        b"",
        b"[]",
        b"null",
        b'{"body":1,"mac":"x"}',
        b"\xff",
        Seal(b"x").pack({"a": 1}),
    ):
        assert SEAL.unpack(other) is None
