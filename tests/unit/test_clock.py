"""Deadlines and deadline scopes."""

from __future__ import annotations

import gevent

from kombu_green.clock import Deadline, deadline_scope

SOON, LATE, NEVER = Deadline.after(10), Deadline.after(20), Deadline.never()


def test_the_soonest_counts() -> None:
    assert SOON.soonest(LATE) is LATE.soonest(SOON) is SOON
    assert NEVER.soonest(SOON) is SOON.soonest(NEVER) is SOON
    assert NEVER.soonest(NEVER).at is None


def test_the_current_deadline_is_the_soonest_of_all_scopes() -> None:
    assert Deadline.current().at is None
    with deadline_scope(SOON):
        with deadline_scope(LATE):
            assert Deadline.current() is SOON
        with deadline_scope(NEVER):
            assert Deadline.current() is SOON
    assert Deadline.current().at is None


def test_a_scope_counts_for_its_own_greenlet() -> None:
    with deadline_scope(SOON):
        assert gevent.spawn(Deadline.current).get().at is None
