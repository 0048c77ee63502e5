# SPDX-License-Identifier: Apache-2.0
"""`pinakes-replay-deletions`: after a restore from a snapshot, deletes again what was deleted or erased since it was taken."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from pinakes.core.engine.client import Engine
from pinakes.core.engine.erasure import Remains
from pinakes.core.engine.journal import DeletionJournal
from pinakes.core.engine.setup import prepare
from pinakes.core.lifecycle.erasing import bury
from pinakes.core.lifecycle.receipts import ReceiptKey, ReceiptStore
from pinakes.core.rpc import names
from pinakes.core.settings import Settings, load
from pinakes.v1 import lifecycle_pb2

Receipt = tuple[lifecycle_pb2.ErasureReceipt, lifecycle_pb2.ErasureStatement]


async def replay(settings: Settings, receipts: Sequence[Receipt] = ()) -> tuple[int, int]:
    """Replay the journal, and return how many deletions it has and how many of them changed something.

    Erasures that only their receipts know of are journalled first: the journal may be no newer than the snapshot.
    """
    engine = Engine(settings)
    try:
        await prepare(engine, settings)
        journal, store = DeletionJournal(engine), ReceiptStore(engine)
        for receipt, statement in receipts:
            await journal.erased(names.parse(statement.tenant).tenant, statement.uid)
            await store.keep(statement.uid, receipt)
        seen, changed = await journal.replay()
        for tenant_id, tenant_uid in await journal.erasures():
            seen += 1
            changed += await Remains(engine, tenant_uid).remove_all()
            await bury(engine, tenant_id, tenant_uid)
        return seen, changed
    finally:
        await engine.close()


def read_receipts(paths: Sequence[Path], settings: Settings) -> list[Receipt]:
    """Read receipts of this deployment. Raises ValueError, with the file's name, if one can't be read or isn't one."""
    key, found = ReceiptKey(settings), []
    for path in paths:
        try:
            found.append(key.read(path.read_text("utf-8")))
        except (OSError, ValueError) as error:
            message = f"{path}: {error}"
            raise ValueError(message) from None
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Replay with the settings of a server."""
    parser = argparse.ArgumentParser("pinakes-replay-deletions", description=__doc__)
    parser.add_argument(
        "receipts", nargs="*", type=Path, metavar="RECEIPT",
        help="files with receipts of erasures, for when the journal was restored from a snapshot, too",
    )  # fmt: skip
    given, settings = parser.parse_args(arguments), load()
    try:
        receipts = read_receipts(given.receipts, settings)
    except ValueError as error:
        parser.error(f"{error}; nothing was replayed")
    seen, changed = asyncio.run(replay(settings, receipts))
    sys.stdout.write(f"{seen:,} deletions replayed; {changed:,} had to be done again\n")


if __name__ == "__main__":
    main()
