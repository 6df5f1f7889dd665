"""Messages that end their process are parked after three deaths; messages beside them are handled, and not blamed."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import pytest

from kombu_green.dispatch.history import REASON
from tests.support.deaths import blamed, deaths, parked, standing_still
from tests.support.fleet import Fleet
from tests.support.launcher import Launched, until

INNOCENT: Final = 200
PROCESSES: Final = 2
SLOTS: Final = 25  # of each process
HEARTBEAT: Final = 2.0  # seconds after which a process counts as hung; one that eats memory is large before

#: by the header: what the reason says of the deaths
POISONS: Final = {
    "leave": "exited with code 3",
    "spin": "hung",
    "search": "hung",
    "crash": "was ended by SIGSEGV",
    "eat": "was ended for its memory",
}
FIRST: Final = 1000  # ids of the innocent beside the poisons, which have those from 2000 on
WHERE: Final = (20, 55, 90, 125, 160)  # among the others


def launch(fleet: Fleet, shortest: float, longest: float, *settings: str) -> Launched:
    return fleet.launch(
        processes=PROCESSES,
        concurrency=SLOTS,
        longest=longest,
        heartbeat_timeout=f"{HEARTBEAT}s",
        settings=["consumer:jobs.callback=poison:handle", "worker.hard_memory=300MB", *settings],
        environ={"SHORTEST": f"{shortest}"},
    )


def run(fleet: Fleet, ids: Iterable[int]) -> float:
    """Seconds that handling *ids* takes without deaths."""
    ids = list(ids)
    fleet.publish(ids)
    with launch(fleet, 1, 5) as launched:
        launched.wait_for("ready", count=PROCESSES)
        began = time.monotonic()
        until(lambda: fleet.handled().keys() >= set(ids), "all messages handled", patience=90)
        took = time.monotonic() - began
        end(launched)
    return took


def end(launched: Launched) -> None:
    launched.signal(signal.SIGTERM)
    assert launched.exit_code() == 0


@pytest.mark.timeout(400)
def test_only_messages_that_kill_their_process_are_parked(
    fleet: Fleet, record_property: Callable[[str, object], None]
) -> None:
    without = run(fleet, range(INNOCENT))
    ids = list(range(FIRST, FIRST + INNOCENT))
    for number, place in enumerate(WHERE):
        ids.insert(place, 2 * FIRST + number)
    headers = {place: {"poison": poison} for place, poison in zip(WHERE, POISONS, strict=True)}
    fleet.publish(ids, headers=headers)
    innocent, guilty = {number for number in ids if number < 2 * FIRST}, [ids[place] for place in WHERE]
    with launch(fleet, 1, 5) as launched:
        launched.wait_for("ready", count=PROCESSES)
        began = time.monotonic()
        until(lambda: fleet.handled().keys() >= innocent, "the innocent are handled", patience=180)
        until(lambda: len(fleet.dead()) == len(POISONS), "the guilty are parked", patience=120)
        took = time.monotonic() - began
        restarts = standing_still(launched, HEARTBEAT) / PROCESSES
        end(launched)
        died, blames = deaths(launched), list(blamed(launched))
        found = parked(launched)
    twice = sum(len(fleet.handled()[number]) > 1 for number in innocent)
    figures: Mapping[str, object] = {
        "seconds without": round(without, 1),
        "seconds with": round(took, 1),
        "seconds of restarts, for each process slot": round(restarts, 1),
        "times": round((took - restarts) / without, 2),
        "deaths": len(died),
        "handled twice": twice,
    }
    for name, figure in figures.items():
        record_property(name, figure)
    reasons = {header["poison"]: header[REASON] for header in fleet.dead()}
    assert reasons.keys() == POISONS.keys()
    for poison, words in POISONS.items():
        assert reasons[poison].startswith("its process died 3 times because of it: "), reasons[poison]
        assert reasons[poison].count(words) == 3, reasons[poison]
    assert [fleet.begun(number) for number in guilty] == [3] * len(guilty), "three deaths each"
    assert len(died) == len(blames) == 3 * len(guilty)
    assert Counter(blame["key"] for blame in blames) == dict.fromkeys(found, 3)
    assert not fleet.left() - set(guilty)
    assert took - restarts <= 2 * without, figures


@pytest.mark.timeout(200)
def test_among_similar_messages_only_the_one_that_kills_is_parked(fleet: Fleet) -> None:
    fleet.publish([0] * INNOCENT, headers={20: {"poison": "leave"}})
    with launch(fleet, 0.05, 0.3) as launched:
        until(lambda: len(fleet.dead()) == 1 and fleet.waiting() == 1, "one is parked", patience=60)
        until(lambda: len(fleet.handled()[0]) >= INNOCENT - 1, "all others are handled", patience=60)
        end(launched)
        died, found = deaths(launched), parked(launched)
    assert [header.get("poison") for header in fleet.dead()] == ["leave"]
    assert (len(died), len(found)) == (3, 1)
    assert fleet.waiting() == 1, "nothing else is left anywhere"


@pytest.mark.timeout(200)
def test_a_message_over_its_hard_time_limit_three_times_is_parked(fleet: Fleet) -> None:
    innocent = set(range(40))
    fleet.publish([*innocent, FIRST], headers={len(innocent): {"poison": "wait"}})
    with launch(fleet, 0.05, 0.3, "consumer:jobs.hard_time_limit=1s") as launched:
        until(lambda: len(fleet.dead()) == 1 and fleet.waiting() == 1, "it is parked", patience=90)
        end(launched)
        charges = [(blame["reason"], blame["blames"]) for blame in blamed(launched)]
    assert charges == [("ran longer than its hard time limit", count) for count in (1, 2, 3)]
    assert [header.get("poison") for header in fleet.dead()] == ["wait"]
    assert fleet.begun(FIRST) == 3
    assert fleet.handled().keys() == innocent
