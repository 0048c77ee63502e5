# SPDX-License-Identifier: Apache-2.0
"""Writes the chart's Envoy configuration and descriptor set: k8s/chart/files/envoy.yaml and descriptors.binpb.

`--check` writes nothing and fails if either file isn't what would be written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pinakes.local.descriptors import descriptor_set
from pinakes.local.envoy_config import SERVICES, Address, FrontDoor, bootstrap, dumped

ROOT = Path(__file__).resolve().parent.parent
FILES = ROOT / "k8s" / "chart" / "files"

_HOST = '{{ include "pinakes.fullname" . }}-%s.{{ .Release.Namespace }}.svc'
_ORIGINS = '{{ default "^$" .Values.envoy.corsOrigins }}'
_HEALTH = {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck",
    "pass_through_mode": False,
    "headers": [{"name": ":path", "string_match": {"exact": "/healthz"}}],
}
_TLS_MARK = "tls-of-the-edge"
_TLS = """\
{{- if .Values.envoy.tls.enabled }}
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: {{ .Values.envoy.tls.clientCertificates }}
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_params: {tls_minimum_protocol_version: TLSv1_2}
            tls_certificate_sds_secret_configs:
              - name: server
                sds_config:
                  resource_api_version: V3
                  path_config_source: {path: /etc/envoy/config/certificate.yaml}
            {{- if .Values.envoy.tls.clientCertificates }}
            validation_context:
              trusted_ca: {filename: /etc/envoy/tls/ca.crt}
            {{- end }}
{{- end }}
"""
_HEAD = """\
# Written by tools/render_envoy.py; `make gen` renews it. Rendered by templates/envoy.yaml.
"""


def configuration() -> str:
    """Return the text of files/envoy.yaml: the front door with templates for hosts, origins and TLS."""
    door = FrontDoor(
        listen=Address("0.0.0.0", 8443),  # noqa: S104  # a pod's port is for the cluster
        admin=Address("127.0.0.1", 9901),
        upstreams={name: Address(_HOST % name, 7300) for name in SERVICES},
        descriptors="/etc/envoy/config/descriptors.binpb",
        origins=_ORIGINS,
        dns=True,
    )
    config: dict[str, Any] = bootstrap(door)
    config["node"] = {"id": "front", "cluster": "front"}  # the certificate's source asks for a name
    (listener,) = config["static_resources"]["listeners"]
    (chain,) = listener["filter_chains"]
    manager = chain["filters"][0]["typed_config"]
    # Kubernetes asks Envoy for itself; the servers have probes of their own.
    manager["http_filters"].insert(0, {"name": "envoy.filters.http.health_check", "typed_config": _HEALTH})
    # Callers with long connections come to new pods too.
    manager["common_http_protocol_options"]["max_connection_duration"] = "900s"
    manager["route_config"]["response_headers_to_add"] = [
        {"header": {"key": "x-content-type-options", "value": "nosniff"}}
    ]
    for cluster in config["static_resources"]["clusters"]:
        # Faster than the notice that a draining server gives before it stops.
        cluster["health_checks"][0]["interval"] = "0.5s"
    chain["transport_socket"] = _TLS_MARK
    text = dumped(config)
    mark = f"      transport_socket: {_TLS_MARK}\n"
    if text.count(mark) != 1:
        message = "the place of the TLS template isn't where it is expected"
        raise RuntimeError(message)
    return _HEAD + text.replace(mark, _TLS)


def main() -> None:
    """Write both files, or compare them with `--check`."""
    stale = []
    for name, content in (("envoy.yaml", configuration().encode()), ("descriptors.binpb", descriptor_set())):
        path = FILES / name
        if "--check" not in sys.argv[1:]:
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            stale.append(str(path.relative_to(ROOT)))
    if stale:
        sys.exit(f"stale: {', '.join(stale)}; run tools/render_envoy.py")


if __name__ == "__main__":
    main()
