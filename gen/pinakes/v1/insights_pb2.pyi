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

class RecordEventRequest(_message.Message):
    __slots__ = ("parent", "search_id", "type", "document", "position")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[RecordEventRequest.Type]
        TYPE_CLICK: _ClassVar[RecordEventRequest.Type]
        TYPE_CONVERSION: _ClassVar[RecordEventRequest.Type]
    TYPE_UNSPECIFIED: RecordEventRequest.Type
    TYPE_CLICK: RecordEventRequest.Type
    TYPE_CONVERSION: RecordEventRequest.Type
    PARENT_FIELD_NUMBER: _ClassVar[int]
    SEARCH_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    parent: str
    search_id: str
    type: RecordEventRequest.Type
    document: str
    position: int
    def __init__(self, parent: _Optional[str] = ..., search_id: _Optional[str] = ..., type: _Optional[_Union[RecordEventRequest.Type, str]] = ..., document: _Optional[str] = ..., position: _Optional[int] = ...) -> None: ...

class RecordEventResponse(_message.Message):
    __slots__ = ("kept",)
    KEPT_FIELD_NUMBER: _ClassVar[int]
    kept: bool
    def __init__(self, kept: _Optional[bool] = ...) -> None: ...

class GetSearchInsightsRequest(_message.Message):
    __slots__ = ("parent", "start_time", "end_time", "limit")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    limit: int
    def __init__(self, parent: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class GetSearchInsightsResponse(_message.Message):
    __slots__ = ("searches", "without_results", "clicks", "conversions", "top_queries", "queries_without_results", "slow_queries", "retention")
    SEARCHES_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_RESULTS_FIELD_NUMBER: _ClassVar[int]
    CLICKS_FIELD_NUMBER: _ClassVar[int]
    CONVERSIONS_FIELD_NUMBER: _ClassVar[int]
    TOP_QUERIES_FIELD_NUMBER: _ClassVar[int]
    QUERIES_WITHOUT_RESULTS_FIELD_NUMBER: _ClassVar[int]
    SLOW_QUERIES_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    searches: int
    without_results: int
    clicks: int
    conversions: int
    top_queries: _containers.RepeatedCompositeFieldContainer[QueryInsight]
    queries_without_results: _containers.RepeatedCompositeFieldContainer[QueryInsight]
    slow_queries: _containers.RepeatedCompositeFieldContainer[QueryInsight]
    retention: _duration_pb2.Duration
    def __init__(self, searches: _Optional[int] = ..., without_results: _Optional[int] = ..., clicks: _Optional[int] = ..., conversions: _Optional[int] = ..., top_queries: _Optional[_Iterable[_Union[QueryInsight, _Mapping]]] = ..., queries_without_results: _Optional[_Iterable[_Union[QueryInsight, _Mapping]]] = ..., slow_queries: _Optional[_Iterable[_Union[QueryInsight, _Mapping]]] = ..., retention: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class QueryInsight(_message.Message):
    __slots__ = ("query", "searches", "without_results", "clicks", "conversions", "mean_click_position", "p95_took")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    SEARCHES_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_RESULTS_FIELD_NUMBER: _ClassVar[int]
    CLICKS_FIELD_NUMBER: _ClassVar[int]
    CONVERSIONS_FIELD_NUMBER: _ClassVar[int]
    MEAN_CLICK_POSITION_FIELD_NUMBER: _ClassVar[int]
    P95_TOOK_FIELD_NUMBER: _ClassVar[int]
    query: str
    searches: int
    without_results: int
    clicks: int
    conversions: int
    mean_click_position: float
    p95_took: _duration_pb2.Duration
    def __init__(self, query: _Optional[str] = ..., searches: _Optional[int] = ..., without_results: _Optional[int] = ..., clicks: _Optional[int] = ..., conversions: _Optional[int] = ..., mean_click_position: _Optional[float] = ..., p95_took: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
