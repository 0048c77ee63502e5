# SPDX-License-Identifier: Apache-2.0
"""Tenants, collections and API keys as the platform keeps them.

Processes of this version and the next run side by side, so a record may have fields that this one doesn't know. They are
kept in `more`, because a record that is changed is written whole: what the next version has written mustn't be lost.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

from pinakes.core.limits.figures import NO_KEY_LIMITS, NO_TENANT_LIMITS, KeyLimits, TenantLimits
from pinakes.core.privacy.classes import ATTRIBUTE, Pii
from pinakes.core.query.schema import Attribute, AttributeType, Schema
from pinakes.core.tenancy.placement import UNMOVED, Place, Placement

Json = dict[str, Any]
ACTIVE, DELETED = "active", "deleted"
# States of tenants alone. A suspended one is whole, and refuses; of an erased one only the record is left.
SUSPENDED, ERASED = "suspended", "erased"
WHOLE = frozenset({ACTIVE, SUSPENDED})
DEFAULT_COLLECTION = "default"
DAY_MS = 86_400_000
DEFAULT_LANGUAGES = ("en",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What every record has. `version` grows with each change; times are in ms since 1970; 0 means never.

    `marks` are those of the requests that made the last changes, each with its time (`marks.py`). `more` are the fields of
    a newer version of the platform.
    """

    version: int = 1
    state: str = ACTIVE
    create_ms: int = 0
    update_ms: int = 0
    delete_ms: int = 0
    marks: tuple[tuple[str, int], ...] = field(default=(), repr=False)
    more: Json = field(default_factory=dict, repr=False, hash=False)

    def to_json(self) -> Json:
        """Return the record as it is stored."""
        return _flat(dataclasses.asdict(self))

    @property
    def active(self) -> bool:
        """Whether it may be used."""
        return self.state == ACTIVE

    @property
    def memory(self) -> int:
        """About how many bytes it takes in memory."""
        return 1500

    def changed(self, **changes: Any) -> Self:
        """Return the next version with these changes."""
        return dataclasses.replace(self, version=self.version + 1, update_ms=now_ms(), **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRecord(Record):
    """A tenant. `placement` says which index holds its documents.

    `suspend_ms` stays set while a suspended tenant is deleted, so that it comes back as it was. `purge_ms` is when a deleted
    one goes for good; `erase_ms` is since when that is asked for or under way, and there is no way back.
    """

    tenant_id: str
    uid: str
    display_name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    rate_limit: float = 0.0
    placement: Placement = UNMOVED
    limits: TenantLimits = NO_TENANT_LIMITS
    suspend_ms: int = 0
    suspend_reason: str = ""
    purge_ms: int = 0
    erase_ms: int = 0

    @property
    def whole(self) -> bool:
        """Whether all that is its is there, though it may be suspended."""
        return self.state in WHOLE

    def goes_ms(self, days: float) -> int:
        """Return when a deleted tenant goes for good, `days` after it was deleted; an earlier version didn't write it down."""
        return self.erase_ms or self.purge_ms or self.delete_ms + round(days * DAY_MS)

    @classmethod
    def from_json(cls, record: Json) -> TenantRecord:
        """Read a stored record."""
        if "placement" in record:
            placement = Placement.from_json(record["placement"])
        else:  # as it was kept before tenants could move
            placement = Placement(active=Place(pool=record.get("pool", 0)), epoch=record.get("epoch", 1))
        parts = {"limits": TenantLimits.from_json(record.get("limits")), "placement": placement}
        old = {name: value for name, value in record.items() if name not in {"pool", "epoch"}}
        return cls(**(_read(cls, old) | parts))

    def to_json(self) -> Json:
        """Return the record as it is stored."""
        return Record.to_json(self) | {"limits": self.limits.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRecord:
    """A declared attribute and its slot; `pii` is the class of its personal data, empty for none. `more` as in `Record`."""

    name: str
    type: str
    slot: str
    sortable: bool = False
    pii: str = ""
    more: Json = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionRecord(Record):
    """A collection. `freed` are slots of removed attributes, not used again before a reindex has cleaned them.

    `search` is the message `SearchSettings` in base64: how the collection is searched. `personal` are the paths of other
    fields with personal data and their classes. `retention_ms` is how long documents are kept after a change; 0 is for
    ever. `masked` isn't stored: it says that this is the record as a caller has it who may not see personal data.
    """

    tenant_uid: str
    collection_id: str
    uid: str
    display_name: str = ""
    languages: tuple[str, ...] = DEFAULT_LANGUAGES
    attributes: tuple[SlotRecord, ...] = ()
    freed: tuple[str, ...] = ()
    search: str = ""
    personal: tuple[tuple[str, str], ...] = ()
    masked_for_services: bool = False
    retention_ms: int = 0
    masked: bool = False

    def to_json(self) -> Json:
        """Return the record as it is stored."""
        record = Record.to_json(self)
        del record["masked"]
        return record | {"attributes": [_flat(attribute) for attribute in record["attributes"]]}

    @property
    def memory(self) -> int:
        """About how many bytes it takes in memory."""
        return 1500 + 300 * len(self.attributes) + len(self.search)

    def __hash__(self) -> int:
        """Hash by what seldom agrees, so that what is compiled from a record can be looked up by it cheaply."""
        return hash((self.uid, self.version))

    @classmethod
    def from_json(cls, record: Json) -> CollectionRecord:
        """Read a stored record."""
        attributes = tuple(SlotRecord(**_read(SlotRecord, attribute)) for attribute in record["attributes"])
        rest = {
            "languages": tuple(record["languages"]),
            "freed": tuple(record["freed"]),
            "attributes": attributes,
            "personal": tuple((path, pii) for path, pii in record.get("personal", ())),
        }
        return cls(**(_read(cls, record) | rest))

    @property
    def classes(self) -> Mapping[str, Pii]:
        """Classes of personal data by the path of the field."""
        return _schema(self).classes

    def schema(self) -> Schema:
        """Return what the compilers of documents, queries and filters must know."""
        return _schema(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord(Record):
    """An API key: its keyed hash and public half, never its secret.

    `pepper` is the id of the server's key that it was hashed with. `previous_…` are those of the secret before, which works
    until `previous_until_ms`.
    """

    key_id: str
    tenant_id: str
    tenant_uid: str
    role: str
    digest: str
    public_key: str
    display_name: str = ""
    readers: tuple[str, ...] = ()
    expire_ms: int = 0
    limits: KeyLimits = NO_KEY_LIMITS
    pepper: str = ""
    rotate_ms: int = 0
    previous_digest: str = ""
    previous_pepper: str = ""
    previous_public_key: str = ""
    previous_until_ms: int = 0

    def until_ms(self, *, previous: bool) -> int:
        """When the present secret, or the one before, stops working, in ms since 1970; 0 for never."""
        ends = [end for end in (self.expire_ms, self.previous_until_ms if previous else 0) if end]
        return min(ends, default=0)

    @classmethod
    def from_json(cls, record: Json) -> KeyRecord:
        """Read a stored record."""
        limits = KeyLimits.from_json(record.get("limits"))
        return cls(**(_read(cls, record) | {"readers": tuple(record["readers"]), "limits": limits}))

    @property
    def own_limits(self) -> KeyLimits | None:
        """What the key may use if that is less than its tenant may."""
        return self.limits if self.limits != NO_KEY_LIMITS else None

    def to_json(self) -> Json:
        """Return the record as it is stored."""
        return Record.to_json(self) | {"limits": self.limits.to_json()}


def _flat(record: Json) -> Json:
    """Put the fields of a newer version back beside the others."""
    more: Json = record.pop("more")
    return more | record


def _read(kind: type, record: Json) -> Json:
    """Return a stored record as what its class is made of."""
    names = _names(kind)
    known = {name: value for name, value in record.items() if name in names}
    if "marks" in known:
        known["marks"] = tuple((text, when) for text, when in known["marks"])
    if len(known) < len(record):
        known["more"] = {name: value for name, value in record.items() if name not in names}
    return known


@lru_cache(maxsize=16)
def _names(kind: type) -> frozenset[str]:
    return frozenset(one.name for one in dataclasses.fields(kind)) - {"more"}


@lru_cache(maxsize=1024)
def _schema(record: CollectionRecord) -> Schema:
    declared = {
        a.name: Attribute(name=a.name, type=AttributeType(a.type), slot=a.slot, sortable=a.sortable)
        for a in record.attributes
    }
    classes = {ATTRIBUTE + a.name: Pii(a.pii) for a in record.attributes if a.pii}
    classes |= {path: Pii(pii) for path, pii in record.personal}
    return Schema(languages=record.languages, attributes=declared, classes=classes, masked=record.masked)


def now_ms() -> int:
    """Return the time in ms since 1970."""
    return time.time_ns() // 1_000_000
