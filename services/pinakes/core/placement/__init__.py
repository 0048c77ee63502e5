# SPDX-License-Identifier: Apache-2.0
"""Which index each tenant's documents belong in: sizes as they are, thresholds, and the plan that follows from them."""
