from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TenantLimits(_message.Message):
    __slots__ = ("burst", "concurrent_requests", "search_cost_per_second", "documents_per_second", "bytes_per_second", "documents", "bytes", "collections", "keys", "enforcement", "in_force")
    class Enforcement(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ENFORCEMENT_UNSPECIFIED: _ClassVar[TenantLimits.Enforcement]
        ENFORCEMENT_REFUSE: _ClassVar[TenantLimits.Enforcement]
        ENFORCEMENT_DRY_RUN: _ClassVar[TenantLimits.Enforcement]
    ENFORCEMENT_UNSPECIFIED: TenantLimits.Enforcement
    ENFORCEMENT_REFUSE: TenantLimits.Enforcement
    ENFORCEMENT_DRY_RUN: TenantLimits.Enforcement
    BURST_FIELD_NUMBER: _ClassVar[int]
    CONCURRENT_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_COST_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    ENFORCEMENT_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    burst: float
    concurrent_requests: int
    search_cost_per_second: float
    documents_per_second: float
    bytes_per_second: float
    documents: int
    bytes: int
    collections: int
    keys: int
    enforcement: TenantLimits.Enforcement
    in_force: LimitsInForce
    def __init__(self, burst: _Optional[float] = ..., concurrent_requests: _Optional[int] = ..., search_cost_per_second: _Optional[float] = ..., documents_per_second: _Optional[float] = ..., bytes_per_second: _Optional[float] = ..., documents: _Optional[int] = ..., bytes: _Optional[int] = ..., collections: _Optional[int] = ..., keys: _Optional[int] = ..., enforcement: _Optional[_Union[TenantLimits.Enforcement, str]] = ..., in_force: _Optional[_Union[LimitsInForce, _Mapping]] = ...) -> None: ...

class KeyLimits(_message.Message):
    __slots__ = ("requests_per_second", "burst", "concurrent_requests", "search_cost_per_second", "documents_per_second", "bytes_per_second")
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    CONCURRENT_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_COST_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    requests_per_second: float
    burst: float
    concurrent_requests: int
    search_cost_per_second: float
    documents_per_second: float
    bytes_per_second: float
    def __init__(self, requests_per_second: _Optional[float] = ..., burst: _Optional[float] = ..., concurrent_requests: _Optional[int] = ..., search_cost_per_second: _Optional[float] = ..., documents_per_second: _Optional[float] = ..., bytes_per_second: _Optional[float] = ...) -> None: ...

class LimitsInForce(_message.Message):
    __slots__ = ("requests_per_second", "burst", "concurrent_requests", "search_cost_per_second", "documents_per_second", "bytes_per_second", "documents", "bytes", "collections", "keys", "dry_run")
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    CONCURRENT_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_COST_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    requests_per_second: float
    burst: float
    concurrent_requests: int
    search_cost_per_second: float
    documents_per_second: float
    bytes_per_second: float
    documents: int
    bytes: int
    collections: int
    keys: int
    dry_run: bool
    def __init__(self, requests_per_second: _Optional[float] = ..., burst: _Optional[float] = ..., concurrent_requests: _Optional[int] = ..., search_cost_per_second: _Optional[float] = ..., documents_per_second: _Optional[float] = ..., bytes_per_second: _Optional[float] = ..., documents: _Optional[int] = ..., bytes: _Optional[int] = ..., collections: _Optional[int] = ..., keys: _Optional[int] = ..., dry_run: _Optional[bool] = ...) -> None: ...
