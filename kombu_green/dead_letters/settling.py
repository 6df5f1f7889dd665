"""What is done to dead letters: brought back, or deleted; one after another, so that each is whole at every moment."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Final

from gevent.event import Event
from gevent.select import select

from kombu_green.clock import Deadline
from kombu_green.dead_letters.browsing import Browser, Letter
from kombu_green.exceptions import ConnectionLost, KombuError, MessageStateError
from kombu_green.republish import return_dead_letter

__all__ = ["Settled", "confirmed", "drop", "retry", "who"]

_PUBLISH_WITHIN: Final = 10.0  # seconds


class Settled:
    """How many there were, and why some of them are where they were: each reason with its count."""

    def __init__(self) -> None:
        self.done = 0
        self.failures: Counter[str] = Counter()

    @property
    def failed(self) -> int:
        return self.failures.total()


def retry(browser: Browser, letters: Iterable[Letter], origin: str, settled: Settled) -> None:
    """Publish each to the queue that it came from, which is *origin* when it does not say, confirmed, and ack it then.

    One that cannot be published stays.  Raises ``ConnectionLost`` when the broker is gone.
    """
    by = who()
    for letter in letters:
        deadline = Deadline.after(_PUBLISH_WITHIN)
        try:
            return_dead_letter(
                browser.publishing(), letter.message, letter.account.queue or origin, by=by, deadline=deadline
            )
        except ConnectionLost:
            raise
        except (KombuError, TimeoutError) as error:
            settled.failures[str(error) or type(error).__name__] += 1
        else:
            _take_out(letter, settled, "it is back, and somebody else has the dead letter by now: there are two")


def drop(letters: Iterable[Letter], settled: Settled) -> None:
    """Delete each."""
    for letter in letters:
        _take_out(letter, settled, "somebody else has it by now")


def _take_out(letter: Letter, settled: Settled, otherwise: str) -> None:
    """Ack it; *otherwise* is what it means when that is too late, since a lease was lost (the process stood still)."""
    try:
        letter.message.ack()
    except MessageStateError:
        settled.failures[otherwise] += 1
    else:
        settled.done += 1


def who() -> str:
    """Whoever runs this, as ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def confirmed(question: str, stop: Event) -> bool:
    """Whether somebody at the terminal says yes.  The hub turns meanwhile, so what is held stays held."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    stdin = sys.stdin.fileno()
    while not stop.is_set():
        if select([stdin], [], [], 0.1)[0]:
            return os.read(stdin, 4096).strip().lower() in (b"y", b"yes")
    sys.stderr.write("\n")
    return False
