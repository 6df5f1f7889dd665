"""In which order tests run when pytest-xdist has several processes for them.

``--dist worksteal`` gives each process an equal piece of the list, in order. A process that has finished its piece
takes half of what another one has left, from the end. So a long test must stand at the front of a piece: at the end of
the list, one process would run it while the others have nothing left to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

__all__ = ["LONG", "spread", "time_limit"]

#: A test with a time limit of its own that is at least this many seconds is a long one.
LONG: Final = 120.0


def spread(items: Sequence[pytest.Item], processes: int) -> list[pytest.Item]:
    """*items* in an order in which each of *processes* begins with its share of the long tests.

    The other tests keep their order, so that those of one file stay together and share what the file sets up.
    """
    long = sorted((item for item in items if time_limit(item) >= LONG), key=time_limit, reverse=True)
    others = [item for item in items if time_limit(item) < LONG]
    ordered: list[pytest.Item] = []
    for number in range(processes):
        size = (len(items) - len(ordered)) // (processes - number)  # as pytest-xdist does it
        share = long[number::processes]
        taken = max(0, size - len(share))
        ordered += [*share, *others[:taken]]
        del others[:taken]
    return ordered


def time_limit(item: pytest.Item) -> float:
    """The seconds in the test's own ``timeout`` mark, 0.0 without one."""
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark is not None and mark.args else 0.0
