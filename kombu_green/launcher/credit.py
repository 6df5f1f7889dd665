"""How often another process is started at once after a death that messages are charged with.

Such a death needs no wait: the message is parked after the third.  But a callback may end its process with *every*
message (a broken library, a bad deploy), and would have its whole queue parked as fast as processes start.  So each
queue has a credit, which its deaths spend, and messages that processes survive pay back, one for one; beyond it there
is a wait that grows with each death more.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["CREDIT", "Credit", "Spent"]

log = logging.getLogger("kombu_green.launcher")

CREDIT: Final = 20  # deaths in a row of one queue
_DEEPEST: Final = 10  # beyond that: what is mended shall not have to work off the deaths of a night


@dataclass(frozen=True, slots=True)
class Spent:
    """What one death came to: *beyond* is by how many deaths the credit is overdrawn, 0 when it is not.

    *exhausted* are queues whose credit ended with it, each once until it is paid back whole.
    """

    beyond: int
    exhausted: Sequence[str]


class Credit:
    """The credit of every queue of one launcher; children are known by *child*, whatever number that is."""

    def __init__(self) -> None:
        self._spent: Final[dict[str, int]] = {}  # not 0
        self._exhausted: Final[set[str]] = set()
        self._told: Final[dict[int, Mapping[str, int]]] = {}

    def hear(self, child: int, survived: Mapping[str, int]) -> None:
        """Pay back what *child* survived since the last call; *survived* counts from its start, by queue."""
        before = self._told.get(child, {})
        self._told[child] = survived
        for queue in [queue for queue in survived if queue in self._spent]:
            self._spent[queue] -= max(0, survived[queue] - before.get(queue, 0))
            if self._spent[queue] <= 0:
                del self._spent[queue]
                self._exhausted.discard(queue)

    def forget(self, child: int) -> None:
        """It has ended."""
        self._told.pop(child, None)

    def charge(self, queues: Collection[str]) -> int:
        """Spend, and tell when a credit is exhausted; by how many deaths it is overdrawn."""
        spent = self.spend(queues)
        for queue in spent.exhausted:
            words = "messages of queue %s end processes again and again, %d times more than others of it were handled:"
            words += " from now on the next process waits, longer each time, until messages of this queue are handled"
            log.error(words, queue, CREDIT + spent.beyond, extra={"event": "slowing", "queue": queue})
        return spent.beyond

    def spend(self, queues: Collection[str]) -> Spent:
        """A death is charged to messages of *queues*."""
        for queue in queues:
            self._spent[queue] = min(self._spent.get(queue, 0) + 1, CREDIT + _DEEPEST)
        beyond = max((self._spent[queue] - CREDIT for queue in queues), default=0)
        fresh = [queue for queue in queues if self._spent[queue] > CREDIT and queue not in self._exhausted]
        self._exhausted.update(fresh)
        return Spent(max(0, beyond), fresh)
