# SPDX-License-Identifier: Apache-2.0
"""The library that the three services share, a folder a concern."""
