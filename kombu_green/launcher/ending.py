"""How the launcher itself ends: the mode it is in, and the exit code that follows.

A process that cannot boot says so, and trying again does not help it.  Before any process was ever ready, the
launcher ends with :attr:`ExitCode.CANNOT_BOOT`: whoever started it is there to read why.  Later (new code was put
beneath running processes, say) the others go on with what they have, and the place is tried again at the longest
wait; the launcher ends when no place is left that boots.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from kombu_green.exit_codes import ExitCode

__all__ = ["Mode", "Outcome", "hopeless"]


class Mode(Enum):
    RUNNING = "running"
    DRAINING = "draining"  # the first TERM or INT
    INTERRUPTED = "interrupted"  # the second INT
    REFUSED = "refused"  # cannot boot


@dataclass(slots=True)
class Outcome:
    """What became of everything, as far as it is known."""

    mode: Mode = Mode.RUNNING
    released: int = 0  # messages
    unclean: int = 0  # processes that had to be killed, or died, while they should drain

    def count(self, code: int, released: int | None) -> None:
        """A process has ended as it was told to, with *code*; *released* is None when it did not say."""
        self.released += released or 0
        self.unclean += released is None and code != 0

    def exit_code(self) -> ExitCode:
        if self.mode is Mode.REFUSED:
            return ExitCode.CANNOT_BOOT
        if self.mode is Mode.INTERRUPTED:
            return ExitCode.INTERRUPTED
        return ExitCode.RELEASED if self.released or self.unclean else ExitCode.DRAINED


def hopeless(ever_ready: bool, unfit: Collection[bool]) -> bool:
    """Whether to give up, now that a process could not boot; *unfit* says so of the last one of each place."""
    return not ever_ready or all(unfit)
