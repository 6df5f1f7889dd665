"""What can be done to dead letters: return them to their queue, or delete them; each is settled before the next."""

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
from kombu_green.dead_letters.browser import DeadLetterBrowser, DeadLetterMessage
from kombu_green.exceptions import ConnectionLost, KombuError, MessageStateError
from kombu_green.republish import return_dead_letter

__all__ = ["ActionCounts", "confirm", "drop", "retry", "user_at_host"]

_PUBLISH_WITHIN: Final = 10.0  # seconds


class ActionCounts:
    """How many dead letters were settled, and how many were not, by reason."""

    def __init__(self) -> None:
        self.done = 0
        self.failures: Counter[str] = Counter()


def retry(
    browser: DeadLetterBrowser, letters: Iterable[DeadLetterMessage], default_queue: str, counts: ActionCounts
) -> None:
    """Return each of *letters* to its queue: publish it, wait for the confirm, then ack the dead letter.

    *default_queue* is for those that do not say which queue they came from.  One that cannot be published stays a dead
    letter.  Raises :exc:`~kombu_green.exceptions.ConnectionLost` when the broker is gone.
    """
    by = user_at_host()
    for letter in letters:
        deadline = Deadline.after(_PUBLISH_WITHIN)
        queue = letter.record.queue or default_queue
        try:
            return_dead_letter(browser.publish_channel(), letter.message, queue, by=by, deadline=deadline)
        except ConnectionLost:
            raise
        except (KombuError, TimeoutError) as error:
            counts.failures[str(error) or type(error).__name__] += 1
        else:
            _ack(
                letter,
                counts,
                "it is back, and another consumer has the dead letter by now: there are two",
            )


def drop(letters: Iterable[DeadLetterMessage], counts: ActionCounts) -> None:
    """Delete each of *letters*."""
    for letter in letters:
        _ack(letter, counts, "another consumer has it by now")


def _ack(letter: DeadLetterMessage, counts: ActionCounts, if_lost: str) -> None:
    """Ack *letter*; if its lease has ended (this process was suspended, say), count a failure for *if_lost*."""
    try:
        letter.message.ack()
    except MessageStateError:
        counts.failures[if_lost] += 1
    else:
        counts.done += 1


def user_at_host() -> str:
    """The user of this process, as ``user@host``; a user without a name (in a container) is its number."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def confirm(question: str, stop: Event) -> bool:
    """Ask *question* on the terminal; whether the answer is y or yes.  False when *stop* is set meanwhile.

    The hub turns while this waits, so leases are renewed and heartbeats are sent.
    """
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    stdin = sys.stdin.fileno()
    while not stop.is_set():
        if select([stdin], [], [], 0.1)[0]:
            return os.read(stdin, 4096).strip().lower() in (b"y", b"yes")
    sys.stderr.write("\n")
    return False
