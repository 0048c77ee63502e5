# SPDX-License-Identifier: Apache-2.0
"""OpenSearch: the only room that talks to it. Documents are reached through `TenantScope` alone."""
