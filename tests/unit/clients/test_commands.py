# SPDX-License-Identifier: Apache-2.0
"""The command tree can be made: no option of a command has the name of one that all of them have."""

from __future__ import annotations

import typer

from pinakes.cli._app import app


def test_every_command_is_there_with_options_of_its_own() -> None:
    commands = typer.main.get_command(app)
    names = set(commands.commands)  # type: ignore[attr-defined]  # a group
    assert {"search", "token", "keys", "tenants", "collections", "operations"} <= names
    for command in commands.commands.values():  # type: ignore[attr-defined]  # as above
        for one in getattr(command, "commands", {"": command}).values():
            options = [option for parameter in one.params for option in parameter.opts]
            assert len(options) == len(set(options)), one.name
