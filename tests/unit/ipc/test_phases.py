"""The life of a worker process as a table: what may follow what, and that every way leads out."""

from __future__ import annotations

import itertools

import pytest

from kombu_green.ipc.phases import LEAVING, MOVES, SERVING, Phase, checked_move

TABLE = """
starting standby ready quiet gone
standby  ready quiet gone
ready    standby quiet gone
quiet    draining gone
draining stopping gone
stopping gone
gone
"""
FOLLOWS = {Phase(now): {Phase(then) for then in rest} for now, *rest in map(str.split, TABLE.strip().splitlines())}


@pytest.mark.parametrize(("now", "then"), [*itertools.product(Phase, Phase)])
def test_the_table(now: Phase, then: Phase) -> None:
    if then is now or then in FOLLOWS[now]:
        assert checked_move(now, then) is then
    else:
        with pytest.raises(AssertionError, match=f"a process that is {now} cannot become {then}"):
            checked_move(now, then)


def test_a_process_that_stops_does_not_serve_again() -> None:
    assert all(MOVES[phase] <= LEAVING | {Phase.GONE} for phase in LEAVING)
    assert not LEAVING & SERVING


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_may_be_the_last(phase: Phase) -> None:
    assert phase is Phase.GONE or Phase.GONE in MOVES[phase]
