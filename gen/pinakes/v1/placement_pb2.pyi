import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import resource_pb2 as _resource_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Place(_message.Message):
    __slots__ = ("kind", "pool", "shards")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Place.Kind]
        KIND_POOLED: _ClassVar[Place.Kind]
        KIND_DEDICATED: _ClassVar[Place.Kind]
    KIND_UNSPECIFIED: Place.Kind
    KIND_POOLED: Place.Kind
    KIND_DEDICATED: Place.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    kind: Place.Kind
    pool: int
    shards: int
    def __init__(self, kind: _Optional[_Union[Place.Kind, str]] = ..., pool: _Optional[int] = ..., shards: _Optional[int] = ...) -> None: ...

class Placement(_message.Message):
    __slots__ = ("place", "state", "epoch", "source", "target", "operation", "rolled_back", "window_end_time", "steps")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Placement.State]
        STATE_SETTLED: _ClassVar[Placement.State]
        STATE_PREPARING: _ClassVar[Placement.State]
        STATE_COPYING: _ClassVar[Placement.State]
        STATE_SWITCHING: _ClassVar[Placement.State]
        STATE_WINDOW: _ClassVar[Placement.State]
        STATE_FINISHING: _ClassVar[Placement.State]
    STATE_UNSPECIFIED: Placement.State
    STATE_SETTLED: Placement.State
    STATE_PREPARING: Placement.State
    STATE_COPYING: Placement.State
    STATE_SWITCHING: Placement.State
    STATE_WINDOW: Placement.State
    STATE_FINISHING: Placement.State
    class StepTime(_message.Message):
        __slots__ = ("state", "time")
        STATE_FIELD_NUMBER: _ClassVar[int]
        TIME_FIELD_NUMBER: _ClassVar[int]
        state: Placement.State
        time: _timestamp_pb2.Timestamp
        def __init__(self, state: _Optional[_Union[Placement.State, str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    PLACE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    ROLLED_BACK_FIELD_NUMBER: _ClassVar[int]
    WINDOW_END_TIME_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    place: Place
    state: Placement.State
    epoch: int
    source: Place
    target: Place
    operation: str
    rolled_back: bool
    window_end_time: _timestamp_pb2.Timestamp
    steps: _containers.RepeatedCompositeFieldContainer[Placement.StepTime]
    def __init__(self, place: _Optional[_Union[Place, _Mapping]] = ..., state: _Optional[_Union[Placement.State, str]] = ..., epoch: _Optional[int] = ..., source: _Optional[_Union[Place, _Mapping]] = ..., target: _Optional[_Union[Place, _Mapping]] = ..., operation: _Optional[str] = ..., rolled_back: _Optional[bool] = ..., window_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., steps: _Optional[_Iterable[_Union[Placement.StepTime, _Mapping]]] = ...) -> None: ...

class MoveTenantRequest(_message.Message):
    __slots__ = ("name", "pool", "dedicated", "rollback_window", "validate_only", "request_id")
    class Dedicated(_message.Message):
        __slots__ = ("shards",)
        SHARDS_FIELD_NUMBER: _ClassVar[int]
        shards: int
        def __init__(self, shards: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    DEDICATED_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_WINDOW_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    pool: int
    dedicated: MoveTenantRequest.Dedicated
    rollback_window: _duration_pb2.Duration
    validate_only: bool
    request_id: str
    def __init__(self, name: _Optional[str] = ..., pool: _Optional[int] = ..., dedicated: _Optional[_Union[MoveTenantRequest.Dedicated, _Mapping]] = ..., rollback_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class MoveTenantResponse(_message.Message):
    __slots__ = ("placement", "compared_count", "checksum")
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    COMPARED_COUNT_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    placement: Placement
    compared_count: int
    checksum: str
    def __init__(self, placement: _Optional[_Union[Placement, _Mapping]] = ..., compared_count: _Optional[int] = ..., checksum: _Optional[str] = ...) -> None: ...
