# SPDX-License-Identifier: Apache-2.0
"""`python -m pinakes.local`, for where the `pinakes` command isn't installed."""

from pinakes.local.cli import app

app()
