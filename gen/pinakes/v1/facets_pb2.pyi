from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Facet(_message.Message):
    __slots__ = ("field", "limit", "contains", "prefix", "order", "ranges", "interval", "calendar")
    class Order(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ORDER_UNSPECIFIED: _ClassVar[Facet.Order]
        ORDER_COUNT: _ClassVar[Facet.Order]
        ORDER_VALUE: _ClassVar[Facet.Order]
    ORDER_UNSPECIFIED: Facet.Order
    ORDER_COUNT: Facet.Order
    ORDER_VALUE: Facet.Order
    class Calendar(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CALENDAR_UNSPECIFIED: _ClassVar[Facet.Calendar]
        CALENDAR_MINUTE: _ClassVar[Facet.Calendar]
        CALENDAR_HOUR: _ClassVar[Facet.Calendar]
        CALENDAR_DAY: _ClassVar[Facet.Calendar]
        CALENDAR_WEEK: _ClassVar[Facet.Calendar]
        CALENDAR_MONTH: _ClassVar[Facet.Calendar]
        CALENDAR_QUARTER: _ClassVar[Facet.Calendar]
        CALENDAR_YEAR: _ClassVar[Facet.Calendar]
    CALENDAR_UNSPECIFIED: Facet.Calendar
    CALENDAR_MINUTE: Facet.Calendar
    CALENDAR_HOUR: Facet.Calendar
    CALENDAR_DAY: Facet.Calendar
    CALENDAR_WEEK: Facet.Calendar
    CALENDAR_MONTH: Facet.Calendar
    CALENDAR_QUARTER: Facet.Calendar
    CALENDAR_YEAR: Facet.Calendar
    class Range(_message.Message):
        __slots__ = ("to", "label")
        FROM_FIELD_NUMBER: _ClassVar[int]
        TO_FIELD_NUMBER: _ClassVar[int]
        LABEL_FIELD_NUMBER: _ClassVar[int]
        to: str
        label: str
        def __init__(self, to: _Optional[str] = ..., label: _Optional[str] = ..., **kwargs) -> None: ...
    FIELD_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CONTAINS_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    CALENDAR_FIELD_NUMBER: _ClassVar[int]
    field: str
    limit: int
    contains: str
    prefix: str
    order: Facet.Order
    ranges: _containers.RepeatedCompositeFieldContainer[Facet.Range]
    interval: float
    calendar: Facet.Calendar
    def __init__(self, field: _Optional[str] = ..., limit: _Optional[int] = ..., contains: _Optional[str] = ..., prefix: _Optional[str] = ..., order: _Optional[_Union[Facet.Order, str]] = ..., ranges: _Optional[_Iterable[_Union[Facet.Range, _Mapping]]] = ..., interval: _Optional[float] = ..., calendar: _Optional[_Union[Facet.Calendar, str]] = ...) -> None: ...

class FacetResult(_message.Message):
    __slots__ = ("field", "buckets", "other_count", "more")
    class Bucket(_message.Message):
        __slots__ = ("value", "count", "to")
        VALUE_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        FROM_FIELD_NUMBER: _ClassVar[int]
        TO_FIELD_NUMBER: _ClassVar[int]
        value: str
        count: int
        to: str
        def __init__(self, value: _Optional[str] = ..., count: _Optional[int] = ..., to: _Optional[str] = ..., **kwargs) -> None: ...
    FIELD_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    OTHER_COUNT_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    field: str
    buckets: _containers.RepeatedCompositeFieldContainer[FacetResult.Bucket]
    other_count: int
    more: bool
    def __init__(self, field: _Optional[str] = ..., buckets: _Optional[_Iterable[_Union[FacetResult.Bucket, _Mapping]]] = ..., other_count: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...
