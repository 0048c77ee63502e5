# SPDX-License-Identifier: Apache-2.0
"""The command tree, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import os
import sys

import typer

from pinakes.cli import (
    _administration,
    _failed,
    _finding,
    _import,
    _keys,
    _lifecycle,
    _movement,
    _operations,
    _oversight,
    _placement,
    _platform,
    _pools,
    _profile,
    _searching,
    _settings,
)
from pinakes.cli._failures import EXIT_CODES, Failure, failure_of, report
from pinakes.client import PinakesError

app = typer.Typer(
    name="pinakes",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=EXIT_CODES,
    help="Search documents with Pinakes, and run the platform.",
)

app.command("search", rich_help_panel="Search")(_searching.search)
app.command("suggest", rich_help_panel="Search")(_searching.suggest)
app.command("count", rich_help_panel="Search")(_searching.count)
app.command("explain", rich_help_panel="Search")(_searching.explain)
app.command("insights", rich_help_panel="Search")(_searching.insights)
app.add_typer(_settings.settings, name="settings", rich_help_panel="Search")
app.command("get", rich_help_panel="Documents")(_finding.get)
app.command("put", rich_help_panel="Documents")(_finding.put)
app.command("delete", rich_help_panel="Documents")(_finding.delete)
app.command("undelete", rich_help_panel="Documents")(_finding.undelete)
app.command("import", rich_help_panel="Documents")(_import.import_)
app.add_typer(_failed.failed_writes, name="failed", rich_help_panel="Documents")
app.command("load", rich_help_panel="Documents")(_movement.load)
app.command("export", rich_help_panel="Documents")(_movement.export)
app.command("purge", rich_help_panel="Documents")(_operations.purge)
app.command("reindex", rich_help_panel="Administration")(_operations.reindex)
app.add_typer(_operations.operations, name="operations", rich_help_panel="Administration")
app.add_typer(_administration.collections, name="collections", rich_help_panel="Administration")
app.add_typer(_keys.keys, name="keys", rich_help_panel="Administration")
app.command("token", rich_help_panel="Administration")(_keys.token)
_lifecycle.tenants.command("move")(_placement.move_tenant)
app.add_typer(_lifecycle.tenants, name="tenants", rich_help_panel="Administration")
app.command("placement", rich_help_panel="Administration")(_pools.placement)
app.command("usage", rich_help_panel="Administration")(_oversight.usage)
app.command("audit", rich_help_panel="Administration")(_oversight.audit)
app.add_typer(_profile.profiles, name="profile", rich_help_panel="Administration")
_platform.add_to(app)


def main() -> None:
    """Run the command with the arguments of the process, and exit."""
    try:
        app()
    except Failure as failure:
        report(failure)
        raise SystemExit(failure.code) from None
    except PinakesError as error:
        told = failure_of(error)
        report(told)
        raise SystemExit(told.code) from None
    except ValueError as error:  # an id, a time or an endpoint that the client can't read
        report(Failure("USAGE", str(error), "see --help"))
        raise SystemExit(2) from None
    except BrokenPipeError:  # whoever read the output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:
        report(Failure("SYSTEM", str(error), "check files and permissions"))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
