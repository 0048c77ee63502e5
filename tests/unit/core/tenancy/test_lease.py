# SPDX-License-Identifier: Apache-2.0
"""How often records are asked for."""

from __future__ import annotations

import pytest

from pinakes.core.tenancy.lease import poll_seconds


@pytest.mark.parametrize(("lease", "seconds"), [(0.25, 0.1), (2.5, 1.0), (5.0, 2.0), (60.0, 2.0)])
def test_a_long_lease_makes_no_revocation_wait_and_a_short_one_is_renewed_in_time(lease: float, seconds: float) -> None:
    assert poll_seconds(lease) == pytest.approx(seconds)
