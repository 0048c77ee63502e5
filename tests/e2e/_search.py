# SPDX-License-Identifier: Apache-2.0
"""A collection of a tenant of its own behind Envoy, for tests of search, and what its answers are compared by."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import ParseDict

from pinakes.client import Client, document
from pinakes.v1.ranking_pb2 import SearchSettings
from pinakes.v1.resources_pb2 import Collection

COLLECTION = "shelf"


@dataclass(frozen=True, slots=True)
class Shelf:
    """A tenant with one collection: a client of its service key, and whoever else is to be let in."""

    platform: Any
    tenant: str
    client: Client
    administrator: Client

    @property
    def name(self) -> str:
        """The collection's resource name."""
        return f"tenants/{self.tenant}/collections/{COLLECTION}"

    def write(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Write documents by id; they can be found when this returns."""
        answer = self.client.batch_write(
            [document(name, **fields) for name, fields in documents.items()], collection=COLLECTION, mode="searchable"
        )
        refused = [result for result in answer.results if result.status.code]
        assert not refused

    def search(self, query: str = "", **options: Any) -> Any:
        """Search, and return the answer."""
        return self.client.search(query, collection=COLLECTION, **options)

    def found(self, query: str = "", **options: Any) -> list[str]:
        """Search, and return the ids of what was found, in order."""
        return ids(self.search(query, **options))

    def suggest(self, query: str, *kinds: str, **options: Any) -> Any:
        """Suggest, and return the answer."""
        return self.client.suggest(query, kinds=kinds, collection=COLLECTION, **options)

    def change(self, settings: Mapping[str, Any], *paths: str) -> None:
        """Change how the collection is searched: all of it, or parts such as `search.synonyms`."""
        collection = Collection(name=self.name, search=ParseDict(dict(settings), SearchSettings()))
        self.client.update_collection(collection, paths or ("search",))

    def key(self, role: Any = "user", readers: Iterable[str] = ()) -> str:
        """Make a key of the tenant."""
        return self.administrator.create_key(role, tenant=self.tenant, readers=readers).secret


@contextmanager
def shelf(
    platform: Any,
    label: str,
    documents: Mapping[str, Mapping[str, Any]],
    *,
    attributes: Iterable[str] = (),
    languages: Iterable[str] = (),
    search: Mapping[str, Any] | None = None,
) -> Iterator[Shelf]:
    """Make a tenant whose collection has these documents, and delete it afterwards."""
    tenant = f"{label}-{secrets.token_hex(4)}"
    settings = ParseDict(dict(search), SearchSettings()) if search else None
    with Client(platform.endpoint, key=platform.admin_key, admin_reason="preparing a test") as admin:
        admin.create_tenant(tenant)
        try:
            admin.create_collection(
                COLLECTION, tenant=tenant, attributes=attributes, languages=languages, search=settings
            )
            with Client(platform.endpoint, key=admin.create_key("service", tenant=tenant).secret) as client:
                made = Shelf(platform, tenant, client, admin)
                made.write(documents)
                yield made
        finally:
            admin.delete_tenant(tenant)


def ids(answer: Any) -> list[str]:
    """Return the ids of the results, in order."""
    return [result.document.name.rpartition("/")[2] for result in answer.results]


def buckets(answer: Any) -> list[list[tuple[str, int]]]:
    """Return the values of each facet with their counts."""
    return [[(bucket.value, bucket.count) for bucket in facet.buckets] for facet in answer.facets]


def pages(made: Shelf, query: str = "", **options: Any) -> Iterator[list[str]]:
    """Yield the ids of each page to the last."""
    token = ""
    while True:
        answer = made.search(query, page_token=token, **options)
        yield ids(answer)
        token = answer.next_page_token
        if not token:
            return
