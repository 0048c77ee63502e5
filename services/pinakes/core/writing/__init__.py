# SPDX-License-Identifier: Apache-2.0
"""How writes are applied, whoever asks: servers for callers who wait, workers for what was queued."""
