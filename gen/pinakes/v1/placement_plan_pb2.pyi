import datetime

from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import resource_pb2 as _resource_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from pinakes.v1 import placement_pb2 as _placement_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetPlacementPlanRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PlacementPlan(_message.Message):
    __slots__ = ("read_time", "mode", "summary", "pools", "moves", "move_count", "running_moves", "running_count", "new_pools")
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MODE_UNSPECIFIED: _ClassVar[PlacementPlan.Mode]
        MODE_OFF: _ClassVar[PlacementPlan.Mode]
        MODE_PLAN: _ClassVar[PlacementPlan.Mode]
        MODE_AUTO: _ClassVar[PlacementPlan.Mode]
    MODE_UNSPECIFIED: PlacementPlan.Mode
    MODE_OFF: PlacementPlan.Mode
    MODE_PLAN: PlacementPlan.Mode
    MODE_AUTO: PlacementPlan.Mode
    READ_TIME_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    POOLS_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    MOVE_COUNT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_MOVES_FIELD_NUMBER: _ClassVar[int]
    RUNNING_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEW_POOLS_FIELD_NUMBER: _ClassVar[int]
    read_time: _timestamp_pb2.Timestamp
    mode: PlacementPlan.Mode
    summary: str
    pools: _containers.RepeatedCompositeFieldContainer[PoolState]
    moves: _containers.RepeatedCompositeFieldContainer[PlannedMove]
    move_count: int
    running_moves: _containers.RepeatedCompositeFieldContainer[RunningMove]
    running_count: int
    new_pools: _containers.RepeatedCompositeFieldContainer[PlannedPool]
    def __init__(self, read_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., mode: _Optional[_Union[PlacementPlan.Mode, str]] = ..., summary: _Optional[str] = ..., pools: _Optional[_Iterable[_Union[PoolState, _Mapping]]] = ..., moves: _Optional[_Iterable[_Union[PlannedMove, _Mapping]]] = ..., move_count: _Optional[int] = ..., running_moves: _Optional[_Iterable[_Union[RunningMove, _Mapping]]] = ..., running_count: _Optional[int] = ..., new_pools: _Optional[_Iterable[_Union[PlannedPool, _Mapping]]] = ...) -> None: ...

class PoolState(_message.Message):
    __slots__ = ("pool", "tenants", "documents", "bytes", "shards", "largest_shard_bytes", "fill", "measure", "open")
    POOL_FIELD_NUMBER: _ClassVar[int]
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    LARGEST_SHARD_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    pool: int
    tenants: int
    documents: int
    bytes: int
    shards: int
    largest_shard_bytes: int
    fill: float
    measure: str
    open: bool
    def __init__(self, pool: _Optional[int] = ..., tenants: _Optional[int] = ..., documents: _Optional[int] = ..., bytes: _Optional[int] = ..., shards: _Optional[int] = ..., largest_shard_bytes: _Optional[int] = ..., fill: _Optional[float] = ..., measure: _Optional[str] = ..., open: _Optional[bool] = ...) -> None: ...

class PlannedMove(_message.Message):
    __slots__ = ("tenant", "source", "target", "why", "reason", "documents", "bytes", "waits")
    class Why(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        WHY_UNSPECIFIED: _ClassVar[PlannedMove.Why]
        WHY_DOCUMENTS: _ClassVar[PlannedMove.Why]
        WHY_BYTES: _ClassVar[PlannedMove.Why]
        WHY_SHARD: _ClassVar[PlannedMove.Why]
        WHY_NOISE: _ClassVar[PlannedMove.Why]
        WHY_FULL: _ClassVar[PlannedMove.Why]
        WHY_SMALL: _ClassVar[PlannedMove.Why]
    WHY_UNSPECIFIED: PlannedMove.Why
    WHY_DOCUMENTS: PlannedMove.Why
    WHY_BYTES: PlannedMove.Why
    WHY_SHARD: PlannedMove.Why
    WHY_NOISE: PlannedMove.Why
    WHY_FULL: PlannedMove.Why
    WHY_SMALL: PlannedMove.Why
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    source: _placement_pb2.Place
    target: _placement_pb2.Place
    why: PlannedMove.Why
    reason: str
    documents: int
    bytes: int
    waits: str
    def __init__(self, tenant: _Optional[str] = ..., source: _Optional[_Union[_placement_pb2.Place, _Mapping]] = ..., target: _Optional[_Union[_placement_pb2.Place, _Mapping]] = ..., why: _Optional[_Union[PlannedMove.Why, str]] = ..., reason: _Optional[str] = ..., documents: _Optional[int] = ..., bytes: _Optional[int] = ..., waits: _Optional[str] = ...) -> None: ...

class RunningMove(_message.Message):
    __slots__ = ("tenant", "source", "target")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    source: _placement_pb2.Place
    target: _placement_pb2.Place
    def __init__(self, tenant: _Optional[str] = ..., source: _Optional[_Union[_placement_pb2.Place, _Mapping]] = ..., target: _Optional[_Union[_placement_pb2.Place, _Mapping]] = ...) -> None: ...

class PlannedPool(_message.Message):
    __slots__ = ("pool", "reason")
    POOL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    pool: int
    reason: str
    def __init__(self, pool: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
