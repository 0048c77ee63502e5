from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PersonalDataClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PERSONAL_DATA_CLASS_UNSPECIFIED: _ClassVar[PersonalDataClass]
    PERSONAL_DATA_CLASS_MASK: _ClassVar[PersonalDataClass]
    PERSONAL_DATA_CLASS_HASH: _ClassVar[PersonalDataClass]
    PERSONAL_DATA_CLASS_OMIT_FROM_LOGS: _ClassVar[PersonalDataClass]
    PERSONAL_DATA_CLASS_NONE: _ClassVar[PersonalDataClass]
PERSONAL_DATA_CLASS_UNSPECIFIED: PersonalDataClass
PERSONAL_DATA_CLASS_MASK: PersonalDataClass
PERSONAL_DATA_CLASS_HASH: PersonalDataClass
PERSONAL_DATA_CLASS_OMIT_FROM_LOGS: PersonalDataClass
PERSONAL_DATA_CLASS_NONE: PersonalDataClass

class PersonalDataRule(_message.Message):
    __slots__ = ("path", "pii")
    PATH_FIELD_NUMBER: _ClassVar[int]
    PII_FIELD_NUMBER: _ClassVar[int]
    path: str
    pii: PersonalDataClass
    def __init__(self, path: _Optional[str] = ..., pii: _Optional[_Union[PersonalDataClass, str]] = ...) -> None: ...

class PersonalData(_message.Message):
    __slots__ = ("rules", "masked_for_services")
    RULES_FIELD_NUMBER: _ClassVar[int]
    MASKED_FOR_SERVICES_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[PersonalDataRule]
    masked_for_services: bool
    def __init__(self, rules: _Optional[_Iterable[_Union[PersonalDataRule, _Mapping]]] = ..., masked_for_services: _Optional[bool] = ...) -> None: ...
