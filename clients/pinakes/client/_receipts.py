# SPDX-License-Identifier: Apache-2.0
"""Receipts of erasures, checked without the platform."""

from __future__ import annotations

import hashlib

from google.protobuf import json_format

from pinakes.v1.lifecycle_pb2 import ErasureReceipt, ErasureStatement


def read_receipt(text: str) -> ErasureReceipt:
    """Read a receipt out of a file's text, as `pinakes tenants erase --receipt` writes it.

    Raises ValueError if it isn't one.
    """
    try:
        return json_format.Parse(text, ErasureReceipt())
    except json_format.ParseError as error:
        message = f"not a receipt: {error}"
        raise ValueError(message) from None


def write_receipt(receipt: ErasureReceipt) -> str:
    """Return a receipt as the text of a file."""
    return json_format.MessageToJson(receipt, preserving_proto_field_name=True) + "\n"


def verify_receipt(receipt: ErasureReceipt, public_key: str) -> ErasureStatement:
    """Check a receipt against the deployment's public key (PEM) and return what it says.

    Where the key came from is what the check is worth: keep it apart from the receipts' files.

    Raises:
        ValueError: the signature isn't of this key, or what is signed has been changed, or isn't a statement.
        ImportError: the package `cryptography` isn't installed.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = serialization.load_pem_public_key(public_key.encode())
    if not isinstance(key, Ed25519PublicKey):
        message = "the key isn't an Ed25519 public key"
        raise ValueError(message)  # noqa: TRY004 - what was given is a key, of the wrong kind
    key_id = hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]
    if receipt.key_id != key_id:
        message = f"the receipt is signed with the key {receipt.key_id or '(none)'}; this one is {key_id}"
        raise ValueError(message)
    try:
        key.verify(receipt.signature, receipt.statement.encode())
    except InvalidSignature:
        message = "the signature is wrong: the receipt was changed, or isn't of this deployment"
        raise ValueError(message) from None
    try:
        return json_format.Parse(receipt.statement, ErasureStatement(), ignore_unknown_fields=True)
    except json_format.ParseError as error:
        message = f"what is signed isn't a statement: {error}"
        raise ValueError(message) from None
