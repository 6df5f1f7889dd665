"""Which places there are while one plan follows another; no process is started."""

from __future__ import annotations

from kombu_green.launcher.generations import Generations
from kombu_green.launcher.plan import Plan
from kombu_green.retry import Backoff


def plan(processes: int) -> Plan:
    return Plan(command=["false"], processes=processes)


def numbers(generations: Generations) -> list[int]:
    generations.tidy()
    return [place.number for place in generations.staying()]


def test_a_generation_that_was_never_begun_leaves_no_place_behind() -> None:
    generations = Generations(plan(1), Backoff())
    generations.renew_all(plan(3), "first")
    generations.renew_all(plan(1), "second")
    assert numbers(generations) == [1]


def test_one_more_takes_the_first_number_that_nobody_has() -> None:
    generations = Generations(plan(3), Backoff())
    generations.shrink()
    assert numbers(generations) == [1, 2]
    generations.grow()
    generations.grow()
    assert numbers(generations) == [1, 2, 3, 4]


def test_one_stays() -> None:
    generations = Generations(plan(2), Backoff())
    for _ in range(3):
        generations.shrink()
    assert numbers(generations) == [1]
