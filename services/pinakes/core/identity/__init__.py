# SPDX-License-Identifier: Apache-2.0
"""Who calls: API keys, JWTs and what they may do."""
