# SPDX-License-Identifier: Apache-2.0
"""The audit log: taken down in memory, on disk within moments, and linked into one chain that shows what is missing."""
