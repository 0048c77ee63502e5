# SPDX-License-Identifier: Apache-2.0
"""What callers write (query, filter, order, mask) turned into engine queries: pure functions, no I/O."""
