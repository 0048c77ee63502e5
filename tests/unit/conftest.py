# SPDX-License-Identifier: Apache-2.0
"""How Hypothesis runs here: a failure prints what reproduces it, and a busy machine fails nothing."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", print_blob=True, deadline=None)
settings.load_profile("unit")
