# SPDX-License-Identifier: Apache-2.0
"""`pinakes tenants`, `pinakes collections`: what is set up before documents come."""

from __future__ import annotations

from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from pinakes.cli import _keeping, _limits, _placement
from pinakes.cli._session import Session, TenantOption, calling, usage
from pinakes.client import _documents, _names
from pinakes.client._limits import TENANT_NAMES
from pinakes.v1.resources_pb2 import AttributeDefinition, Collection, Tenant

tenants = typer.Typer(
    no_args_is_help=True, help="Create, list, read, suspend, delete and erase tenants (administrators' keys)."
)
collections = typer.Typer(no_args_is_help=True, help="Create, list, read, change and delete collections.")

DisplayName = Annotated[str, typer.Option("--display-name", help="Name for people.")]
Etag = Annotated[str, typer.Option("--etag", help="Only if this is the current etag.")]
Attributes = Annotated[
    list[str],
    typer.Option(
        "--attribute",
        "-a",
        metavar="NAME:TYPE[:OPTION]",
        help="A declared attribute, such as price:number:sortable or email:string:mask.",
    ),
]
Languages = Annotated[
    list[str], typer.Option("--language", help="A language of the documents, such as en.", metavar="CODE")
]


@tenants.command("create")
@calling
def create_tenant(
    session: Session,
    tenant_id: Annotated[str, typer.Argument(help="Id; the server chooses one if left out.", metavar="ID")] = "",
    display_name: DisplayName = "",
    label: Annotated[list[str], typer.Option("--label", help="A label.", metavar="KEY=VALUE")] = [],  # noqa: B006 - typer copies it
    rate_limit: Annotated[float, typer.Option("--rate-limit", help="Requests a second; 0 for the default.", min=0)] = 0,
    limit: _limits.LimitOption = [],  # noqa: B006 - typer copies it
) -> None:
    """Create a tenant with its collection `default`."""
    pairs = [text.partition("=") for text in label]
    if wrong := [text for text, (key, separator, _) in zip(label, pairs, strict=True) if not (key and separator)]:
        raise usage(f"--label {wrong[0]}: not KEY=VALUE")
    labels = {key: value for key, _, value in pairs}
    limits = _limits.read(limit, TENANT_NAMES)
    with session.client() as client:
        tenant = client.create_tenant(
            tenant_id, display_name=display_name, labels=labels, rate_limit=rate_limit, limits=limits
        )
    session.show(tenant, tenant_rows(tenant))


@tenants.command("get")
@calling
def get_tenant(
    session: Session, tenant: Annotated[str, typer.Argument(help="Id; `-` is the key's own.", metavar="ID")] = "-"
) -> None:
    """Read a tenant."""
    with session.client() as client:
        found = client.get_tenant(tenant)
    session.show(found, tenant_rows(found))


@tenants.command("list")
@calling
def list_tenants(
    session: Session, deleted: Annotated[bool, typer.Option("--deleted", help="Deleted tenants too.")] = False
) -> None:
    """List all tenants."""
    with session.client() as client:
        session.show_all(
            client.list_tenants(show_deleted=deleted),
            ("ID", "NAME", "STATE", "CREATED"),
            lambda tenant: (_names.last(tenant.name), tenant.display_name, _tenant_state(tenant), _time(tenant)),
            "there are no tenants",
        )


@tenants.command("limit")
@calling
def limit_tenant(
    session: Session,
    tenant: Annotated[str, typer.Argument(help="Id.", metavar="ID")],
    limit: _limits.LimitOption,
) -> None:
    """Change limits of a tenant; the others stay. In force everywhere within 5 s."""
    limits = _limits.read(limit, TENANT_NAMES)
    with session.client() as client:
        changed = client.set_limits(tenant, limits)
    session.show(changed, tenant_rows(changed))


@tenants.command("delete")
@calling
def delete_tenant(
    session: Session, tenant: Annotated[str, typer.Argument(help="Id.", metavar="ID")], etag: Etag = ""
) -> None:
    """Delete a tenant: all that is its is unreachable at once."""
    with session.client() as client:
        client.delete_tenant(tenant, etag=etag)
    session.done(f"deleted {_names.tenant(tenant)}", deleted=_names.tenant(tenant))


@collections.command("create")
@calling
def create_collection(
    session: Session,
    collection: Annotated[str, typer.Argument(help="Id.", metavar="ID")],
    tenant: TenantOption = "-",
    display_name: DisplayName = "",
    language: Languages = [],  # noqa: B006 - typer copies it
    attribute: Attributes = [],  # noqa: B006 - typer copies it
    personal: _keeping.Personal = [],  # noqa: B006 - typer copies it
    retention: _keeping.Retention = None,
) -> None:
    """Create a collection."""
    definitions = _definitions(attribute)
    with session.client() as client:
        made = client.create_collection(
            collection,
            tenant=tenant,
            display_name=display_name,
            languages=language,
            attributes=definitions,
            retention=_keeping.seconds(retention),
            personal=_keeping.classes(personal),
        )
    session.show(made, _collection_rows(made))


@collections.command("get")
@calling
def get_collection(
    session: Session,
    collection: Annotated[str, typer.Argument(help="Id.", metavar="ID")] = "default",
    tenant: TenantOption = "-",
) -> None:
    """Read a collection."""
    with session.client() as client:
        found = client.get_collection(collection, tenant=tenant)
    session.show(found, _collection_rows(found))


