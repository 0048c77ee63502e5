import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import client_pb2 as _client_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import resource_pb2 as _resource_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.rpc import status_pb2 as _status_pb2
from pinakes.v1 import facets_pb2 as _facets_pb2
from pinakes.v1 import insights_pb2 as _insights_pb2
from pinakes.v1 import ranking_pb2 as _ranking_pb2
from pinakes.v1 import resources_pb2 as _resources_pb2
from pinakes.v1 import suggest_pb2 as _suggest_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SearchRequest(_message.Message):
    __slots__ = ("parent", "query", "filter", "order_by", "page_size", "page_token", "read_mask", "matching", "typos", "ranking", "languages", "facets", "highlight", "collapse", "explain", "without_curation")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    MATCHING_FIELD_NUMBER: _ClassVar[int]
    TYPOS_FIELD_NUMBER: _ClassVar[int]
    RANKING_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    FACETS_FIELD_NUMBER: _ClassVar[int]
    HIGHLIGHT_FIELD_NUMBER: _ClassVar[int]
    COLLAPSE_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_CURATION_FIELD_NUMBER: _ClassVar[int]
    parent: str
    query: str
    filter: str
    order_by: str
    page_size: int
    page_token: str
    read_mask: _field_mask_pb2.FieldMask
    matching: _ranking_pb2.Matching
    typos: _ranking_pb2.Typos
    ranking: _ranking_pb2.Ranking
    languages: _containers.RepeatedScalarFieldContainer[str]
    facets: _containers.RepeatedCompositeFieldContainer[_facets_pb2.Facet]
    highlight: Highlight
    collapse: str
    explain: bool
    without_curation: bool
    def __init__(self, parent: _Optional[str] = ..., query: _Optional[str] = ..., filter: _Optional[str] = ..., order_by: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., matching: _Optional[_Union[_ranking_pb2.Matching, str]] = ..., typos: _Optional[_Union[_ranking_pb2.Typos, str]] = ..., ranking: _Optional[_Union[_ranking_pb2.Ranking, _Mapping]] = ..., languages: _Optional[_Iterable[str]] = ..., facets: _Optional[_Iterable[_Union[_facets_pb2.Facet, _Mapping]]] = ..., highlight: _Optional[_Union[Highlight, _Mapping]] = ..., collapse: _Optional[str] = ..., explain: _Optional[bool] = ..., without_curation: _Optional[bool] = ...) -> None: ...

