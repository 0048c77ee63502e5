# SPDX-License-Identifier: Apache-2.0
"""Object storage: a real S3 endpoint (S3Proxy) with one bucket in a folder of the platform. It checks signatures."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from pathlib import Path

from pinakes.local.artifacts import Artifact, lock_digest, read_lock, stored
from pinakes.local.java import find_java
from pinakes.local.lock import S3_LOCK_FILE
from pinakes.local.parts import HOST, Launch, Site

BUCKET = "pinakes"
REGION = "us-east-1"
ACCESS_KEY = "pinakes-local"
LOGGING = """\
<configuration>
  <appender name="console" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{ISO8601} %-5level %logger{1}: %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="console"/></root>
</configuration>
"""


@dataclass(frozen=True, slots=True)
class ObjectStorage:
    """The endpoint. It is started only when it is asked for."""

    name: str = "s3"
    ready_seconds: float = 60.0
    stop_seconds: float = 15.0

    @property
    def ports(self) -> tuple[str, ...]:
        """Return its one port, which has its name."""
        return (self.name,)

    def memory_mib(self, site: Site) -> int:  # noqa: ARG002  # as the protocol has it
        """Return heap and what the JVM takes beside it."""
        return 200

    def artifacts(self) -> list[Artifact]:
        """Return the jars."""
        return read_lock(S3_LOCK_FILE)

    def launch(self, site: Site) -> Launch:
        """Write the configuration, and make the bucket: a folder."""
        data = site.places.home / self.name
        (data / BUCKET).mkdir(parents=True, exist_ok=True)
        config = site.places.config
        config.mkdir(parents=True, exist_ok=True)
        properties = {
            "s3proxy.endpoint": f"http://{site.address(self.name)}",
            "s3proxy.authorization": "aws-v2-or-v4",
            "s3proxy.identity": ACCESS_KEY,
            "s3proxy.credential": secret(site),
            "jclouds.provider": "filesystem-nio2",
            "jclouds.filesystem.basedir": str(data),
            "jclouds.identity": "unused",
            "jclouds.credential": "unused",
        }
        content = "".join(f"{name}={value}\n" for name, value in properties.items())
        path = config / "s3proxy.properties"
        path.touch(0o600)
        path.write_text(content, encoding="utf-8")
        (config / "s3proxy-logback.xml").write_text(LOGGING, encoding="utf-8")
        jars = ":".join(str(stored(site.places.cache, artifact)) for artifact in self.artifacts())
        argv = (
            str(find_java(site.places)),
            "-Xmx128m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",
            f"-Dlogback.configurationFile={config}/s3proxy-logback.xml",
            "-cp",
            jars,
            "org.gaul.s3proxy.Main",
            "--properties",
            str(path),
        )
        return Launch(argv=argv, cwd=data, config=content + lock_digest(self.artifacts()))

    def ready(self, site: Site, *, fresh: bool) -> str | None:  # noqa: ARG002  # one check does for both
        """Ask without credentials: to be refused is an answer."""
        connection = http.client.HTTPConnection(HOST, site.state.ports[self.name], timeout=5)
        try:
            connection.request("GET", "/")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"it doesn't answer: {error}"
        finally:
            connection.close()
        return None if status == http.client.FORBIDDEN else f"it answers {status} to a stranger"


def secret(site: Site) -> str:
    """Return the secret of the one access key: of the platform's own, so that each platform has another."""
    return site.state.secret_key[:40]


def environment(site: Site) -> dict[str, str]:
    """Return the variables by which servers use it."""
    return {
        "PINAKES_S3_ENDPOINT": f"http://{site.address('s3')}",
        "PINAKES_S3_REGION": REGION,
        "PINAKES_S3_ACCESS_KEY": ACCESS_KEY,
        "PINAKES_S3_SECRET_KEY": secret(site),
        "PINAKES_S3_BUCKETS": BUCKET,
    }


def folder(home: Path) -> Path:
    """Return the folder that the bucket is."""
    return home / "s3" / BUCKET
