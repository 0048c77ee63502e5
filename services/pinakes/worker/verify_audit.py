# SPDX-License-Identifier: Apache-2.0
"""`pinakes-audit-verify`: walks the audit log's chain and says whether it is whole. Exit code 0 if it is, 1 if it isn't."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys

from pinakes.core.audit.chain import Head, Seal
from pinakes.core.audit.spool import Spool
from pinakes.core.audit.verify import Report, verify
from pinakes.core.engine.audit import AuditStore
from pinakes.core.engine.client import Engine
from pinakes.core.faults import Fault
from pinakes.core.settings import Settings, load


async def check(settings: Settings, known: Head | None = None) -> Report:
    """Verify the chain of a deployment."""
    engine = Engine(settings)
    seal = Seal(settings.audit_key)
    spool = Spool(settings, engine, seal)
    try:
        return await verify(AuditStore(engine), spool, seal, known)
    finally:
        await spool.close()
        await engine.close()


def main() -> None:
    """Verify with the settings of a server."""
    parser = argparse.ArgumentParser(prog="pinakes-audit-verify", description=__doc__)
    parser.add_argument(
        "--head",
        type=_head,
        metavar="NUMBER:HASH",
        help="a head that was noted before, as `audit head` in a worker's log",
    )
    known: Head | None = parser.parse_args().head
    try:
        report = asyncio.run(check(load(), known))
    except Fault as fault:
        sys.stderr.write(f"pinakes-audit-verify: {fault.message}\n")
        raise SystemExit(69) from None
    for finding in report.findings:
        sys.stdout.write(f"{finding.what}: {finding.text}\n")
    if report.entries:
        place = f"from {report.first.sequence:,} to {report.last.sequence:,}, head {report.last.sequence}:{report.last.hash}"
        sys.stdout.write(f"{report.entries:,} entries, {place}\n")
    sys.stdout.write("the audit log is whole\n" if report.intact else f"{len(report.findings):,} things are wrong\n")
    raise SystemExit(0 if report.intact else 1)


def _head(text: str) -> Head:
    found = re.fullmatch(r"(\d{1,15}):([0-9a-f]{64})", text)
    if found is None:
        message = "not NUMBER:HASH, such as 12:9f86…"
        raise argparse.ArgumentTypeError(message)
    return Head(int(found[1]), found[2])


if __name__ == "__main__":
    main()
