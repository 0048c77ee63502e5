# SPDX-License-Identifier: Apache-2.0
"""`python -m pinakes.cli`, the same as `pinakes`."""

from pinakes.cli import main

main()
