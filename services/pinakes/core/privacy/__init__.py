# SPDX-License-Identifier: Apache-2.0
"""Personal data in documents: which fields have it, who sees it, and what others see instead."""
