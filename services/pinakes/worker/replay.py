# SPDX-License-Identifier: Apache-2.0
"""`pinakes-replay-deletions`: after a restore from a snapshot, deletes again what was deleted or erased since it was taken."""

from __future__ import annotations

import asyncio
import sys

from pinakes.core.engine.client import Engine
from pinakes.core.engine.erasure import Remains
from pinakes.core.engine.journal import DeletionJournal
from pinakes.core.engine.setup import prepare
from pinakes.core.lifecycle.erasing import bury
from pinakes.core.settings import Settings, load


async def replay(settings: Settings) -> tuple[int, int]:
    """Replay the journal, and return how many deletions it has and how many of them changed something."""
    engine = Engine(settings)
    try:
        await prepare(engine, settings)
        journal = DeletionJournal(engine)
        seen, changed = await journal.replay()
        for tenant_id, tenant_uid in await journal.erasures():
            seen += 1
            changed += await Remains(engine, tenant_uid).remove_all()
            await bury(engine, tenant_id, tenant_uid)
        return seen, changed
    finally:
        await engine.close()


def main() -> None:
    """Replay with the settings of a server."""
    seen, changed = asyncio.run(replay(load()))
    sys.stdout.write(f"{seen:,} deletions replayed; {changed:,} had to be done again\n")


if __name__ == "__main__":
    main()
