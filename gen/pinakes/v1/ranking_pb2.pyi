import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Matching(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MATCHING_UNSPECIFIED: _ClassVar[Matching]
    MATCHING_MOST: _ClassVar[Matching]
    MATCHING_ALL: _ClassVar[Matching]
    MATCHING_ANY: _ClassVar[Matching]

class Typos(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TYPOS_UNSPECIFIED: _ClassVar[Typos]
    TYPOS_TOLERATED: _ClassVar[Typos]
    TYPOS_REFUSED: _ClassVar[Typos]
MATCHING_UNSPECIFIED: Matching
MATCHING_MOST: Matching
MATCHING_ALL: Matching
MATCHING_ANY: Matching
TYPOS_UNSPECIFIED: Typos
TYPOS_TOLERATED: Typos
TYPOS_REFUSED: Typos

class SearchSettings(_message.Message):
    __slots__ = ("matching", "typos", "ranking", "synonyms", "stop_words", "curations", "insights")
    class Insights(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        INSIGHTS_UNSPECIFIED: _ClassVar[SearchSettings.Insights]
        INSIGHTS_KEPT: _ClassVar[SearchSettings.Insights]
        INSIGHTS_OFF: _ClassVar[SearchSettings.Insights]
    INSIGHTS_UNSPECIFIED: SearchSettings.Insights
    INSIGHTS_KEPT: SearchSettings.Insights
    INSIGHTS_OFF: SearchSettings.Insights
    MATCHING_FIELD_NUMBER: _ClassVar[int]
    TYPOS_FIELD_NUMBER: _ClassVar[int]
    RANKING_FIELD_NUMBER: _ClassVar[int]
    SYNONYMS_FIELD_NUMBER: _ClassVar[int]
    STOP_WORDS_FIELD_NUMBER: _ClassVar[int]
    CURATIONS_FIELD_NUMBER: _ClassVar[int]
    INSIGHTS_FIELD_NUMBER: _ClassVar[int]
    matching: Matching
    typos: Typos
    ranking: Ranking
    synonyms: _containers.RepeatedCompositeFieldContainer[Synonym]
    stop_words: _containers.RepeatedScalarFieldContainer[str]
    curations: _containers.RepeatedCompositeFieldContainer[Curation]
    insights: SearchSettings.Insights
    def __init__(self, matching: _Optional[_Union[Matching, str]] = ..., typos: _Optional[_Union[Typos, str]] = ..., ranking: _Optional[_Union[Ranking, _Mapping]] = ..., synonyms: _Optional[_Iterable[_Union[Synonym, _Mapping]]] = ..., stop_words: _Optional[_Iterable[str]] = ..., curations: _Optional[_Iterable[_Union[Curation, _Mapping]]] = ..., insights: _Optional[_Union[SearchSettings.Insights, str]] = ...) -> None: ...

class Ranking(_message.Message):
    __slots__ = ("title", "tags", "body", "text_attributes", "freshness", "boosts")
    class TextAttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    TEXT_ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    BOOSTS_FIELD_NUMBER: _ClassVar[int]
    title: float
    tags: float
    body: float
    text_attributes: _containers.ScalarMap[str, float]
    freshness: Freshness
    boosts: _containers.RepeatedCompositeFieldContainer[Boost]
    def __init__(self, title: _Optional[float] = ..., tags: _Optional[float] = ..., body: _Optional[float] = ..., text_attributes: _Optional[_Mapping[str, float]] = ..., freshness: _Optional[_Union[Freshness, _Mapping]] = ..., boosts: _Optional[_Iterable[_Union[Boost, _Mapping]]] = ...) -> None: ...

class Freshness(_message.Message):
    __slots__ = ("field", "half_life", "weight")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    HALF_LIFE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    field: str
    half_life: _duration_pb2.Duration
    weight: float
    def __init__(self, field: _Optional[str] = ..., half_life: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., weight: _Optional[float] = ...) -> None: ...

class Boost(_message.Message):
    __slots__ = ("filter", "number", "weight", "scale")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    filter: str
    number: str
    weight: float
    scale: float
    def __init__(self, filter: _Optional[str] = ..., number: _Optional[str] = ..., weight: _Optional[float] = ..., scale: _Optional[float] = ...) -> None: ...

class Synonym(_message.Message):
    __slots__ = ("words", "means")
    WORDS_FIELD_NUMBER: _ClassVar[int]
    MEANS_FIELD_NUMBER: _ClassVar[int]
    words: _containers.RepeatedScalarFieldContainer[str]
    means: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, words: _Optional[_Iterable[str]] = ..., means: _Optional[_Iterable[str]] = ...) -> None: ...

class Curation(_message.Message):
    __slots__ = ("query", "match", "pins", "hides", "start_time", "end_time")
    class Match(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MATCH_UNSPECIFIED: _ClassVar[Curation.Match]
        MATCH_EXACT: _ClassVar[Curation.Match]
        MATCH_PREFIX: _ClassVar[Curation.Match]
    MATCH_UNSPECIFIED: Curation.Match
    MATCH_EXACT: Curation.Match
    MATCH_PREFIX: Curation.Match
    QUERY_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    PINS_FIELD_NUMBER: _ClassVar[int]
    HIDES_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    query: str
    match: Curation.Match
    pins: _containers.RepeatedScalarFieldContainer[str]
    hides: _containers.RepeatedScalarFieldContainer[str]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, query: _Optional[str] = ..., match: _Optional[_Union[Curation.Match, str]] = ..., pins: _Optional[_Iterable[str]] = ..., hides: _Optional[_Iterable[str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
