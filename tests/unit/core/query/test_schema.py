# SPDX-License-Identifier: Apache-2.0
"""Which text fields the languages of a collection have."""

from __future__ import annotations

from pinakes.core.query.schema import Schema, language_field


def test_languages_without_fields_of_their_own_share_one() -> None:
    assert Schema(("de", "qq", "xx")).text_languages() == ("de", "und")
    assert Schema(()).text_languages() == ("en", "und")
    assert language_field("") == language_field("xx") == "und"
