# SPDX-License-Identifier: Apache-2.0
"""Transport: the interceptor chain, the error translator, names, page tokens and the server itself."""
