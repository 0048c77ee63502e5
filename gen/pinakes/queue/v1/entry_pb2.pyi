from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Entry(_message.Message):
    __slots__ = ("format", "tenant_uid", "tenant_id", "collection_uid", "collection_id", "accepted_ms", "traceparent", "operation", "part", "writes", "collection_version")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    TENANT_UID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_UID_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_MS_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_VERSION_FIELD_NUMBER: _ClassVar[int]
    format: int
    tenant_uid: str
    tenant_id: str
    collection_uid: str
    collection_id: str
    accepted_ms: int
    traceparent: str
    operation: str
    part: int
    writes: _containers.RepeatedCompositeFieldContainer[Write]
    collection_version: int
    def __init__(self, format: _Optional[int] = ..., tenant_uid: _Optional[str] = ..., tenant_id: _Optional[str] = ..., collection_uid: _Optional[str] = ..., collection_id: _Optional[str] = ..., accepted_ms: _Optional[int] = ..., traceparent: _Optional[str] = ..., operation: _Optional[str] = ..., part: _Optional[int] = ..., writes: _Optional[_Iterable[_Union[Write, _Mapping]]] = ..., collection_version: _Optional[int] = ...) -> None: ...

class Write(_message.Message):
    __slots__ = ("document_id", "revision", "body", "content_hash", "position", "retries")
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    document_id: str
    revision: int
    body: bytes
    content_hash: str
    position: int
    retries: int
    def __init__(self, document_id: _Optional[str] = ..., revision: _Optional[int] = ..., body: _Optional[bytes] = ..., content_hash: _Optional[str] = ..., position: _Optional[int] = ..., retries: _Optional[int] = ...) -> None: ...

class PartOutcome(_message.Message):
    __slots__ = ("positions", "outcomes", "revisions", "document_ids", "etags", "reasons")
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    ETAGS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    positions: _containers.RepeatedScalarFieldContainer[int]
    outcomes: _containers.RepeatedScalarFieldContainer[int]
    revisions: _containers.RepeatedScalarFieldContainer[int]
    document_ids: _containers.RepeatedScalarFieldContainer[str]
    etags: _containers.RepeatedScalarFieldContainer[str]
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, positions: _Optional[_Iterable[int]] = ..., outcomes: _Optional[_Iterable[int]] = ..., revisions: _Optional[_Iterable[int]] = ..., document_ids: _Optional[_Iterable[str]] = ..., etags: _Optional[_Iterable[str]] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...
