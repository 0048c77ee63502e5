import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import client_pb2 as _client_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import resource_pb2 as _resource_pb2
from google.longrunning import operations_pb2 as _operations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.rpc import status_pb2 as _status_pb2
from pinakes.v1 import failures_pb2 as _failures_pb2
from pinakes.v1 import operations_pb2 as _operations_pb2_1
from pinakes.v1 import resources_pb2 as _resources_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WriteMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WRITE_MODE_UNSPECIFIED: _ClassVar[WriteMode]
    WRITE_MODE_ACCEPTED: _ClassVar[WriteMode]
    WRITE_MODE_APPLIED: _ClassVar[WriteMode]
    WRITE_MODE_SEARCHABLE: _ClassVar[WriteMode]
WRITE_MODE_UNSPECIFIED: WriteMode
WRITE_MODE_ACCEPTED: WriteMode
WRITE_MODE_APPLIED: WriteMode
WRITE_MODE_SEARCHABLE: WriteMode

class CreateCollectionRequest(_message.Message):
    __slots__ = ("parent", "collection", "collection_id", "validate_only", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    collection: _resources_pb2.Collection
    collection_id: str
    validate_only: bool
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., collection: _Optional[_Union[_resources_pb2.Collection, _Mapping]] = ..., collection_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetCollectionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListCollectionsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCollectionsResponse(_message.Message):
    __slots__ = ("collections", "next_page_token")
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collections: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Collection]
    next_page_token: str
    def __init__(self, collections: _Optional[_Iterable[_Union[_resources_pb2.Collection, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateCollectionRequest(_message.Message):
    __slots__ = ("collection", "update_mask", "validate_only", "request_id")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    collection: _resources_pb2.Collection
    update_mask: _field_mask_pb2.FieldMask
    validate_only: bool
    request_id: str
    def __init__(self, collection: _Optional[_Union[_resources_pb2.Collection, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteCollectionRequest(_message.Message):
    __slots__ = ("name", "etag", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateDocumentRequest(_message.Message):
    __slots__ = ("parent", "document", "document_id", "mode", "validate_only", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    document: _resources_pb2.Document
    document_id: str
    mode: WriteMode
    validate_only: bool
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., document: _Optional[_Union[_resources_pb2.Document, _Mapping]] = ..., document_id: _Optional[str] = ..., mode: _Optional[_Union[WriteMode, str]] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetDocumentRequest(_message.Message):
    __slots__ = ("name", "read_mask")
    NAME_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    name: str
    read_mask: _field_mask_pb2.FieldMask
    def __init__(self, name: _Optional[str] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateDocumentRequest(_message.Message):
    __slots__ = ("document", "update_mask", "allow_missing", "mode", "validate_only", "request_id")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ALLOW_MISSING_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    document: _resources_pb2.Document
    update_mask: _field_mask_pb2.FieldMask
    allow_missing: bool
    mode: WriteMode
    validate_only: bool
    request_id: str
    def __init__(self, document: _Optional[_Union[_resources_pb2.Document, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., allow_missing: _Optional[bool] = ..., mode: _Optional[_Union[WriteMode, str]] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteDocumentRequest(_message.Message):
    __slots__ = ("name", "etag", "allow_missing", "mode", "validate_only", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    ALLOW_MISSING_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    allow_missing: bool
    mode: WriteMode
    validate_only: bool
    request_id: str
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ..., allow_missing: _Optional[bool] = ..., mode: _Optional[_Union[WriteMode, str]] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class UndeleteDocumentRequest(_message.Message):
    __slots__ = ("name", "mode", "validate_only", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    mode: WriteMode
    validate_only: bool
    request_id: str
    def __init__(self, name: _Optional[str] = ..., mode: _Optional[_Union[WriteMode, str]] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class ListDocumentsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token", "filter", "order_by", "read_mask")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    filter: str
    order_by: str
    read_mask: _field_mask_pb2.FieldMask
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[str] = ..., order_by: _Optional[str] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class ListDocumentsResponse(_message.Message):
    __slots__ = ("documents", "next_page_token")
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    documents: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Document]
    next_page_token: str
    def __init__(self, documents: _Optional[_Iterable[_Union[_resources_pb2.Document, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class BatchGetDocumentsRequest(_message.Message):
    __slots__ = ("parent", "names", "read_mask")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    parent: str
    names: _containers.RepeatedScalarFieldContainer[str]
    read_mask: _field_mask_pb2.FieldMask
    def __init__(self, parent: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class BatchGetDocumentsResponse(_message.Message):
    __slots__ = ("documents", "missing")
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    documents: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Document]
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, documents: _Optional[_Iterable[_Union[_resources_pb2.Document, _Mapping]]] = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class DocumentWrite(_message.Message):
    __slots__ = ("put", "delete")
    PUT_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    put: _resources_pb2.Document
    delete: DocumentDeletion
    def __init__(self, put: _Optional[_Union[_resources_pb2.Document, _Mapping]] = ..., delete: _Optional[_Union[DocumentDeletion, _Mapping]] = ...) -> None: ...

class DocumentDeletion(_message.Message):
    __slots__ = ("name", "etag")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class BatchWriteDocumentsRequest(_message.Message):
    __slots__ = ("parent", "writes", "mode", "validate_only", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    writes: _containers.RepeatedCompositeFieldContainer[DocumentWrite]
    mode: WriteMode
    validate_only: bool
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., writes: _Optional[_Iterable[_Union[DocumentWrite, _Mapping]]] = ..., mode: _Optional[_Union[WriteMode, str]] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class BatchWriteDocumentsResponse(_message.Message):
    __slots__ = ("results", "mode", "operation")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[WriteResult]
    mode: WriteMode
    operation: str
    def __init__(self, results: _Optional[_Iterable[_Union[WriteResult, _Mapping]]] = ..., mode: _Optional[_Union[WriteMode, str]] = ..., operation: _Optional[str] = ...) -> None: ...

class WriteResult(_message.Message):
    __slots__ = ("name", "outcome", "etag", "revision", "status")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[WriteResult.Outcome]
        OUTCOME_CREATED: _ClassVar[WriteResult.Outcome]
        OUTCOME_UPDATED: _ClassVar[WriteResult.Outcome]
        OUTCOME_DELETED: _ClassVar[WriteResult.Outcome]
        OUTCOME_NOT_FOUND: _ClassVar[WriteResult.Outcome]
        OUTCOME_SUPERSEDED: _ClassVar[WriteResult.Outcome]
        OUTCOME_CONFLICT: _ClassVar[WriteResult.Outcome]
        OUTCOME_REJECTED: _ClassVar[WriteResult.Outcome]
        OUTCOME_FAILED: _ClassVar[WriteResult.Outcome]
        OUTCOME_ACCEPTED: _ClassVar[WriteResult.Outcome]
        OUTCOME_UNCHANGED: _ClassVar[WriteResult.Outcome]
    OUTCOME_UNSPECIFIED: WriteResult.Outcome
    OUTCOME_CREATED: WriteResult.Outcome
    OUTCOME_UPDATED: WriteResult.Outcome
    OUTCOME_DELETED: WriteResult.Outcome
    OUTCOME_NOT_FOUND: WriteResult.Outcome
    OUTCOME_SUPERSEDED: WriteResult.Outcome
    OUTCOME_CONFLICT: WriteResult.Outcome
    OUTCOME_REJECTED: WriteResult.Outcome
    OUTCOME_FAILED: WriteResult.Outcome
    OUTCOME_ACCEPTED: WriteResult.Outcome
    OUTCOME_UNCHANGED: WriteResult.Outcome
    NAME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    name: str
    outcome: WriteResult.Outcome
    etag: str
    revision: int
    status: _status_pb2.Status
    def __init__(self, name: _Optional[str] = ..., outcome: _Optional[_Union[WriteResult.Outcome, str]] = ..., etag: _Optional[str] = ..., revision: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class StreamWriteDocumentsRequest(_message.Message):
    __slots__ = ("parent", "mode", "stream_id", "sequence", "writes")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    parent: str
    mode: WriteMode
    stream_id: str
    sequence: int
    writes: _containers.RepeatedCompositeFieldContainer[DocumentWrite]
    def __init__(self, parent: _Optional[str] = ..., mode: _Optional[_Union[WriteMode, str]] = ..., stream_id: _Optional[str] = ..., sequence: _Optional[int] = ..., writes: _Optional[_Iterable[_Union[DocumentWrite, _Mapping]]] = ...) -> None: ...

class StreamWriteDocumentsResponse(_message.Message):
    __slots__ = ("opened", "acknowledgement", "backoff", "shutdown")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIELD_NUMBER: _ClassVar[int]
    SHUTDOWN_FIELD_NUMBER: _ClassVar[int]
    opened: StreamOpened
    acknowledgement: StreamAcknowledgement
    backoff: StreamBackoff
    shutdown: StreamShutdown
    def __init__(self, opened: _Optional[_Union[StreamOpened, _Mapping]] = ..., acknowledgement: _Optional[_Union[StreamAcknowledgement, _Mapping]] = ..., backoff: _Optional[_Union[StreamBackoff, _Mapping]] = ..., shutdown: _Optional[_Union[StreamShutdown, _Mapping]] = ...) -> None: ...

class StreamOpened(_message.Message):
    __slots__ = ("resume_after", "window", "max_message_bytes", "mode")
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    resume_after: int
    window: int
    max_message_bytes: int
    mode: WriteMode
    def __init__(self, resume_after: _Optional[int] = ..., window: _Optional[int] = ..., max_message_bytes: _Optional[int] = ..., mode: _Optional[_Union[WriteMode, str]] = ...) -> None: ...

class StreamAcknowledgement(_message.Message):
    __slots__ = ("sequence", "outcomes", "revisions", "faults")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    outcomes: _containers.RepeatedScalarFieldContainer[WriteResult.Outcome]
    revisions: _containers.RepeatedScalarFieldContainer[int]
    faults: _containers.RepeatedCompositeFieldContainer[StreamFault]
    def __init__(self, sequence: _Optional[int] = ..., outcomes: _Optional[_Iterable[_Union[WriteResult.Outcome, str]]] = ..., revisions: _Optional[_Iterable[int]] = ..., faults: _Optional[_Iterable[_Union[StreamFault, _Mapping]]] = ...) -> None: ...

class StreamFault(_message.Message):
    __slots__ = ("index", "name", "status")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    index: int
    name: str
    status: _status_pb2.Status
    def __init__(self, index: _Optional[int] = ..., name: _Optional[str] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class StreamBackoff(_message.Message):
    __slots__ = ("retry_delay", "reason")
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    retry_delay: _duration_pb2.Duration
    reason: str
    def __init__(self, retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class StreamShutdown(_message.Message):
    __slots__ = ("grace",)
    GRACE_FIELD_NUMBER: _ClassVar[int]
    grace: _duration_pb2.Duration
    def __init__(self, grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
