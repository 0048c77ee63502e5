# SPDX-License-Identifier: Apache-2.0
"""The Helm chart for tests: sets of values, and the objects it renders to with them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "k8s" / "chart"
KUBERNETES = "1.34.0"
SERVERS = ("search", "index", "tenant")
PROGRAMS = (*SERVERS, "worker")
Object = dict[str, Any]

MINIMAL: Object = {
    "settings": {"opensearch_urls": "https://opensearch:9200", "queue_url": "redis://redis-queue:6379/0"},
    "secrets": {"existingSecret": "pinakes"},
    "envoy": {"tls": {"existingSecret": "pinakes-tls"}},
}
VALUE_SETS: dict[str, Object] = {
    "minimal": {},
    "clear text without policies": {
        "envoy": {"tls": {"enabled": False, "existingSecret": ""}, "service": {"type": "LoadBalancer", "port": 80}},
        "networkPolicy": {"enabled": False},
        "serviceAccount": {"create": False, "name": "someone"},
    },
    "everything": {
        "settings": {
            "opensearch_username": "pinakes",
            "max_message_bytes": 33554432,
            "tracing_ratio": 0.5,
            "queue_url": "",
        },
        "limits": {"page_max": 100, "document_bytes": 2097152},
        "secrets": {
            "keys": {"opensearch_password": "engine-password", "cache_url": "cache-url", "queue_url": "queue-url"}
        },
        "opensearchCa": {"existingSecret": "opensearch-ca"},
        "servers": {
            "search": {"autoscaling": {"enabled": True}, "settings": {"processes": 2}},
            "index": {"settings": {"drain_seconds": 60}},
        },
        "workers": {
            "reaper": {"args": ["serve", "reaper"], "replicas": 2},
            "worker": {
                "settings": {"import_folder": "/srv/import"},
                "volumes": [{"name": "import", "persistentVolumeClaim": {"claimName": "import"}}],
                "volumeMounts": [{"name": "import", "mountPath": "/srv/import", "readOnly": True}],
                "keda": {
                    "enabled": True,
                    "prometheusUrl": "http://prometheus:9090",
                    "schedule": [{"timezone": "UTC", "start": "0 6 * * *", "end": "0 20 * * *", "replicas": 6}],
                },
            },
        },
        "envoy": {
            "tls": {"clientCertificates": True},
            "corsOrigins": r"https://[a-z]+\.example\.org",
            "autoscaling": {"enabled": True},
        },
        "imagePullSecrets": [{"name": "pull"}],
        "networkPolicy": {
            "callers": [{"namespaceSelector": {}}],
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "egress": {"jwks": {"ports": [443], "to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}},
        },
        "topologySpread": {"zone": "DoNotSchedule"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "podAnnotations": {"note": "yes"},
        "priorityClassName": "high",
    },
}


# What the chart uses of KEDA's ScaledObject: its schema isn't among Kubernetes' own.
SCALED_OBJECT: Object = {
    "type": "object", "additionalProperties": False, "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "keda.sh/v1alpha1"}, "kind": {"const": "ScaledObject"}, "metadata": {"type": "object"},
        "spec": {
            "type": "object", "additionalProperties": False, "required": ["scaleTargetRef", "triggers"],
            "properties": {
                **{key: {"type": "integer"} for key in ("minReplicaCount", "maxReplicaCount", "pollingInterval")},
                "scaleTargetRef": {
                    "type": "object", "additionalProperties": False, "properties": {"name": {"type": "string"}}
                },
                "advanced": {
                    "type": "object", "additionalProperties": False,
                    "properties": {"horizontalPodAutoscalerConfig": {"type": "object"}},
                },
                "triggers": {
                    "type": "array",
                    "items": {
                        "type": "object", "additionalProperties": False, "required": ["type", "metadata"],
                        "properties": {
                            "type": {"enum": ["prometheus", "cpu", "memory", "cron"]},
                            "metricType": {"enum": ["Utilization", "AverageValue", "Value"]},
                            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip


def tool(name: str) -> str:
    """Path of a tool that `make tools` builds; its absence is a failure, never a skip."""
    built = ROOT / ".cache" / "bin" / name
    found = str(built) if built.exists() else shutil.which(name)
    assert found, f"{name} isn't built: run `make tools`"
    return found


def merged(base: Object, over: Object) -> Object:
    """`base` with the values of `over`, as Helm merges value files."""
    return base | {
        key: merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in over.items()
    }


def helm(command: list[str], values: Object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one Helm command on the chart with these values."""
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return subprocess.run(
        [tool("helm"), *command, "--values", str(path)], capture_output=True, text=True, timeout=60, check=False
    )


def template(values: Object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Render the chart."""
    return helm(["template", "release", str(CHART), "--kube-version", KUBERNETES], values, folder)


def rendered(values: Object, folder: Path) -> list[Object]:
    """The objects of the chart with these values over the minimal ones."""
    done = template(merged(MINIMAL, values), folder)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """Objects of a kind by the component they belong to."""
    return {
        item["metadata"]["labels"].get("app.kubernetes.io/component", ""): item
        for item in objects
        if item["kind"] == kind
    }


def container(deployment: Object) -> Object:
    """The only container of a Deployment."""
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only
