# SPDX-License-Identifier: Apache-2.0
"""Assembles an OpenSearch home from published jars: modules, plugins, descriptors and the policies no jar contains."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pinakes.local.artifacts import Artifact, lock_digest, stored
from pinakes.local.faults import LocalError
from pinakes.local.lock import ENGINE
from pinakes.local.places import link_or_copy

LAYOUT = 1
"""Raised when the layout changes, so that homes of an older one aren't taken for it."""

AGENT = ("opensearch-agent", "opensearch-agent-bootstrap", "byte-buddy")
# Without the first, nodes never find each other, silently.
NETWORK_POLICY = (
    "grant {\n"
    '  permission java.net.SocketPermission "*", "accept,connect";\n'
    '  permission java.io.FilePermission "/proc/sys/net/core/somaxconn", "read";\n'
    "};\n"
)
CONNECT_POLICY = 'grant {\n  permission java.net.SocketPermission "*", "connect";\n};\n'

THAI_JAR = "lucene-analysis-common"
THAI_CLASS = "org/apache/lucene/analysis/th/ThaiTokenizer.class"
THAI_PROBE = "ภาษาไทย".encode()
ASCII_PROBE = b"abcd efghijklmnopqrst"


@dataclass(frozen=True, slots=True)
class Module:
    """A module or plugin of the engine: its class and the artifacts that belong to it, by the start of their name."""

    name: str
    classname: str
    jars: tuple[str, ...]
    extends: str = ""
    policy: str = ""
    plugin: bool = False


MODULES = (
    Module(
        "aggs-matrix-stats",
        "org.opensearch.search.aggregations.matrix.MatrixAggregationModulePlugin",
        ("aggs-matrix-stats-client",),
    ),
    Module(
        "analysis-common",
        "org.opensearch.analysis.common.CommonAnalysisModulePlugin",
        ("analysis-common",),
        extends="lang-painless",
    ),
    Module("geo", "org.opensearch.geo.GeoModulePlugin", ("geo-3",)),
    Module(
        "ingest-common",
        "org.opensearch.ingest.common.IngestCommonModulePlugin",
        ("ingest-common", "opensearch-grok", "opensearch-dissect", "joni", "jcodings"),
        extends="lang-painless",
    ),
    Module(
        "lang-expression",
        "org.opensearch.script.expression.ExpressionModulePlugin",
        ("lang-expression", "lucene-expressions", "antlr4-runtime", "asm-"),
    ),
    Module(
        "lang-mustache",
        "org.opensearch.script.mustache.MustacheModulePlugin",
        ("lang-mustache-client", "compiler"),
    ),
    Module(
        "lang-painless",
        "org.opensearch.painless.PainlessModulePlugin",
        ("lang-painless", "opensearch-scripting-painless-spi", "antlr4-runtime", "asm-"),
    ),
    Module(
        "mapper-extras",
        "org.opensearch.index.mapper.MapperExtrasModulePlugin",
        ("mapper-extras-client",),
        extends="lang-painless",
    ),
    Module("parent-join", "org.opensearch.join.ParentJoinModulePlugin", ("parent-join-client",)),
    Module("percolator", "org.opensearch.percolator.PercolatorModulePlugin", ("percolator-client",)),
    Module("rank-eval", "org.opensearch.index.rankeval.RankEvalModulePlugin", ("rank-eval-client",)),
    Module(
        "reindex",
        "org.opensearch.index.reindex.ReindexModulePlugin",
        (
            "reindex-client",
            "opensearch-rest-client",
            "opensearch-ssl-config",
            "httpclient5",
            "httpcore5",
            "commons-codec",
            "commons-logging",
        ),
        policy=CONNECT_POLICY,
    ),
    Module(
        "repository-url",
        "org.opensearch.plugin.repository.url.URLRepositoryModulePlugin",
        ("repository-url",),
        policy=CONNECT_POLICY,
    ),
    Module(
        "transport-netty4",
        "org.opensearch.transport.Netty4ModulePlugin",
        ("transport-netty4-client", "netty-", "opensearch-netty4"),
        policy=NETWORK_POLICY,
    ),
    Module(
        "analysis-icu",
        "org.opensearch.plugin.analysis.icu.AnalysisICUPlugin",
        ("analysis-icu-client", "lucene-analysis-icu", "icu4j-77"),
        plugin=True,
    ),
    Module(
        "analysis-kuromoji",
        "org.opensearch.plugin.analysis.kuromoji.AnalysisKuromojiPlugin",
        ("analysis-kuromoji", "lucene-analysis-kuromoji"),
        plugin=True,
    ),
)


