"""How many deaths in a row may be followed by a restart without a wait.

After a death that messages are blamed for, the next process starts at once: the message is parked after its third
death, so this cannot go on.  But a callback may end its process with *every* message (a broken library, a bad deploy).
Then a queue would be parked as fast as processes start.  So each queue has a budget of such deaths.  A death of one of
its messages takes one from it; a message of it that is finished gives one back.  Beyond the budget each restart waits,
longer each time.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["BUDGET", "BudgetUse", "RestartBudget"]

log = logging.getLogger("kombu_green.launcher")

#: deaths of one queue, in excess of its finished messages, that are followed by a restart at once
BUDGET: Final = 20
_MOST_OVERDRAWN: Final = 10  # so that a queue that works again gets its budget back soon


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """What one death took from the budgets.

    *overdrawn* is the number of deaths beyond the budget, 0 when there is budget left.  *exhausted* are the queues
    whose budget has just run out; a queue is named again only after its budget was whole again.
    """

    overdrawn: int
    exhausted: Sequence[str]


class RestartBudget:
    """The restart budgets of all queues of one launcher."""

    def __init__(self) -> None:
        self._used: Final[dict[str, int]] = {}  # by queue, never 0
        self._exhausted: Final[set[str]] = set()
        self._finished: Final[dict[int, Mapping[str, int]]] = {}  # by pid, as of the last call

    def give_back(self, pid: int, finished: Mapping[str, int]) -> None:
        """Give back what process *pid* has finished since the last call; *finished* counts from its start, by queue."""
        before = self._finished.get(pid, {})
        self._finished[pid] = finished
        for queue in [queue for queue in finished if queue in self._used]:
            self._used[queue] -= max(0, finished[queue] - before.get(queue, 0))
            if self._used[queue] <= 0:
                del self._used[queue]
                self._exhausted.discard(queue)

    def forget(self, pid: int) -> None:
        """Process *pid* has ended."""
        self._finished.pop(pid, None)

    def record_death(self, queues: Collection[str]) -> int:
        """Take a death from the budgets of *queues*, and log a budget that runs out; by how much they are overdrawn."""
        use = self.take(queues)
        for queue in use.exhausted:
            text = "messages of queue %s end processes again and again, %d times more than others of it were handled:"
            text += " from now on the next process waits, longer each time, until messages of this queue are handled"
            log.error(text, queue, BUDGET + use.overdrawn, extra={"event": "slowing", "queue": queue})
        return use.overdrawn

    def take(self, queues: Collection[str]) -> BudgetUse:
        """Take a death from the budgets of *queues*."""
        for queue in queues:
            self._used[queue] = min(self._used.get(queue, 0) + 1, BUDGET + _MOST_OVERDRAWN)
        overdrawn = max((self._used[queue] - BUDGET for queue in queues), default=0)
        exhausted = [queue for queue in queues if self._used[queue] > BUDGET and queue not in self._exhausted]
        self._exhausted.update(exhausted)
        return BudgetUse(max(0, overdrawn), exhausted)
