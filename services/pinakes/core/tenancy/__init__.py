# SPDX-License-Identifier: Apache-2.0
"""Tenants, collections and keys as records, and the directory through which every process reads them."""