def distribution(cache: Path, artifacts: list[Artifact]) -> Path:
    """Return where the home of this set of artifacts is or will be."""
    return cache / f"opensearch-{ENGINE}-{lock_digest(artifacts)}-{LAYOUT}"


def assemble(cache: Path, artifacts: list[Artifact]) -> Path:
    """Build the home beside its final name and move it there when whole; return it. Its files are never written to."""
    target = distribution(cache, artifacts)
    if target.is_dir():
        return target
    with tempfile.TemporaryDirectory(dir=cache, prefix=".opensearch-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        for name in ("bin", "lib", "modules", "plugins", "agent"):
            (home / name).mkdir(parents=True)
        for module in MODULES:
            _add_module(home, module, cache, artifacts)
        for artifact in artifacts:
            if artifact.name in AGENT:
                link_or_copy(stored(cache, artifact), home / "agent" / artifact.filename)
            elif artifact.name == THAI_JAR:
                patch_thai(stored(cache, artifact), home / "lib" / artifact.filename)
            elif not any(_belongs(artifact, module) for module in MODULES):
                link_or_copy(stored(cache, artifact), home / "lib" / artifact.filename)
        try:
            home.replace(target)
        except OSError:
            if not target.is_dir():  # another `up` was faster
                raise
    for old in cache.glob("opensearch-*"):
        if old != target and not _in_use(old):
            shutil.rmtree(old, ignore_errors=True)
    return target


def patch_thai(source: Path, target: Path) -> None:
    """Copy a jar with a Thai probe that every Java passes.

    A Java without the Thai dictionary (the wheel's) fails Lucene's probe when any index is created. The replacement is
    as long as the original, so the class stays valid; where the dictionary exists, Thai still works.
    """
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == THAI_CLASS:
                if content.count(THAI_PROBE) != 1:
                    message = f"{source.name} has another Thai probe than this version of pinakes knows"
                    raise LocalError(message)
                content = content.replace(THAI_PROBE, ASCII_PROBE)
            new.writestr(entry, content)
    target.chmod(0o644)


def _belongs(artifact: Artifact, module: Module) -> bool:
    """Tell whether an artifact is one of a module's."""
    return any(artifact.filename.startswith(start) for start in module.jars)


def _add_module(home: Path, module: Module, cache: Path, artifacts: list[Artifact]) -> None:
    """Lay out one module: its jars, its descriptor, its policy."""
    folder = home / ("plugins" if module.plugin else "modules") / module.name
    folder.mkdir()
    for artifact in artifacts:
        if _belongs(artifact, module):
            link_or_copy(stored(cache, artifact), folder / artifact.filename)
    (folder / "plugin-descriptor.properties").write_text(
        f"name={module.name}\n"
        f"description={module.name}\n"
        f"version={ENGINE}\n"
        f"opensearch.version={ENGINE}\n"
        "java.version=21\n"
        f"classname={module.classname}\n"
        f"extended.plugins={module.extends}\n"
        "has.native.controller=false\n",
        encoding="utf-8",
    )
    if module.policy:
        (folder / "plugin-security.policy").write_text(module.policy, encoding="utf-8")


def _in_use(home: Path) -> bool:
    """Tell whether a process on this machine was started from a home."""
    import psutil  # only after an upgrade

    return any(str(home) in " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
