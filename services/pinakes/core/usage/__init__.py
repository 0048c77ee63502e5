# SPDX-License-Identifier: Apache-2.0
"""What tenants use: counted where it happens, written every few seconds, and reconciled with what the engine holds."""
