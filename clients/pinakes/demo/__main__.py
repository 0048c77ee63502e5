# SPDX-License-Identifier: Apache-2.0
"""`python -m pinakes.demo`."""

from pinakes.demo import main

raise SystemExit(main())
