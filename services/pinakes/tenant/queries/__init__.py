# SPDX-License-Identifier: Apache-2.0
"""What each RPC means, a file each, in plain Python."""
