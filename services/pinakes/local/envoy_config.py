# SPDX-License-Identifier: Apache-2.0
"""The one description of the front door: Envoy's configuration as data, for this machine and for the Helm chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SERVICES = {
    "search": "pinakes.v1.SearchService",
    "index": "pinakes.v1.IndexService",
    "tenant": "pinakes.v1.TenantService",
}
# Services that every server has; one of them answers for all through the front door.
COMMON_PREFIXES = (
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
)
COMMON_SERVER = "tenant"
OPERATIONS = "google.longrunning.Operations"
# Calls that may be silent for as long as the server allows; it ends them itself.
STREAMS = {"/pinakes.v1.IndexService/StreamWriteDocuments": "index"}

LOCAL_ORIGINS = r"https?://(localhost|127\.0\.0\.1)(:\d+)?"
ALLOWED_HEADERS = "authorization,content-type,grpc-timeout,x-grpc-web,x-pinakes-admin-reason,x-request-id,x-user-agent"
EXPOSED_HEADERS = (
    "grpc-message,grpc-status,grpc-status-details-bin,x-pinakes-revision,x-pinakes-write-mode,x-pinakes-write-outcome,"
    "x-request-id"
)
# HTTP status of Envoy's own answers -> google.rpc.Code, as the JSON body of an error has it.
ERROR_CODES = {400: 3, 404: 5, 408: 4, 413: 3, 415: 3, 429: 8, 503: 14, 504: 4}
TYPE = "type.googleapis.com/envoy.extensions.filters"
TURNED_AWAY = Path(__file__).with_name("turned_away.lua")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens. A name that isn't an IP address is resolved by DNS."""

    host: str
    port: int

    def to_envoy(self) -> Json:
        """Return Envoy's form."""
        return {"address": {"socket_address": {"address": self.host, "port_value": self.port}}}


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """What differs from one installation to the next."""

    listen: Address
    admin: Address
    upstreams: Mapping[str, Address]
    """Address of each server: search, index, tenant."""

    descriptors: str
    """Path of the descriptor set, as Envoy sees it."""

    origins: str = LOCAL_ORIGINS
    """Regular expression of web origins that may call."""

    max_body_bytes: int = 16 << 20
    dns: bool = False
    """Upstreams are DNS names with an address for each replica, such as those of headless services."""

    extra_listener_fields: Mapping[str, Any] = field(default_factory=dict)


def render(door: FrontDoor) -> str:
    """Return the configuration as YAML."""
    return dumped(bootstrap(door))


class _Dumper(yaml.SafeDumper):
    """Writes scripts as they are, line by line."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def dumped(config: Json) -> str:
    """Return a configuration as YAML."""
    return yaml.dump(config, Dumper=_Dumper, sort_keys=False, width=1000)


def bootstrap(door: FrontDoor) -> Json:
    """Return the whole bootstrap configuration."""
    return {
        "admin": door.admin.to_envoy(),
        "static_resources": {
            "listeners": [_listener(door)],
            "clusters": [_cluster(door, name) for name in SERVICES],
        },
    }


def _listener(door: FrontDoor) -> Json:
    """Return the one port for gRPC, gRPC-Web and JSON."""
    manager = {
        "@type": f"{TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "codec_type": "AUTO",
        "use_remote_address": True,
        "preserve_external_request_id": True,
        "normalize_path": True,
        "stream_idle_timeout": "300s",
        "request_headers_timeout": "10s",
        "common_http_protocol_options": {
            "idle_timeout": "3600s",
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 1000,
            # A whole request or answer is held while JSON is turned into a message and back.
            "initial_stream_window_size": door.max_body_bytes,
            "initial_connection_window_size": 2 * door.max_body_bytes,
        },
        "route_config": {"name": "front", "virtual_hosts": [_virtual_host(door)]},
        "local_reply_config": _local_replies(),
        "http_filters": _filters(door),
    }
    return {
        "name": "front",
        **door.listen.to_envoy(),
        "per_connection_buffer_limit_bytes": 2 * door.max_body_bytes,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
        **door.extra_listener_fields,
    }


def _filters(door: FrontDoor) -> list[Json]:
    """Return the HTTP filters in their order: browsers first, then JSON, then who is turned away, then the servers."""
    transcoder = {
        "@type": f"{TYPE}.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": door.descriptors,
        "services": [*SERVICES.values(), OPERATIONS],
        "convert_grpc_status": True,
        "max_request_body_size": door.max_body_bytes,
        "max_response_body_size": door.max_body_bytes,
        "print_options": {"always_print_primitive_fields": False, "preserve_proto_field_names": False},
        # Forms and `curl -G --data-urlencode` write a space as "+".
        "query_param_unescape_plus": True,
        "request_validation_options": {"reject_unknown_method": True, "reject_unknown_query_parameters": True},
    }
    turned_away = {
        "@type": f"{TYPE}.http.lua.v3.Lua",
        "default_source_code": {"inline_string": TURNED_AWAY.read_text(encoding="utf-8")},
    }
    return [
        {"name": "envoy.filters.http.cors", "typed_config": {"@type": f"{TYPE}.http.cors.v3.Cors"}},
        {"name": "envoy.filters.http.grpc_web", "typed_config": {"@type": f"{TYPE}.http.grpc_web.v3.GrpcWeb"}},
        {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": transcoder},
        {"name": "envoy.filters.http.lua", "typed_config": turned_away},
        {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{TYPE}.http.router.v3.Router"}},
    ]


def _virtual_host(door: FrontDoor) -> Json:
    """Return the routes by service name; a JSON request has its gRPC path by the time the router sees it."""
    routes = [_stream_route(path, name) for path, name in STREAMS.items()]
    routes += [_route(f"/{service}/", name) for name, service in SERVICES.items()]
    routes += [_route(prefix, COMMON_SERVER) for prefix in (f"/{OPERATIONS}/", *COMMON_PREFIXES)]
    # JSON never gets this far, but a browser's preflight for it does, and CORS needs a route that leads to a cluster.
    routes.append(_route("/v1/", COMMON_SERVER))
    routes.append(
        {"match": {"prefix": "/"}, "direct_response": {"status": 404, "body": {"inline_string": "Not Found"}}}
    )
    cors = {
        "@type": f"{TYPE}.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"safe_regex": {"regex": door.origins}}],
        "allow_methods": "GET,POST,PATCH,DELETE,OPTIONS",
        "allow_headers": ALLOWED_HEADERS,
        "expose_headers": EXPOSED_HEADERS,
        "max_age": "600",
    }
    return {
        "name": "front",
        "domains": ["*"],
        "typed_per_filter_config": {"envoy.filters.http.cors": cors},
        "routes": routes,
    }


def _route(prefix: str, cluster: str) -> Json:
    """Return one route. Deadlines are the servers' business, so there is no timeout here."""
    return {
        "match": {"prefix": prefix},
        "route": {
            "cluster": cluster,
            "timeout": "0s",
            # Only what certainly never reached a server: a second attempt at a write must be the caller's decision.
            "retry_policy": {
                "retry_on": "connect-failure,refused-stream",
                "num_retries": 2,
                "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
            },
        },
    }