@collections.command("list")
@calling
def list_collections(session: Session, tenant: TenantOption = "-") -> None:
    """List a tenant's collections."""
    with session.client() as client:
        session.show_all(
            client.list_collections(tenant=tenant),
            ("ID", "NAME", "LANGUAGES", "ATTRIBUTES", "CREATED"),
            lambda found: (
                _names.last(found.name),
                found.display_name,
                " ".join(found.languages),
                " ".join(_definition(attribute) for attribute in found.attributes),
                _time(found),
            ),
            "there are no collections",
        )


@collections.command("update")
@calling
def update_collection(
    session: Session,
    collection: Annotated[str, typer.Argument(help="Id.", metavar="ID")],
    tenant: TenantOption = "-",
    display_name: Annotated[str | None, typer.Option("--display-name", help="New name for people.")] = None,
    language: Languages = [],  # noqa: B006 - typer copies it
    attribute: Attributes = [],  # noqa: B006 - typer copies it
    remove_attribute: Annotated[
        list[str], typer.Option("--remove-attribute", help="Declared no longer.", metavar="NAME")
    ] = [],  # noqa: B006 - typer copies it
    personal: _keeping.Personal = [],  # noqa: B006 - typer copies it
    masked_for_services: Annotated[
        bool | None, typer.Option(help="Whether services' keys see personal data masked, as users' do.")
    ] = None,
    retention: _keeping.Retention = None,
) -> None:
    """Change a collection: attributes and classes of personal data given are added or changed, the others stay."""
    definitions = {definition.name: definition for definition in _definitions(attribute)}
    about_data = bool(personal) or masked_for_services is not None
    if display_name is None and retention is None and not (language or attribute or remove_attribute or about_data):
        raise usage("nothing to change: give --display-name, --attribute, --retention or another option")
    with session.client() as client:
        current = client.get_collection(collection, tenant=tenant)
        # The etag makes this safe: what somebody changed between the two calls is not overwritten.
        wanted = Collection(name=current.name, etag=current.etag)
        paths = []
        if display_name is not None:
            wanted.display_name = display_name
            paths.append("display_name")
        if language:
            wanted.languages.extend(language)
            paths.append("languages")
        if attribute or remove_attribute:
            kept = {item.name: item for item in current.attributes} | definitions
            if unknown := [name for name in remove_attribute if name not in kept]:
                raise usage(f"--remove-attribute {unknown[0]}: the collection declares no such attribute")
            wanted.attributes.extend(item for name, item in kept.items() if name not in remove_attribute)
            paths.append("attributes")
        if about_data:
            wanted.personal_data.CopyFrom(_keeping.changed(current.personal_data, personal, masked_for_services))
            paths.append("personal_data")
        if retention is not None:
            wanted.retention.FromSeconds(_keeping.seconds(retention) or 0)
            paths.append("retention")
        changed = client.update_collection(wanted, paths)
    session.show(changed, _collection_rows(changed))


@collections.command("delete")
@calling
def delete_collection(
    session: Session,
    collection: Annotated[str, typer.Argument(help="Id.", metavar="ID")],
    tenant: TenantOption = "-",
    etag: Etag = "",
) -> None:
    """Delete a collection: it and its documents are unreachable at once."""
    with session.client() as client:
        client.delete_collection(collection, tenant=tenant, etag=etag)
    name = _names.collection(collection, tenant)
    session.done(f"deleted {name}", deleted=name)


def tenant_rows(tenant: Tenant) -> list[tuple[str, str]]:
    return [
        ("tenant", tenant.name),
        ("name", tenant.display_name),
        ("state", _tenant_state(tenant)),
        ("labels", " ".join(f"{key}={value}" for key, value in sorted(tenant.labels.items()))),
        ("rate limit", f"{tenant.rate_limit:g}/s" if tenant.rate_limit else "the platform's default"),
        ("limits in force", _limits.shown(tenant.limits.in_force)),
        ("placement", _placement.state(tenant.placement) if tenant.HasField("placement") else ""),
        ("created", _time(tenant)),
        ("suspended", _at(tenant.suspend_time) if tenant.HasField("suspend_time") else ""),
        ("because", tenant.suspend_reason),
        ("deleted", _at(tenant.delete_time) if tenant.HasField("delete_time") else ""),
        ("goes for good", _at(tenant.purge_time) if tenant.HasField("purge_time") else ""),
        ("etag", tenant.etag),
    ]


def _collection_rows(collection: Collection) -> list[tuple[str, str]]:
    return [
        ("collection", collection.name),
        ("name", collection.display_name),
        ("languages", " ".join(collection.languages)),
        ("attributes", "\n".join(_definition(attribute) for attribute in collection.attributes)),
        *_keeping.rows(collection),
        ("created", _time(collection)),
        ("etag", collection.etag),
    ]


def _definitions(texts: list[str]) -> list[AttributeDefinition]:
    try:
        return [_documents.attribute(text) for text in texts]
    except ValueError as error:
        raise usage(f"--attribute: {error}") from error


def _definition(attribute: AttributeDefinition) -> str:
    kind = AttributeDefinition.Type.Name(attribute.type).removeprefix("TYPE_").lower()
    personal = f":{_keeping.NAMES[attribute.pii]}" if attribute.pii else ""
    return f"{attribute.name}:{kind}" + (":sortable" if attribute.sortable else "") + personal


def _tenant_state(tenant: Tenant) -> str:
    return Tenant.State.Name(tenant.state).removeprefix("STATE_").lower()


def _time(resource: Tenant | Collection) -> str:
    if not resource.HasField("create_time"):
        return ""
    return _at(resource.create_time)


def _at(time: Timestamp) -> str:
    return time.ToDatetime().strftime("%Y-%m-%d %H:%M:%SZ")
