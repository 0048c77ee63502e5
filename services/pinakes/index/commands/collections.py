# SPDX-License-Identifier: Apache-2.0
"""What creating, changing and deleting a collection means."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pinakes.core.cache.responses import version_key
from pinakes.core.faults import etag_mismatch
from pinakes.core.limits.kinds import Limit
from pinakes.core.limits.quota import check_count
from pinakes.core.privacy.sight import sees_personal_data
from pinakes.core.query import options
from pinakes.core.query.update_mask import update_paths
from pinakes.core.rpc import names
from pinakes.core.tenancy import collections, personal
from pinakes.core.tenancy.directory import collection_rid
from pinakes.core.tenancy.messages import CLASSES, TYPES
from pinakes.core.tenancy.models import ACTIVE, DEFAULT_LANGUAGES, CollectionRecord, TenantRecord
from pinakes.index.commands import search_settings
from pinakes.v1 import personal_data_pb2

if TYPE_CHECKING:
    from pinakes.core.identity.principal import Principal
    from pinakes.core.platform import Platform
    from pinakes.core.settings import Limits
    from pinakes.core.tenancy.marks import Mark
    from pinakes.v1 import index_pb2, resources_pb2

CHANGEABLE = (
    frozenset({"display_name", "languages", "attributes", "retention", "personal_data"}) | search_settings.PATHS
)
_NONE = personal_data_pb2.PERSONAL_DATA_CLASS_NONE


async def create(
    request: index_pb2.CreateCollectionRequest, tenant: TenantRecord, platform: Platform, mark: Mark
) -> CollectionRecord:
    """Create a collection, within the tenant's number of them."""
    limits = platform.settings.limits
    rid, uid = collection_rid(tenant.uid, request.collection_id), mark.uid("collection")
    # Before they are counted: what an earlier attempt has made may be the last that the tenant may have.
    if (made := await platform.directory.collections.made(rid, uid, mark)) is not None:
        return made
    new = collections.new_collection(tenant, request.collection_id, uid)
    record = _merged(new, request.collection, CHANGEABLE, limits)
    held = platform.limiter.in_force(tenant)
    count = await platform.directory.collections.store.count(tenant.uid, ACTIVE)
    check_count(Limit.COLLECTIONS, held.collections, count, tenant.uid, dry_run=held.dry_run)
    if request.validate_only:
        return record
    return await collections.create(platform.directory, tenant, record, mark)


async def update(
    request: index_pb2.UpdateCollectionRequest,
    tenant: TenantRecord,
    principal: Principal,
    platform: Platform,
    mark: Mark,
) -> CollectionRecord:
    """Change a collection by its mask, if the etag is still right."""
    paths = update_paths(request.update_mask.paths, request.collection, CHANGEABLE)

    def decide(old: CollectionRecord) -> CollectionRecord:
        _check_etag(platform, old, request.collection.etag)
        record = _merged(old.changed(), request.collection, paths, platform.settings.limits)
        sees = sees_personal_data(principal, masked_for_services=old.masked_for_services)
        personal.may_change(old, record, sees=sees)
        return record

    collection_id = names.parse(request.collection.name).collection
    write = not request.validate_only
    record = await collections.change(platform.directory, tenant, collection_id, decide, mark=mark, write=write)
    if write:
        await _tell(platform, record)
    return record


async def delete(
    request: index_pb2.DeleteCollectionRequest, tenant: TenantRecord, platform: Platform, mark: Mark
) -> None:
    """Delete a collection: no name in it can be reached from now on."""

    def decide(old: CollectionRecord) -> CollectionRecord:
        _check_etag(platform, old, request.etag)
        return collections.deleted(old)

    collection_id = names.parse(request.name).collection
    await _tell(platform, await collections.change(platform.directory, tenant, collection_id, decide, mark=mark))


async def _tell(platform: Platform, record: CollectionRecord) -> None:
    """Let every process know at once; those that don't hear of it learn it from the directory within seconds."""
    await platform.cache.tell_version(version_key(record.tenant_uid, record.uid), record.version)


def _merged(
    record: CollectionRecord, given: resources_pb2.Collection, paths: frozenset[str], limits: Limits
) -> CollectionRecord:
    if "display_name" in paths:
        record = replace(record, display_name=given.display_name)
    if "languages" in paths:
        record = replace(record, languages=tuple(given.languages) or DEFAULT_LANGUAGES)
    old = record
    before = {attribute.name for attribute in record.attributes}
    if "attributes" in paths:
        record = collections.with_attributes(record, [(a.name, TYPES[a.type], a.sortable) for a in given.attributes])
        said = {a.name: None if a.pii == _NONE else CLASSES[a.pii] for a in given.attributes if a.pii}
        record = personal.with_classes(record, said)
    if "personal_data" in paths:
        record = personal.with_rules(record, [(rule.path, CLASSES[rule.pii]) for rule in given.personal_data.rules])
        record = replace(record, masked_for_services=given.personal_data.masked_for_services)
    personal.check_personal(old, record)
    if "retention" in paths:
        record = replace(record, retention_ms=personal.retention_ms(given.retention))
    if searched := paths & search_settings.PATHS:
        settings = search_settings.merged(options.search_settings(record), given.search, searched)
        record = replace(record, search=options.encoded(settings))
        search_settings.check(record, limits)
    if removed := before - {attribute.name for attribute in record.attributes}:
        search_settings.check_removed(options.search_settings(record), removed, limits)
    return record


def _check_etag(platform: Platform, record: CollectionRecord, given: str) -> None:
    if given and not platform.etags.matches(given, record.uid, record.version):
        raise etag_mismatch("collection")
