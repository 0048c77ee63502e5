# SPDX-License-Identifier: Apache-2.0
"""What can be wrong on the machine, said to the person who ran `pinakes local`."""

from __future__ import annotations


class LocalError(Exception):
    """The platform can't be brought up or down. `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Take what is wrong and what to do about it."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.message}. {self.hint}" if self.hint else self.message
