# SPDX-License-Identifier: Apache-2.0
"""SearchService: a thin servicer over commands and queries."""
