# SPDX-License-Identifier: Apache-2.0
"""Receipts of erasures: a statement as JSON text, its Ed25519 signature, and the place where receipts are kept for good."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import json_format

from pinakes.core.engine.records import Conflict, RecordStore
from pinakes.core.tenancy.models import ACTIVE
from pinakes.v1 import lifecycle_pb2

if TYPE_CHECKING:
    from pinakes.core.engine.client import Engine
    from pinakes.core.settings import Settings

Json = dict[str, Any]
KIND = "receipts"


class ReceiptKey:
    """The key of the deployment that signs receipts."""

    def __init__(self, settings: Settings) -> None:
        """Take the setting, or derive the key from the deployment's secret: then it changes with that."""
        if settings.receipt_key is not None:
            seed = base64.urlsafe_b64decode(settings.receipt_key.get_secret_value() + "=")
        else:
            secret = settings.secret_key.get_secret_value().encode()
            seed = hashlib.blake2b(b"receipt", key=secret[:64], digest_size=32).digest()
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._key.public_key()
        self.key_id = hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]
        self.public_key = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    def receipt(self, statement: lifecycle_pb2.ErasureStatement) -> lifecycle_pb2.ErasureReceipt:
        """Return the receipt of a statement."""
        text = json_format.MessageToJson(
            statement, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=2
        )
        return lifecycle_pb2.ErasureReceipt(statement=text, key_id=self.key_id, signature=self._key.sign(text.encode()))

    def read(self, text: str) -> tuple[lifecycle_pb2.ErasureReceipt, lifecycle_pb2.ErasureStatement]:
        """Read a receipt that this key has signed out of a file's text, and return it with what it says.

        Raises ValueError if it isn't one: what another key signed may have been made by anybody.
        """
        try:
            receipt = json_format.Parse(text, lifecycle_pb2.ErasureReceipt())
            self._key.public_key().verify(receipt.signature, receipt.statement.encode())
            return receipt, json_format.Parse(
                receipt.statement, lifecycle_pb2.ErasureStatement(), ignore_unknown_fields=True
            )
        except json_format.ParseError as error:
            message = f"it isn't a receipt: {error}"
        except InvalidSignature:
            signed = f"it is signed with the key {receipt.key_id[:16] or '(none)'}, or was changed"
            message = f"{signed}; the key of PINAKES_RECEIPT_KEY or PINAKES_SECRET_KEY is {self.key_id}"
        raise ValueError(message)


class ReceiptStore:
    """The receipts of all erasures, by the uid of the tenant. They name nothing else of it but its id."""

    def __init__(self, engine: Engine) -> None:
        """Use this engine."""
        self._store = RecordStore(engine, KIND)

    async def get(self, tenant_uid: str) -> lifecycle_pb2.ErasureReceipt | None:
        """Return the receipt of a tenant, or None."""
        stored = await self._store.get(tenant_uid)
        return None if stored is None else _read(stored.record)

    async def keep(self, tenant_uid: str, receipt: lifecycle_pb2.ErasureReceipt) -> lifecycle_pb2.ErasureReceipt:
        """Keep a receipt and return it; if there is one already, that one stays and is returned."""
        record: Json = json_format.MessageToDict(receipt, preserving_proto_field_name=True)
        try:
            await self._store.create(tenant_uid, "", ACTIVE, record)
        except Conflict:
            kept = await self.get(tenant_uid)
            if kept is None:
                raise
            return kept
        return receipt


def _read(record: Json) -> lifecycle_pb2.ErasureReceipt:
    return json_format.ParseDict(record, lifecycle_pb2.ErasureReceipt(), ignore_unknown_fields=True)
