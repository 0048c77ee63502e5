# SPDX-License-Identifier: Apache-2.0
"""The engine: a real OpenSearch node from the assembled home, with its data in the platform's own folder."""

from __future__ import annotations

import http.client
import json
import os
import shutil
from pathlib import Path
from typing import Any

from pinakes.local.artifacts import read_lock
from pinakes.local.distribution import distribution
from pinakes.local.java import find_java
from pinakes.local.lock import ENGINE
from pinakes.local.parts import HOST, Launch, Site
from pinakes.local.places import engine_ids

PROBE_INDEX = "pinakes-local-probe"
LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %-5p %c{1.}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.bootstrap.name = org.opensearch.node
logger.bootstrap.level = info
"""


class OpenSearch:
    """One node that is a cluster of its own."""

    name = "opensearch"
    ports = ("opensearch", "opensearch-transport")
    ready_seconds = 120.0
    stop_seconds = 30.0

    def memory_mib(self, site: Site) -> int:
        """Return heap and what the JVM takes beside it."""
        return heap_mib(site) + 400

    def launch(self, site: Site) -> Launch:
        """Write configuration into the engine's folder and hand it to the engine's user."""
        home = distribution(site.places.cache, read_lock())
        work = site.places.engine
        for folder in ("config", "data", "logs", "tmp", "repo"):
            (work / folder).mkdir(parents=True, exist_ok=True)
        config = configuration(site)
        (work / "config/opensearch.yml").write_text(config, encoding="utf-8")
        (work / "config/log4j2.properties").write_text(LOGGING, encoding="utf-8")
        user, group = None, None
        if os.geteuid() == 0:
            user, group = engine_ids()
            _own(work, user, group)
        java = find_java(site.places)
        return Launch(
            argv=(str(java), *jvm_options(site, home, work), "org.opensearch.bootstrap.OpenSearch"),
            env={"JAVA_HOME": str(java.parent.parent), "HOME": str(work)},
            cwd=work,
            user=user,
            group=group,
            config=config,
        )

    def ready(self, site: Site, *, fresh: bool) -> str | None:
        """Ask for the node; of a new one, demand that an index can be created: green health doesn't tell."""
        try:
            status, answer = _call(site, "GET", "/")
            if status != http.client.OK:
                return f"the node answers {status}"
            if not fresh:
                return None
            _call(site, "DELETE", f"/{PROBE_INDEX}")
            settings = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}
            status, answer = _call(site, "PUT", f"/{PROBE_INDEX}?wait_for_active_shards=1", settings)
            if status == http.client.OK:
                _call(site, "DELETE", f"/{PROBE_INDEX}")
                return None
            return f"no index can be created: {answer[:300]}"
        except (OSError, http.client.HTTPException) as error:
            return f"the node doesn't answer: {error}"


def heap_mib(site: Site) -> int:
    """Return the heap: small for daily use and tests, 1 GiB for measurements."""
    return 1024 if site.profile == "bench" else 512


def jvm_options(site: Site, home: Path, work: Path) -> tuple[str, ...]:
    """Return the options of Java, main class excluded."""
    heap = heap_mib(site)
    quick = () if site.profile == "bench" else ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    return (
        f"-Xms{heap}m",
        f"-Xmx{heap}m",
        *quick,
        "--enable-native-access=ALL-UNNAMED",
        f"-javaagent:{home}/agent/opensearch-agent-{ENGINE}.jar",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "-Dio.netty.noUnsafe=true",
        "-Dio.netty.noKeySetOptimization=true",
        "-Dio.netty.recycler.maxCapacityPerThread=0",
        "-Dlog4j.shutdownHookEnabled=false",
        "-Dlog4j2.disable.jmx=true",
        f"-Djava.io.tmpdir={work / 'tmp'}",
        f"-Djna.tmpdir={work / 'tmp'}",
        f"-Dopensearch.path.home={home}",
        f"-Dopensearch.path.conf={work}/config",
        "-Dopensearch.distribution.type=tar",
        "-cp",
        f"{home}/lib/*",
    )


def configuration(site: Site) -> str:
    """Return opensearch.yml. JSON values are YAML."""
    work = site.places.engine
    settings = {
        "cluster.name": "pinakes-local",
        "node.name": "local",
        "network.host": HOST,
        "http.port": site.state.ports["opensearch"],
        "transport.port": site.state.ports["opensearch-transport"],
        "discovery.type": "single-node",
        "path.data": str(work / "data"),
        "path.logs": str(work / "logs"),
        "path.repo": [str(work / "repo")],
        "action.auto_create_index": False,
        "action.destructive_requires_name": True,
        # A developer's disk is often nearly full; an index that turns read-only for that explains nothing.
        "cluster.routing.allocation.disk.threshold_enabled": False,
    }
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in settings.items())


def _call(site: Site, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    """Send one request to the node."""
    connection = http.client.HTTPConnection(HOST, site.state.ports["opensearch"], timeout=30)
    try:
        content = json.dumps(body) if body is not None else None
        connection.request(method, path, content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def _own(work: Path, user: int, group: int) -> None:
    """Give the engine's folder to its user, once."""
    for path in [work, *work.rglob("*")] if work.stat().st_uid != user else [work / "config", *work.glob("config/*")]:
        shutil.chown(path, user, group)
