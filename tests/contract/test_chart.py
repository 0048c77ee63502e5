# SPDX-License-Identifier: Apache-2.0
"""The Helm chart renders to valid objects that hold the platform's rules, and refuses values that can't work."""

from __future__ import annotations

import base64
import http.client
import importlib.util
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pinakes.core.settings import Limits, Settings
from pinakes.local.descriptors import descriptor_set

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "k8s" / "chart"
KUBERNETES = "1.34.0"
SERVERS = ("search", "index", "tenant")
Object = dict[str, Any]

MINIMAL: Object = {
    "settings": {"opensearch_urls": "https://opensearch:9200"},
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
        "settings": {"opensearch_username": "pinakes", "max_message_bytes": 33554432, "tracing_ratio": 0.5},
        "limits": {"page_max": 100, "document_bytes": 2097152},
        "secrets": {"keys": {"opensearch_password": "engine-password", "cache_url": "cache-url"}},
        "opensearchCa": {"existingSecret": "opensearch-ca"},
        "servers": {
            "search": {"autoscaling": {"enabled": True}, "settings": {"processes": 2}},
            "index": {"settings": {"drain_seconds": 60}},
        },
        "workers": {"reaper": {"args": ["serve", "reaper"], "replicas": 2}},
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


@pytest.fixture(params=VALUE_SETS)
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> list[Object]:
    """The chart's objects, once for each set of values."""
    return rendered(VALUE_SETS[request.param], tmp_path)


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kubernetes' JSON schemas in the form that kubeconform reads, from the wheel kubernetes-validate."""
    name = f"v{KUBERNETES}-local-strict"
    package = importlib.util.find_spec("kubernetes_validate")
    assert package is not None, "the wheel kubernetes-validate isn't installed: run `make setup`"
    source = Path(package.origin or "").parent / "kubernetes-json-schema" / name
    folder = tmp_path_factory.mktemp("schemas")
    target = folder / name
    target.mkdir()
    for path in source.glob("*.json"):
        schema = json.loads(path.read_text(encoding="utf-8"))
        schema.pop("$id", None)
        text = json.dumps(schema).replace('"/api/_definitions.json', '"_definitions.json')
        (target / path.name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", VALUE_SETS)
def test_the_chart_passes_strict_lint(name: str, tmp_path: Path) -> None:
    done = helm(["lint", "--strict", str(CHART)], merged(MINIMAL, VALUE_SETS[name]), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", VALUE_SETS)
def test_everything_rendered_is_valid_for_kubernetes(name: str, schemas: Path, tmp_path: Path) -> None:
    manifests = template(merged(MINIMAL, VALUE_SETS[name]), tmp_path).stdout
    pattern = "{{ .NormalizedKubernetesVersion }}-local{{ .StrictSuffix }}/{{ .ResourceKind }}{{ .KindSuffix }}.json"
    command = [tool("kubeconform"), "-strict", "-summary", "-kubernetes-version", KUBERNETES]
    done = subprocess.run(
        [*command, "-schema-location", f"{schemas}/{pattern}", "-"],
        input=manifests, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Skipped: 0" in done.stdout


def test_kubeconform_would_notice_a_field_that_does_not_exist(schemas: Path, tmp_path: Path) -> None:
    manifests = template(MINIMAL, tmp_path).stdout.replace("maxUnavailable: 1\n", "maxUnavailabel: 1\n")
    pattern = "{{ .NormalizedKubernetesVersion }}-local{{ .StrictSuffix }}/{{ .ResourceKind }}{{ .KindSuffix }}.json"
    command = [tool("kubeconform"), "-strict", "-kubernetes-version", KUBERNETES]
    done = subprocess.run(
        [*command, "-schema-location", f"{schemas}/{pattern}", "-"],
        input=manifests, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0


def test_every_variable_of_the_chart_is_a_setting(objects: list[Object]) -> None:
    known = {f"PINAKES_{name.upper()}" for name in Settings.model_fields}
    known |= {f"PINAKES_LIMIT_{name.upper()}" for name in Limits.model_fields}
    for name, deployment in of_kind(objects, "Deployment").items():
        used = [entry["name"] for entry in container(deployment).get("env", [])]
        assert set(used) <= known
        assert len(used) == len(set(used)), f"{name}: a variable is set twice"
        assert name == "envoy" or {"PINAKES_SECRET_KEY", "PINAKES_OPENSEARCH_URLS"} <= set(used)


def test_secret_settings_come_from_the_secret_only(objects: list[Object]) -> None:
    secret = {"PINAKES_SECRET_KEY", "PINAKES_BOOTSTRAP_ADMIN_KEY", "PINAKES_OPENSEARCH_PASSWORD"}
    assert "Secret" not in {item["kind"] for item in objects}
    for deployment in of_kind(objects, "Deployment").values():
        for entry in container(deployment).get("env", []):
            if entry["name"] in secret:
                assert "value" not in entry
                assert entry["valueFrom"]["secretKeyRef"]["name"] == "pinakes"


def test_the_servers_accept_the_environment_that_the_chart_gives_them(
    objects: list[Object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text("certificate", encoding="utf-8")
    for name in SERVERS:
        for entry in container(of_kind(objects, "Deployment")[name])["env"]:
            value = str(authority) if entry["name"].endswith("_FILE") else entry.get("value", "x" * 64)
            monkeypatch.setenv(entry["name"], value)
        settings = Settings()  # type: ignore[call-arg]  # filled from the environment
        assert settings.listen == "0.0.0.0:7300"


def test_pods_run_without_privileges(objects: list[Object]) -> None:
    for deployment in of_kind(objects, "Deployment").values():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container(deployment)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_servers_are_probed_by_their_own_health_and_restarted_only_for_themselves(objects: list[Object]) -> None:
    for name in SERVERS:
        server = container(of_kind(objects, "Deployment")[name])
        assert server["readinessProbe"]["grpc"]["service"] == f"pinakes.v1.{name.title()}Service"
        assert server["livenessProbe"]["grpc"]["service"] == "liveness"
        assert server["startupProbe"]["grpc"]["service"] == "liveness"


def test_pods_have_longer_to_stop_than_their_drain_takes(objects: list[Object]) -> None:
    for name in SERVERS:
        deployment = of_kind(objects, "Deployment")[name]
        drain = next(e["value"] for e in container(deployment)["env"] if e["name"] == "PINAKES_DRAIN_SECONDS")
        assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > float(drain)


def test_every_deployment_has_a_disruption_budget_and_spreads_over_zones(objects: list[Object]) -> None:
    budgets = of_kind(objects, "PodDisruptionBudget")
    for name, deployment in of_kind(objects, "Deployment").items():
        template_labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert budgets[name]["spec"]["selector"]["matchLabels"].items() <= template_labels.items()
        constraints = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert {c["topologyKey"] for c in constraints} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}


def test_selectors_find_the_pods_they_mean_and_no_other(objects: list[Object]) -> None:
    pods = {n: d["spec"]["template"]["metadata"]["labels"] for n, d in of_kind(objects, "Deployment").items()}
    for name, service in of_kind(objects, "Service").items():
        found = {pod for pod, labels in pods.items() if service["spec"]["selector"].items() <= labels.items()}
        assert found == {name}


def test_traffic_is_denied_unless_a_policy_allows_it(tmp_path: Path) -> None:
    policies = {p["metadata"]["name"]: p["spec"] for p in rendered({}, tmp_path) if p["kind"] == "NetworkPolicy"}
    default = policies["release-pinakes-default"]
    assert default["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in default
    servers = policies["release-pinakes-servers"]["ingress"]
    assert [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in servers[0]["from"]] == [
        "envoy"
    ]
    assert "ingress" not in policies["release-pinakes-stores"]


def test_a_worker_needs_no_template_of_its_own(tmp_path: Path) -> None:
    objects = rendered(VALUE_SETS["everything"], tmp_path)
    worker = of_kind(objects, "Deployment")["reaper"]
    assert container(worker)["args"] == ["serve", "reaper"]
    assert "reaper" in of_kind(objects, "PodDisruptionBudget")
    assert "reaper" not in of_kind(objects, "Service")


def test_an_autoscaler_owns_the_number_of_replicas(tmp_path: Path) -> None:
    objects = rendered(VALUE_SETS["everything"], tmp_path)
    assert set(of_kind(objects, "HorizontalPodAutoscaler")) == {"search", "envoy"}
    assert "replicas" not in of_kind(objects, "Deployment")["search"]["spec"]
    assert of_kind(objects, "Deployment")["index"]["spec"]["replicas"] == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"secrets": {"existingSecret": ""}}, "secrets.existingSecret: name a Secret"),
        ({"settings": {"opensearch_urls": ""}}, "settings.opensearch_urls: give OpenSearch's addresses"),
        ({"settings": {"log_levle": "INFO"}}, "'log_levle' not allowed"),
        ({"settings": {"secret_key": "0123456789"}}, "'secret_key' not allowed"),
        ({"settings": {"log_level": "LOUD"}}, "/settings/log_level"),
        ({"limits": {"page_max": 0}}, "/limits/page_max"),
        ({"settings": {"cache_url": "redis://:word@redis:6379/0"}}, "has a password in it"),
        ({"envoy": {"tls": {"existingSecret": ""}}}, "envoy.tls.existingSecret: name a kubernetes.io/tls Secret"),
        ({"secrets": {"keys": {"secret_key": ""}}}, "secrets.keys.secret_key: say at which key"),
        ({"workers": {"search": {"args": ["x"], "replicas": 1}}}, "the name is taken by a server"),
        ({"servers": {"serach": {"replicas": 1}}}, "'serach' not allowed"),
    ],
)
def test_values_that_cannot_work_are_refused_with_a_reason(values: Object, said: str, tmp_path: Path) -> None:
    done = template(merged(MINIMAL, values), tmp_path)
    assert done.returncode != 0
    assert said in done.stderr


def test_derived_files_are_those_that_today_s_sources_give() -> None:
    for script in ("settings_reference.py", "render_envoy.py"):
        command = [sys.executable, str(ROOT / "tools" / script), "--check"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


def envoy_command(values: Object, folder: Path, port: int) -> list[str]:
    """Lay the rendered files into a folder, as the pod's mounts would; return the command that runs Envoy on them."""
    config = of_kind(rendered(values, folder), "ConfigMap")["envoy"]
    for file, text in config["data"].items():
        local = text.replace("/etc/envoy/config/", f"{folder}/").replace("/etc/envoy/tls", str(folder))
        (folder / file).write_text(
            local.replace("port_value: 8443", f"port_value: {port}").replace("port_value: 9901", "port_value: 0"),
            encoding="utf-8",
        )
    (folder / "descriptors.binpb").write_bytes(base64.b64decode(config["binaryData"]["descriptors.binpb"]))
    make_certificate(folder)
    envoy = Path(sys.executable).parent / "envoy"
    return [str(envoy), "--use-dynamic-base-id", "--config-path", str(folder / "envoy.yaml"), "--log-level", "warning"]


@pytest.mark.parametrize("name", VALUE_SETS)
def test_envoy_accepts_the_rendered_configuration(name: str, tmp_path: Path) -> None:
    command = [*envoy_command(VALUE_SETS[name], tmp_path, 8443), "--mode", "validate"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "eprecated" not in done.stderr


def test_envoy_serves_tls_and_tells_its_own_health_without_the_servers(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = envoy_command({}, tmp_path, port)
    context = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
    context.check_hostname = False
    with (tmp_path / "envoy.log").open("w") as log, subprocess.Popen(command, stderr=log, stdout=log) as envoy:
        try:
            assert eventually_status(port, "/healthz", context) == 200
            assert eventually_status(port, "/v1/nothing/like/this", context) == 404
            assert eventually_status(port, "/v1/tenants?pagesize=1", context) == 400
            assert eventually_status(port, "/v1/tenants", context) == 503
        finally:
            envoy.terminate()


def eventually_status(port: int, path: str, context: ssl.SSLContext, seconds: float = 20.0) -> int:
    """HTTP status of a path, as soon as there is an answer."""
    until = time.monotonic() + seconds
    while True:
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        finally:
            connection.close()


def make_certificate(folder: Path) -> None:
    """A certificate of its own authority, as tls.crt, tls.key and ca.crt."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pinakes")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "tls.crt").write_bytes(pem)
    (folder / "ca.crt").write_bytes(pem)
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_the_chart_and_the_local_platform_transcode_with_the_same_descriptors() -> None:
    # Without the details' descriptors Envoy answers an error with an empty body.
    ours = (CHART / "files" / "descriptors.binpb").read_bytes()
    assert ours == descriptor_set()
    assert b"google/rpc/error_details.proto" in ours
