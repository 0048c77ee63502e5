# SPDX-License-Identifier: Apache-2.0
"""What a collection's own documents say of a query's words (design §4): how rare they are, and what may have been meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.query.weights import NOTHING, Weights

if TYPE_CHECKING:
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.query.options import Options
    from pinakes.core.query.text import Query


class Vocabulary:
    """Weights of words by tenant and collection, looked up once and kept for a while."""

    async def weights(self, scope: TenantScope, query: Query, options: Options) -> Weights:
        """Return the weights of a query's words and the corrections of those the collection doesn't have."""
        del scope, query, options
        return NOTHING
