# SPDX-License-Identifier: Apache-2.0
"""Who sees personal data, and what a document looks like to who doesn't."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.privacy.classes import Pii, class_of
from pinakes.core.privacy.sight import mask_document, sees_personal_data
from pinakes.v1 import resources_pb2

MASK, HASH, OMIT = Pii.MASK, Pii.HASH, Pii.OMIT_FROM_LOGS


def shown(classes: dict[str, Pii], **fields: Any) -> dict[str, Any]:
    """Return a document masked, as plain values."""
    attributes = fields.pop("attributes", {})
    document = resources_pb2.Document(**fields)
    document.attributes.update(attributes)
    mask_document(document, classes, lambda value: f"h:{value[::-1]}")
    return MessageToDict(document, preserving_proto_field_name=True)


@pytest.mark.parametrize(
    ("role", "readers", "masked_for_services", "sees"),
    [
        (Role.ADMIN, None, True, True),
        (Role.TENANT_ADMIN, None, True, True),
        (Role.SERVICE, None, False, True),
        (Role.SERVICE, None, True, False),
        (Role.TENANT_USER, None, False, False),
        (Role.TENANT_USER, (), False, False),
        (Role.SERVICE, ("jane",), False, False),
        (Role.TENANT_ADMIN, ("jane",), False, False),
    ],
)
def test_users_and_whoever_is_bound_to_readers_see_none(
    role: Role, readers: tuple[str, ...] | None, masked_for_services: bool, sees: bool
) -> None:
    principal = Principal("x", role, ("t",), readers)
    assert sees_personal_data(principal, masked_for_services=masked_for_services) is sees


def test_own_fields_are_masked_or_hashed_each_by_its_class() -> None:
    found = shown(
        {"title": MASK, "body": HASH, "tags": HASH, "source_uri": MASK},
        title="Jane Doe", body="abc", tags=["a", "b"], source_uri="https://example.com/jane",
    )  # fmt: skip
    assert found == {"title": "•••", "body": "h:cba", "tags": ["h:a", "h:b"], "source_uri": "•••"}


def test_fields_that_are_only_kept_out_of_logs_are_shown() -> None:
    assert shown({"title": OMIT, "attributes.a": OMIT}, title="x", attributes={"a": "y"}) == {
        "title": "x", "attributes": {"a": "y"},
    }  # fmt: skip


def test_what_is_empty_stays_empty_and_tags_without_a_class_are_shown() -> None:
    assert shown({"title": HASH, "body": MASK, "source_uri": HASH}, tags=["a"]) == {"tags": ["a"]}
    assert shown({"tags": OMIT}, tags=["a"]) == {"tags": ["a"]}


def test_values_of_every_type_are_hidden_and_nothing_of_what_is_inside_is_shown() -> None:
    attributes = {"s": "Jane", "n": 42, "b": True, "l": ["a@b.cd", 7], "o": {"jane": 1}, "no": None}
    masked = shown({f"attributes.{name}": MASK for name in attributes}, attributes=attributes)["attributes"]
    assert masked == {"s": "•••", "n": None, "b": None, "l": ["****@b***.cd", None], "o": "•••", "no": None}
    hashed = shown({f"attributes.{name}": HASH for name in attributes}, attributes=attributes)["attributes"]
    assert hashed["s"] == "h:enaJ"
    assert all(value.startswith("h:") for name, value in hashed.items() if name not in {"no", "l"})
    assert len({hashed["n"], hashed["b"], hashed["s"]}) == 3


def test_a_rule_covers_what_is_below_its_path_in_objects_and_in_lists_of_them() -> None:
    attributes = {"people": [{"mail": "j@x.io", "name": {"first": "Jane"}, "age": 4}], "people.age": 5}
    found = shown({"attributes.people.name": HASH, "attributes.people.age": MASK}, attributes=attributes)["attributes"]
    (person,) = found["people"]
    assert person["mail"] == "j@x.io"
    assert person["name"].startswith("h:")
    assert person["age"] is None
    assert found["people.age"] is None, "a key with a dot can't be told from a path by a filter, so it isn't here"


def test_the_hash_of_the_content_tells_nothing_that_could_be_tried() -> None:
    assert shown({"title": MASK}, title="x", content_hash="0a")["content_hash"] == "h:a0"


@given(
    st.recursive(
        st.text(max_size=6) | st.floats(allow_nan=False) | st.booleans(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from([MASK, HASH]),
)
def test_no_value_of_any_shape_comes_through(value: Any, pii: Pii) -> None:
    secret = "canary-5d1f"

    def planted(part: Any) -> Any:
        if isinstance(part, dict):
            return {f"{name}{secret}": planted(inner) for name, inner in part.items()}
        if isinstance(part, list):
            return [planted(item) for item in part]
        return f"{part}{secret}" if isinstance(part, str) else part

    document = resources_pb2.Document()
    document.attributes.update({"a": planted(value)})
    mask_document(document, {"attributes.a": pii}, lambda value: f"h:{hash(value)}")
    assert secret.encode() not in document.SerializeToString()


def test_a_separator_in_a_key_hides_nothing_from_its_rule() -> None:
    assert class_of("attributes.a\x1fb", {"attributes.a\ufffdb": MASK}) is MASK
    assert class_of("attributes.ab", {"attributes.a": MASK}) is None