class Highlight(_message.Message):
    __slots__ = ("fields", "passages", "passage_chars", "before", "after", "plain")
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_CHARS_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    PLAIN_FIELD_NUMBER: _ClassVar[int]
    fields: _containers.RepeatedScalarFieldContainer[str]
    passages: int
    passage_chars: int
    before: str
    after: str
    plain: bool
    def __init__(self, fields: _Optional[_Iterable[str]] = ..., passages: _Optional[int] = ..., passage_chars: _Optional[int] = ..., before: _Optional[str] = ..., after: _Optional[str] = ..., plain: _Optional[bool] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("results", "next_page_token", "total_size", "total_size_capped", "took", "cached", "facets", "coverage", "degraded", "search_id", "correction")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_CAPPED_FIELD_NUMBER: _ClassVar[int]
    TOOK_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    FACETS_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    SEARCH_ID_FIELD_NUMBER: _ClassVar[int]
    CORRECTION_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SearchResult]
    next_page_token: str
    total_size: int
    total_size_capped: bool
    took: _duration_pb2.Duration
    cached: bool
    facets: _containers.RepeatedCompositeFieldContainer[_facets_pb2.FacetResult]
    coverage: Coverage
    degraded: bool
    search_id: str
    correction: _suggest_pb2.Correction
    def __init__(self, results: _Optional[_Iterable[_Union[SearchResult, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ..., total_size_capped: _Optional[bool] = ..., took: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cached: _Optional[bool] = ..., facets: _Optional[_Iterable[_Union[_facets_pb2.FacetResult, _Mapping]]] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., degraded: _Optional[bool] = ..., search_id: _Optional[str] = ..., correction: _Optional[_Union[_suggest_pb2.Correction, _Mapping]] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("shards", "answered", "reason")
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    shards: int
    answered: int
    reason: str
    def __init__(self, shards: _Optional[int] = ..., answered: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class SearchResult(_message.Message):
    __slots__ = ("document", "score", "highlights", "reasons", "pinned")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    HIGHLIGHTS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    document: _resources_pb2.Document
    score: float
    highlights: _containers.RepeatedCompositeFieldContainer[Passages]
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    pinned: bool
    def __init__(self, document: _Optional[_Union[_resources_pb2.Document, _Mapping]] = ..., score: _Optional[float] = ..., highlights: _Optional[_Iterable[_Union[Passages, _Mapping]]] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ..., pinned: _Optional[bool] = ...) -> None: ...

class Passages(_message.Message):
    __slots__ = ("field", "texts")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    field: str
    texts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, field: _Optional[str] = ..., texts: _Optional[_Iterable[str]] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("text", "term", "field", "matches")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    text: str
    term: str
    field: str
    matches: bool
    def __init__(self, text: _Optional[str] = ..., term: _Optional[str] = ..., field: _Optional[str] = ..., matches: _Optional[bool] = ...) -> None: ...

class BatchSearchRequest(_message.Message):
    __slots__ = ("parent", "requests")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    parent: str
    requests: _containers.RepeatedCompositeFieldContainer[SearchRequest]
    def __init__(self, parent: _Optional[str] = ..., requests: _Optional[_Iterable[_Union[SearchRequest, _Mapping]]] = ...) -> None: ...

class BatchSearchResponse(_message.Message):
    __slots__ = ("outcomes", "took")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    TOOK_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[BatchSearchOutcome]
    took: _duration_pb2.Duration
    def __init__(self, outcomes: _Optional[_Iterable[_Union[BatchSearchOutcome, _Mapping]]] = ..., took: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class BatchSearchOutcome(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: SearchResponse
    error: _status_pb2.Status
    def __init__(self, response: _Optional[_Union[SearchResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class CountDocumentsRequest(_message.Message):
    __slots__ = ("parent", "query", "filter", "matching", "typos")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    MATCHING_FIELD_NUMBER: _ClassVar[int]
    TYPOS_FIELD_NUMBER: _ClassVar[int]
    parent: str
    query: str
    filter: str
    matching: _ranking_pb2.Matching
    typos: _ranking_pb2.Typos
    def __init__(self, parent: _Optional[str] = ..., query: _Optional[str] = ..., filter: _Optional[str] = ..., matching: _Optional[_Union[_ranking_pb2.Matching, str]] = ..., typos: _Optional[_Union[_ranking_pb2.Typos, str]] = ...) -> None: ...

class CountDocumentsResponse(_message.Message):
    __slots__ = ("total_size", "coverage", "took")
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    TOOK_FIELD_NUMBER: _ClassVar[int]
    total_size: int
    coverage: Coverage
    took: _duration_pb2.Duration
    def __init__(self, total_size: _Optional[int] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., took: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ExplainDocumentRequest(_message.Message):
    __slots__ = ("name", "search")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    name: str
    search: SearchRequest
    def __init__(self, name: _Optional[str] = ..., search: _Optional[_Union[SearchRequest, _Mapping]] = ...) -> None: ...

class ExplainDocumentResponse(_message.Message):
    __slots__ = ("verdict", "text", "reasons", "score", "position")
    class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERDICT_UNSPECIFIED: _ClassVar[ExplainDocumentResponse.Verdict]
        VERDICT_FOUND: _ClassVar[ExplainDocumentResponse.Verdict]
        VERDICT_QUERY: _ClassVar[ExplainDocumentResponse.Verdict]
        VERDICT_FILTER: _ClassVar[ExplainDocumentResponse.Verdict]
        VERDICT_HIDDEN: _ClassVar[ExplainDocumentResponse.Verdict]
        VERDICT_NOT_YET: _ClassVar[ExplainDocumentResponse.Verdict]
        VERDICT_COLLAPSED: _ClassVar[ExplainDocumentResponse.Verdict]
    VERDICT_UNSPECIFIED: ExplainDocumentResponse.Verdict
    VERDICT_FOUND: ExplainDocumentResponse.Verdict
    VERDICT_QUERY: ExplainDocumentResponse.Verdict
    VERDICT_FILTER: ExplainDocumentResponse.Verdict
    VERDICT_HIDDEN: ExplainDocumentResponse.Verdict
    VERDICT_NOT_YET: ExplainDocumentResponse.Verdict
    VERDICT_COLLAPSED: ExplainDocumentResponse.Verdict
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    verdict: ExplainDocumentResponse.Verdict
    text: str
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    score: float
    position: int
    def __init__(self, verdict: _Optional[_Union[ExplainDocumentResponse.Verdict, str]] = ..., text: _Optional[str] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ..., score: _Optional[float] = ..., position: _Optional[int] = ...) -> None: ...
