import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import resource_pb2 as _resource_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from pinakes.v1 import ranking_pb2 as _ranking_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SuggestRequest(_message.Message):
    __slots__ = ("parent", "query", "kinds", "limit", "filter", "typos")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[SuggestRequest.Kind]
        KIND_TITLE: _ClassVar[SuggestRequest.Kind]
        KIND_TERM: _ClassVar[SuggestRequest.Kind]
        KIND_CORRECTION: _ClassVar[SuggestRequest.Kind]
        KIND_RELATED: _ClassVar[SuggestRequest.Kind]
    KIND_UNSPECIFIED: SuggestRequest.Kind
    KIND_TITLE: SuggestRequest.Kind
    KIND_TERM: SuggestRequest.Kind
    KIND_CORRECTION: SuggestRequest.Kind
    KIND_RELATED: SuggestRequest.Kind
    PARENT_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    TYPOS_FIELD_NUMBER: _ClassVar[int]
    parent: str
    query: str
    kinds: _containers.RepeatedScalarFieldContainer[SuggestRequest.Kind]
    limit: int
    filter: str
    typos: _ranking_pb2.Typos
    def __init__(self, parent: _Optional[str] = ..., query: _Optional[str] = ..., kinds: _Optional[_Iterable[_Union[SuggestRequest.Kind, str]]] = ..., limit: _Optional[int] = ..., filter: _Optional[str] = ..., typos: _Optional[_Union[_ranking_pb2.Typos, str]] = ...) -> None: ...

class SuggestResponse(_message.Message):
    __slots__ = ("titles", "terms", "correction", "related", "took")
    TITLES_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    CORRECTION_FIELD_NUMBER: _ClassVar[int]
    RELATED_FIELD_NUMBER: _ClassVar[int]
    TOOK_FIELD_NUMBER: _ClassVar[int]
    titles: _containers.RepeatedCompositeFieldContainer[TitleSuggestion]
    terms: _containers.RepeatedCompositeFieldContainer[TermSuggestion]
    correction: Correction
    related: _containers.RepeatedCompositeFieldContainer[TermSuggestion]
    took: _duration_pb2.Duration
    def __init__(self, titles: _Optional[_Iterable[_Union[TitleSuggestion, _Mapping]]] = ..., terms: _Optional[_Iterable[_Union[TermSuggestion, _Mapping]]] = ..., correction: _Optional[_Union[Correction, _Mapping]] = ..., related: _Optional[_Iterable[_Union[TermSuggestion, _Mapping]]] = ..., took: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class TitleSuggestion(_message.Message):
    __slots__ = ("document", "title")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    document: str
    title: str
    def __init__(self, document: _Optional[str] = ..., title: _Optional[str] = ...) -> None: ...

class TermSuggestion(_message.Message):
    __slots__ = ("text", "count")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    text: str
    count: int
    def __init__(self, text: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Correction(_message.Message):
    __slots__ = ("query", "total_size")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    query: str
    total_size: int
    def __init__(self, query: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...
