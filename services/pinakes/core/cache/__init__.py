# SPDX-License-Identifier: Apache-2.0
"""Answers kept for a short while in Redis."""
