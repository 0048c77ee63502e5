# SPDX-License-Identifier: Apache-2.0
"""The write queue: Redis Streams in partitions, filled by the servers and emptied by the workers (design §5)."""
