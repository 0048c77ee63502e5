# SPDX-License-Identifier: Apache-2.0
"""Long-running operations: records in the engine, started by servers, done by workers under leases (design §5)."""
