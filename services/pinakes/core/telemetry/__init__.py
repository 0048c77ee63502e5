# SPDX-License-Identifier: Apache-2.0
"""What the platform tells its operators: logs, metrics and traces."""
