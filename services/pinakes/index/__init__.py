# SPDX-License-Identifier: Apache-2.0
"""IndexService: a thin servicer over commands and queries."""
