# SPDX-License-Identifier: Apache-2.0
"""What tenants and keys may use in a time and hold, over all processes."""
