"""Ctrl-C and SIGTERM as a flag that is checked between two steps.

An exception raised by a signal handler could interrupt any line, also in a library, and leave its work half done.
"""

from __future__ import annotations

import signal


class Interruption:
    """After :meth:`listen`, SIGINT and SIGTERM only set this flag."""

    def __init__(self) -> None:
        self.signal = 0

    def listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        self.signal = number

    def __bool__(self) -> bool:
        return self.signal != 0

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells report it."""
        return 128 + self.signal
