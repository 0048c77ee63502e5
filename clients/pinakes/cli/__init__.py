# SPDX-License-Identifier: Apache-2.0
"""The `pinakes` command."""

import os

# gRPC reads it when it is loaded: its notes on connections would stand between the command's own lines.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

from pinakes.cli._app import main

__all__ = ["main"]
