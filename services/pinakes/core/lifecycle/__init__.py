# SPDX-License-Identifier: Apache-2.0
"""The end of a tenant: erasing it for good, and the receipt of that."""
