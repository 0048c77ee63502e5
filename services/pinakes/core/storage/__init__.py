# SPDX-License-Identifier: Apache-2.0
"""Objects outside the platform, by URI: read in ranges, written whole or not at all, compressed, cut into rows."""