def _stream_route(path: str, cluster: str) -> Json:
    """Return the route of a stream: as any other, but that silence doesn't end it."""
    route = _route(path, cluster)
    return {"match": {"path": path}, "route": {**route["route"], "idle_timeout": "0s"}}


def _most_under_way(name: str) -> int:
    """Return how many calls of a service may be under way through one Envoy; beyond it callers get UNAVAILABLE at once.

    gRPC's core answers CANCELLED, which nobody tries again, when 1,000 calls wait in a server that can't follow. Streams
    of writes are few in the server's hands and many under way, so the index service's bound is only a last one.
    """
    return 16_384 if name == "index" else 900


def _cluster(door: FrontDoor, name: str) -> Json:
    """Return a cluster with the health of its service watched.

    The panic threshold stays at its default: when no replica is healthy, calls still go to one, whose error is more
    precise (or whose cached answer is better) than Envoy's own.
    """
    return {
        "name": name,
        "type": "STRICT_DNS" if door.dns else "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "per_connection_buffer_limit_bytes": 2 * door.max_body_bytes,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http2_protocol_options": {
                        "initial_stream_window_size": door.max_body_bytes,
                        "initial_connection_window_size": 2 * door.max_body_bytes,
                    }
                },
            }
        },
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": 4096, "max_pending_requests": 4096, "max_requests": _most_under_way(name)}
            ]
        },
        "health_checks": [
            {
                "timeout": "1s",
                "interval": "2s",
                # Else a server that starts after Envoy stays unhealthy for a minute.
                "no_traffic_interval": "1s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "grpc_health_check": {"service_name": SERVICES[name]},
            }
        ],
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": door.upstreams[name].to_envoy()}]}],
        },
    }


def _local_replies() -> Json:
    """Return the form of Envoy's own errors: google.rpc.Status for JSON callers, plain text in gRPC's message."""
    not_grpc: Json = {
        "header_filter": {
            "header": {
                "name": "content-type",
                "string_match": {"prefix": "application/grpc"},
                "invert_match": True,
                "treat_missing_header_as_empty": True,
            }
        }
    }

    def mapper(status: int | None, code: int) -> Json:
        filters = [not_grpc]
        if status is not None:
            value = {"default_value": status, "runtime_key": f"front.status_{status}"}
            filters.append({"status_code_filter": {"comparison": {"op": "EQ", "value": value}}})
        joined = {"and_filter": {"filters": filters}} if len(filters) > 1 else filters[0]
        body = {"code": code, "message": "%LOCAL_REPLY_BODY%", "details": []}
        return {"filter": joined, "body_format_override": {"json_format": body}}

    unknown = 2
    return {"mappers": [*(mapper(status, code) for status, code in ERROR_CODES.items()), mapper(None, unknown)]}
