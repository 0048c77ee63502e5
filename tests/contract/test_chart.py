# SPDX-License-Identifier: Apache-2.0
"""The Helm chart renders to valid objects that hold the platform's rules, and refuses values that can't work."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from pinakes.core.settings import Limits, Settings
from pinakes.core.telemetry import metrics  # noqa: F401  # registers the metrics
from tests.contract._chart import (
    CHART,
    KUBERNETES,
    MINIMAL,
    PROGRAMS,
    ROOT,
    SCALED_OBJECT,
    SERVERS,
    VALUE_SETS,
    Object,
    container,
    helm,
    merged,
    of_kind,
    rendered,
    template,
    tool,
)


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
    (target / "scaledobject-keda-v1alpha1.json").write_text(json.dumps(SCALED_OBJECT), encoding="utf-8")
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
    for name in PROGRAMS:
        for entry in container(of_kind(objects, "Deployment")[name])["env"]:
            mounted = {"FILE": str(authority), "FOLDER": str(tmp_path)}.get(entry["name"].rpartition("_")[2])
            monkeypatch.setenv(entry["name"], mounted or entry.get("value", "x" * 64))
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
    worker = container(of_kind(objects, "Deployment")["worker"])
    assert worker["readinessProbe"]["grpc"] == {"port": 7300}
    assert worker["livenessProbe"]["grpc"]["service"] == "liveness"


def test_pods_have_longer_to_stop_than_their_drain_takes(objects: list[Object]) -> None:
    for name in PROGRAMS:
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
    assert servers[0]["ports"] == [{"protocol": "TCP", "port": 7300}]
    assert policies["release-pinakes-servers"]["podSelector"]["matchLabels"]["pinakes/kind"] == "server"
    assert "ingress" not in policies["release-pinakes-stores"]


def test_a_worker_needs_no_template_of_its_own(tmp_path: Path) -> None:
    objects = rendered(VALUE_SETS["everything"], tmp_path)
    worker = of_kind(objects, "Deployment")["reaper"]
    assert container(worker)["args"] == ["serve", "reaper"]
    assert "reaper" in of_kind(objects, "PodDisruptionBudget")
    assert "reaper" not in of_kind(objects, "Service")


def test_a_folder_can_be_mounted_for_imports(tmp_path: Path) -> None:
    worker = of_kind(rendered(VALUE_SETS["everything"], tmp_path), "Deployment")["worker"]
    assert {"name": "import", "mountPath": "/srv/import", "readOnly": True} in container(worker)["volumeMounts"]
    assert "import" in {volume["name"] for volume in worker["spec"]["template"]["spec"]["volumes"]}


def test_an_autoscaler_owns_the_number_of_replicas(tmp_path: Path) -> None:
    objects = rendered(VALUE_SETS["everything"], tmp_path)
    assert set(of_kind(objects, "HorizontalPodAutoscaler")) == {"search", "envoy"}
    assert "replicas" not in of_kind(objects, "Deployment")["search"]["spec"]
    assert of_kind(objects, "Deployment")["index"]["spec"]["replicas"] == 2


def test_every_program_knows_among_how_many_a_tenants_calls_are_spread(tmp_path: Path) -> None:
    def told(values: Object) -> set[str]:
        deployments = of_kind(rendered(values, tmp_path), "Deployment")
        env = [entry for name in PROGRAMS for entry in container(deployments[name])["env"]]
        return {entry["value"] for entry in env if entry["name"] == "PINAKES_LIMITS_PROCESSES"}

    assert told({}) == {str(3 + 2 + 2)}
    # An autoscaler's largest number, each pod with as many processes as it has; two servers of each other kind.
    assert told(VALUE_SETS["everything"]) == {str(12 * 2 + 2 + 2)}
    assert told({"settings": {"processes": 2}}) == {str(2 * (3 + 2 + 2))}
    many = {"worker": {"keda": {"enabled": True, "maxReplicas": 20, "prometheusUrl": "http://prometheus"}}}
    assert told({"workers": many}) == {str(2 + 20)}, "what is written is held to one limit by IndexService and workers"
    assert told({"settings": {"limits_processes": 3}}) == {"3"}


def test_every_program_knows_the_queue_and_may_reach_it(tmp_path: Path) -> None:
    objects = rendered({}, tmp_path)
    for name in PROGRAMS:
        env = {entry["name"]: entry for entry in container(of_kind(objects, "Deployment")[name])["env"]}
        assert env["PINAKES_QUEUE_URL"]["value"] == "redis://redis-queue:6379/0"
    hidden = container(of_kind(rendered(VALUE_SETS["everything"], tmp_path), "Deployment")["worker"])
    (queue,) = [entry for entry in hidden["env"] if entry["name"] == "PINAKES_QUEUE_URL"]
    assert queue["valueFrom"]["secretKeyRef"] == {"name": "pinakes", "key": "queue-url"}
    policies = {p["metadata"]["name"]: p["spec"] for p in objects if p["kind"] == "NetworkPolicy"}
    stores = policies["release-pinakes-stores"]
    assert stores["podSelector"]["matchExpressions"][0]["values"] == ["server", "worker"]
    assert {port["port"] for rule in stores["egress"] for port in rule["ports"]} == {9200, 6379}


def test_keda_scales_the_worker_by_what_waits_in_the_queue(tmp_path: Path) -> None:
    objects = rendered(VALUE_SETS["everything"], tmp_path)
    scaled = of_kind(objects, "ScaledObject")["worker"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == of_kind(objects, "Deployment")["worker"]["metadata"]["name"]
    assert "replicas" not in of_kind(objects, "Deployment")["worker"]["spec"]
    assert [trigger["type"] for trigger in scaled["triggers"]] == ["prometheus", "cpu", "memory", "cron"]
    query = scaled["triggers"][0]["metadata"]["query"]
    (name,) = re.findall(r"pinakes_\w+", query)
    assert name in {metric.name for metric in REGISTRY.collect()}, "no such metric"
    assert not of_kind(rendered({}, tmp_path), "ScaledObject")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"secrets": {"existingSecret": ""}}, "secrets.existingSecret: name a Secret"),
        ({"settings": {"opensearch_urls": ""}}, "settings.opensearch_urls: give OpenSearch's addresses"),
        ({"settings": {"queue_url": ""}}, "settings.queue_url: give the address of the queue's Redis"),
        ({"settings": {"log_levle": "INFO"}}, "'log_levle' not allowed"),
        ({"settings": {"secret_key": "0123456789"}}, "'secret_key' not allowed"),
        ({"settings": {"log_level": "LOUD"}}, "/settings/log_level"),
        ({"limits": {"page_max": 0}}, "/limits/page_max"),
        ({"settings": {"cache_url": "redis://:word@redis:6379/0"}}, "has a password in it"),
        ({"settings": {"queue_url": "redis://:word@redis:6379/0"}}, "has a password in it"),
        ({"secrets": {"keys": {"queue_url": "queue"}}}, "give the queue's address once"),
        ({"workers": {"worker": {"keda": {"enabled": True}}}}, "workers.worker.keda.prometheusUrl"),
        (
            {
                "workers": {
                    "worker": {
                        "autoscaling": {"enabled": True},
                        "keda": {"enabled": True, "prometheusUrl": "http://p:9090"},
                    }
                }
            },
            "autoscaling and keda exclude each other",
        ),
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
