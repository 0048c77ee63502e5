# SPDX-License-Identifier: Apache-2.0
"""Calls of IndexService that keep collections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from google.protobuf.empty_pb2 import Empty

from pinakes.client import _names
from pinakes.client._calls import LARGEST_PAGE, Calls, mask, paged
from pinakes.client._documents import attribute, duration, personal_data
from pinakes.client._pages import Pages
from pinakes.v1 import index_pb2
from pinakes.v1.personal_data_pb2 import PersonalData
from pinakes.v1.ranking_pb2 import SearchSettings
from pinakes.v1.resources_pb2 import AttributeDefinition, Collection


class CollectionCalls(Calls):
    """Collections: sets of documents of one tenant, each with a schema of its own.

    A `request_id` makes a change idempotent for a day; a random one is sent if none is given.
    """

    async def create_collection(
        self,
        collection_id: str,
        *,
        tenant: str = _names.MINE,
        display_name: str = "",
        languages: Iterable[str] = (),
        attributes: Iterable[AttributeDefinition | str] = (),
        search: SearchSettings | None = None,
        retention: timedelta | float | None = None,
        personal: PersonalData | Mapping[str, str] | None = None,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Collection:
        """Create a collection.

        Args:
            collection_id: 1 to 63 lower-case letters, digits and hyphens.
            tenant: whose it is; `-` is the key's own.
            display_name: for people.
            languages: BCP 47 codes, at most 5; empty means `en`.
            attributes: definitions, or text such as `price:number:sortable` or `email:string:mask`.
            search: how it is searched: ranking, synonyms, stop words, curation.
            retention: how long documents are kept after they were last changed, as a timedelta or in seconds; None for ever.
            personal: which other fields have personal data, such as `{"title": "mask", "attributes.owner": "hash"}`.
            request_id: the same for tries of the same call.
            timeout: seconds; the client's if None.
        """
        collection = Collection(
            display_name=display_name,
            languages=languages,
            attributes=[attribute(given) for given in attributes],
            search=search,
            retention=duration(retention),
            personal_data=personal_data(personal),
        )
        request = index_pb2.CreateCollectionRequest(
            parent=_names.tenant(tenant), collection=collection, collection_id=collection_id, request_id=request_id
        )
        return await self._once("IndexService/CreateCollection", request, Collection, timeout)

    async def get_collection(
        self,
        collection: str = _names.DEFAULT_COLLECTION,
        *,
        tenant: str = _names.MINE,
        timeout: float | None = None,
    ) -> Collection:
        """Read a collection."""
        request = index_pb2.GetCollectionRequest(name=_names.collection(collection, tenant))
        return await self._channel.call("IndexService/GetCollection", request, Collection, timeout)

    def list_collections(self, *, tenant: str = _names.MINE, timeout: float | None = None) -> Pages[Collection]:
        """List a tenant's collections in the order of their ids."""
        parent = _names.tenant(tenant)

        async def ask(token: str) -> index_pb2.ListCollectionsResponse:
            request = index_pb2.ListCollectionsRequest(parent=parent, page_size=LARGEST_PAGE, page_token=token)
            return await self._channel.call(
                "IndexService/ListCollections", request, index_pb2.ListCollectionsResponse, timeout
            )

        return Pages(paged(ask, lambda answer: answer.collections))

    async def update_collection(
        self,
        collection: Collection,
        update_mask: Iterable[str] = (),
        *,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Collection:
        """Change the fields of `update_mask` (or those that are set); raises Conflict if a set etag isn't current.

        `search` stands for all search settings, `search.synonyms` for a part of them. They are in force at once. An
        attribute without `pii` keeps its class of personal data; PERSONAL_DATA_CLASS_NONE takes it away.
        """
        request = index_pb2.UpdateCollectionRequest(
            collection=collection, update_mask=mask(update_mask), request_id=request_id
        )
        return await self._once("IndexService/UpdateCollection", request, Collection, timeout)

    async def delete_collection(
        self,
        collection: str,
        *,
        tenant: str = _names.MINE,
        etag: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> None:
        """Delete a collection: it and its documents are unreachable at once."""
        name = _names.collection(collection, tenant)
        request = index_pb2.DeleteCollectionRequest(name=name, etag=etag, request_id=request_id)
        await self._once("IndexService/DeleteCollection", request, Empty, timeout)
