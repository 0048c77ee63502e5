# SPDX-License-Identifier: Apache-2.0
"""Requests a tenant may make, shared by all processes."""
