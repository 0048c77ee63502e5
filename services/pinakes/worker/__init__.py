# SPDX-License-Identifier: Apache-2.0
"""The worker: applies what was queued, runs operations, and sweeps up what has run out."""
