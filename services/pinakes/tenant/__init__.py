# SPDX-License-Identifier: Apache-2.0
"""TenantService: a thin servicer over commands and queries."""
