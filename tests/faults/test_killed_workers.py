"""Worker processes are killed again and again: every message is handled, and twice only if its process was killed.

``pytest --kill-runs 10`` repeats it with kills at other moments.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.support.deaths import blamed, deaths
from tests.support.fleet import Fleet, freeze, wait_for_more
from tests.support.launcher import Launched, until

MESSAGES = 2_000
KILLS = 50
SLOTS = 20
LONGEST = 1.2  # seconds that a callback takes; so that there is work left at the last kill


@pytest.mark.timeout(500)  # about a minute and a half on two cores
def test_no_message_is_lost_when_processes_are_killed(
    fleet: Fleet, kill_run: int, record_property: Callable[[str, object], None]
) -> None:
    fleet.publish(range(MESSAGES), named=True)
    chance = random.Random(9 + kill_run)
    held: dict[int, Callable[[int], bool]] = {}  # by process, what was out when it was killed
    with fleet.launch(longest=LONGEST, concurrency=SLOTS) as launched:
        while len(held) < KILLS:
            # the moment is random in what is done, not in time alone
            wait_for_more(fleet, chance.randrange(1, 60))
            time.sleep(chance.uniform(0, 0.05))
            victim = chance.choice(the_living(fleet, launched))
            freeze(victim)
            held[victim] = fleet.held()
            os.kill(victim, signal.SIGKILL)
        assert len(fleet.handled()) < MESSAGES, "there was nothing left to do at the last kill: make callbacks longer"
        until(lambda: len(fleet.handled().keys() | parked(launched)) == MESSAGES, "all handled", patience=180)
        until(lambda: fleet.waiting() == len(parked(launched)), "nothing else waits in any queue")
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0
    guilty = parked(launched)
    assert fleet.left() == guilty, "dead-lettered without three blames, or not acked"
    assert set(fleet.handled()) | guilty == set(range(MESSAGES))
    assert {event["child"]: event["kind"] for event in deaths(launched)} == dict.fromkeys(held, "outside")
    assert {blame["reason"] for blame in blamed(launched)} <= {"had the hub"}
    twice = {number: processes for number, processes in fleet.handled().items() if len(processes) > 1}
    lost = Counter(first for processes in twice.values() for first in processes[:-1])
    for number, processes in twice.items():
        for first in processes[:-1]:
            assert first in held, f"message {number} was handled again though process {first} was not killed"
            assert held[first](number), f"message {number} was settled before process {first} was killed"
    assert max(lost.values(), default=0) <= SLOTS, "more came twice than one process can have at a time"
    record_property("kills", KILLS)
    record_property("handled twice", len(twice))
    record_property("blamed", len(list(blamed(launched))))
    record_property("parked", len(guilty))


def parked(launched: Launched) -> set[int]:
    """The messages that had the hub at three of the kills, as the launcher has read them from the recorders."""
    return {int(blame["id"].removeprefix("m")) for blame in blamed(launched) if blame["blames"] >= 3}


def the_living(fleet: Fleet, launched: Launched) -> list[int]:
    """The processes that can be killed now; at least one."""
    until(lambda: bool(fleet.living(launched)), "a process")
    return fleet.living(launched)
