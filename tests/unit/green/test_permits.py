"""A fair semaphore with deadlines, a limit that can be changed, and an end."""

from __future__ import annotations

import gevent
import pytest

from kombu_green.clock import Deadline
from kombu_green.exceptions import ChannelLimitExceeded, LimitExceeded
from kombu_green.green.permits import Permit, Permits

NEVER = Deadline.never()


def waiter(permits: Permits, deadline: Deadline = NEVER) -> gevent.Greenlet[..., Permit]:
    greenlet: gevent.Greenlet[..., Permit] = gevent.spawn(permits.acquire, True, deadline)
    gevent.sleep(0)
    return greenlet


def test_no_more_than_the_limit_are_out() -> None:
    permits = Permits(2, name="slots", exhausted=ChannelLimitExceeded)
    first = permits.acquire(False, NEVER)
    permits.acquire(False, NEVER)
    assert (permits.out, permits.free()) == (2, False)
    with pytest.raises(ChannelLimitExceeded, match="slots: all 2 are in use"):
        permits.acquire(False, NEVER)
    permits.release(first)
    permits.release(first)
    assert permits.out == 1


def test_without_a_limit_there_is_always_one() -> None:
    permits = Permits(None)
    assert len({permits.acquire(False, NEVER) for _ in range(100)}) == permits.out == 100


def test_waiters_are_served_in_order_before_later_callers() -> None:
    permits = Permits(1)
    held = permits.acquire(False, NEVER)
    order: list[int] = []

    def wait(number: int) -> None:
        permit = permits.acquire(True, NEVER)
        order.append(number)
        permits.release(permit)

    waiters = [gevent.spawn(wait, number) for number in range(5)]
    gevent.sleep(0)
    permits.release(held)
    with pytest.raises(LimitExceeded):
        permits.acquire(False, NEVER)  # it is promised already
    for greenlet in waiters:
        greenlet.get(timeout=10)
    assert order == [0, 1, 2, 3, 4]
    assert (permits.out, permits.waiting) == (0, 0)


def test_a_wait_ends_at_its_deadline_and_leaves_no_waiter_behind() -> None:
    permits = Permits(1, name="slots")
    permits.acquire(False, NEVER)
    with pytest.raises(LimitExceeded, match="slots: all 1 were in use until the deadline"):
        permits.acquire(True, Deadline.after(0.01))
    with pytest.raises(LimitExceeded):
        permits.acquire(True, Deadline.after(0))
    assert (permits.out, permits.waiting) == (1, 0)


def test_a_waiter_that_is_killed_while_it_is_given_a_permit_passes_it_on() -> None:
    permits = Permits(1)
    held = permits.acquire(False, NEVER)
    killed, heir = waiter(permits), waiter(permits)
    killed.kill(block=False)  # the kill is on its way when the permit is given
    permits.release(held)
    assert heir.get(timeout=10)
    assert isinstance(killed.get(timeout=10), gevent.GreenletExit)
    assert (permits.out, permits.waiting) == (1, 0)


def test_a_waiter_that_is_given_a_permit_and_then_killed_passes_it_on() -> None:
    permits = Permits(1)
    held = permits.acquire(False, NEVER)
    killed, heir = waiter(permits), waiter(permits)
    permits.release(held)
    killed.kill(block=False)
    for greenlet in (killed, heir):
        greenlet.join(0.1)
    if killed.successful() and isinstance(killed.value, Permit):
        permits.release(killed.value)  # it had gone on already
    assert heir.get(timeout=10)
    assert permits.out == 1


def test_a_waiter_that_times_out_passes_its_permit_on() -> None:
    permits = Permits(1)
    held = permits.acquire(False, NEVER)

    def impatient() -> object:
        with gevent.Timeout(0.01):
            return permits.acquire(True, NEVER)

    with pytest.raises(gevent.Timeout):
        gevent.spawn(impatient).get(timeout=10)
    assert permits.waiting == 0
    permits.release(held)
    assert permits.out == 0


def test_a_higher_limit_lets_waiters_in_and_a_lower_one_none() -> None:
    permits = Permits(1)
    held = permits.acquire(False, NEVER)
    one, two = waiter(permits), waiter(permits)
    permits.limit = 2
    assert one.get(timeout=10)
    assert not two.ready()
    permits.limit = 1
    permits.release(held)
    gevent.sleep(0)
    assert not two.ready()
    assert permits.out == 1
    permits.limit = None
    assert two.get(timeout=10)


def test_closing_raises_in_all_waiters() -> None:
    permits = Permits(1, name="slots")
    held = permits.acquire(False, NEVER)
    waiters = [waiter(permits) for _ in range(2)]
    permits.close()
    for greenlet in waiters:
        with pytest.raises(RuntimeError, match="slots: nothing can be acquired any more, it is closed"):
            greenlet.get(timeout=10)
    with pytest.raises(RuntimeError, match="closed"):
        permits.acquire(True, NEVER)
    permits.release(held)
    assert (permits.out, permits.waiting) == (0, 0)


@pytest.mark.parametrize("limit", [0, -1])
def test_the_limit_is_checked(limit: int) -> None:
    with pytest.raises(ValueError, match=f"limit = {limit}"):
        Permits(limit)
