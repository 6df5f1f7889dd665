"""Ctrl-C and TERM as a question that is asked between two steps.

An exception out of a signal handler may hit any line, a library's as well as ours, and leave things half done.
"""

from __future__ import annotations

import signal


class Interruption:
    """From :meth:`listen` on, SIGINT and SIGTERM are noted and do nothing else."""

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
        """As shells count."""
        return 128 + self.signal
