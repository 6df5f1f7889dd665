from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from collections.abc import Callable
from itertools import count

import gevent
import pytest
from gevent.event import Event

from kombu_green.clock import Deadline
from kombu_green.exceptions import ChannelLimitExceeded, ConnectionLimitExceeded, LimitExceeded
from kombu_green.resource import Resource


class Thing:
    def __init__(self, number: int) -> None:
        self.number = number
        self.prepared = 0
        self.closed = False
        self.release: Callable[[], None] = lambda: None


class Workshop:
    """Makes things and keeps the books: how many there are at a time."""

    def __init__(self) -> None:
        self.made: list[Thing] = []
        self.numbers = count()
        self.most = 0

    @property
    def open(self) -> list[Thing]:
        return [thing for thing in self.made if not thing.closed]

    def create(self, deadline: Deadline) -> Thing:
        thing = Thing(next(self.numbers))
        self.made.append(thing)
        self.most = max(self.most, len(self.open))
        return thing

    def prepare(self, thing: Thing, deadline: Deadline) -> None:
        assert not thing.closed
        thing.prepared += 1

    def close(self, thing: Thing) -> None:
        assert not thing.closed, "closed twice"
        thing.closed = True

    def lend(self, thing: Thing, release: Callable[[], None]) -> None:
        thing.release = release


@pytest.fixture
def workshop() -> Workshop:
    return Workshop()


def pool_of(workshop: Workshop, limit: int | None = 2) -> Resource[Thing]:
    return Resource(
        limit,
        create=workshop.create,
        prepare=workshop.prepare,
        close=workshop.close,
        lend=workshop.lend,
        exhausted=ConnectionLimitExceeded,
        name="connections",
    )


@pytest.fixture
def pool(workshop: Workshop) -> Resource[Thing]:
    return pool_of(workshop)


def state(pool: Resource[Thing]) -> tuple[int, int, int]:
    return pool.in_use, pool.idle, pool.waiting


def test_the_resource_released_last_is_lent_first_and_prepared_each_time(
    pool: Resource[Thing], workshop: Workshop
) -> None:
    one, two = pool.acquire(), pool.acquire()
    pool.release(one)
    pool.release(two)
    assert pool.acquire() is two
    assert (two.prepared, len(workshop.made)) == (2, 2)


def test_an_empty_pool_says_so_at_once_or_at_the_deadline(pool: Resource[Thing]) -> None:
    pool.acquire(), pool.acquire()
    with pytest.raises(ConnectionLimitExceeded, match="connections: all 2 are in use"):
        pool.acquire()
    with pytest.raises(ConnectionLimitExceeded, match="until the deadline"):
        pool.acquire(block=True, timeout=0.01)
    assert state(pool) == (2, 0, 0)


def test_a_waiter_gets_the_resource_that_is_released(pool: Resource[Thing], workshop: Workshop) -> None:
    one, _ = pool.acquire(), pool.acquire()
    waiter = gevent.spawn(pool.acquire, True)
    gevent.sleep(0)
    assert state(pool) == (2, 0, 1)
    pool.release(one)
    assert waiter.get(timeout=10) is one
    assert workshop.most == 2


def test_a_resource_can_release_itself_and_ends_only_its_own_loan(pool: Resource[Thing]) -> None:
    thing = pool.acquire()
    stale = thing.release
    stale()
    assert pool.acquire() is thing
    stale()  # the first loan is over: it is somebody else's now
    assert state(pool) == (1, 0, 0)
    thing.release()
    assert state(pool) == (0, 1, 0)


def test_releasing_what_is_not_lent_does_nothing(pool: Resource[Thing]) -> None:
    stranger, thing = Thing(99), pool.acquire()
    pool.release(stranger)
    pool.replace(stranger)
    pool.release(thing)
    pool.release(thing)
    pool.replace(thing)
    assert state(pool) == (0, 1, 0)
    assert not thing.closed


def test_a_broken_one_is_replaced(pool: Resource[Thing]) -> None:
    broken = pool.acquire()
    pool.replace(broken)
    assert broken.closed
    assert state(pool) == (0, 0, 0)
    assert pool.acquire() is not broken


def test_a_lease_lasts_as_long_as_its_block(pool: Resource[Thing]) -> None:
    with pool.lease(timeout=1) as thing:
        assert state(pool) == (1, 0, 0)
    assert state(pool) == (0, 1, 0)
    with pytest.raises(ZeroDivisionError), pool.lease() as again:
        again.number = 1 // 0
    assert state(pool) == (0, 1, 0)
    assert again is thing
    assert not thing.closed


def test_create_and_prepare_get_what_is_left_of_the_deadline() -> None:
    seen: list[float | None] = []

    def create(deadline: Deadline) -> int:
        seen.append(deadline.remaining())
        return 1

    pool = Resource(1, create=create, prepare=lambda _, deadline: seen.append(deadline.remaining()))
    pool.acquire(block=True, timeout=10)
    first, second = seen
    assert first is not None
    assert second is not None
    assert 9 < second <= first <= 10


@pytest.mark.parametrize("failing", ["create", "prepare", "lend"])
def test_a_failing_acquire_frees_its_place_for_a_waiter(workshop: Workshop, failing: str) -> None:
    entered, leave, calls = Event(), Event(), count()
    working = getattr(workshop, failing)

    def fails_once(*args: object) -> object:
        if next(calls) == 0:
            entered.set()
            leave.wait()
            raise ValueError("not today")
        return working(*args)

    setattr(workshop, failing, fails_once)
    pool = pool_of(workshop, limit=1)
    unlucky = gevent.spawn(pool.acquire)
    assert entered.wait(10)
    heir = gevent.spawn(pool.acquire, True)
    gevent.sleep(0)
    leave.set()
    with pytest.raises(ValueError, match="not today"):
        unlucky.get(timeout=10)
    assert heir.get(timeout=10) in workshop.open
    assert (state(pool), len(workshop.open)) == ((1, 0, 0), 1)


def test_one_that_is_killed_while_it_is_made_frees_its_slot(workshop: Workshop) -> None:
    entered = Event()

    def prepare(thing: Thing, deadline: Deadline) -> None:
        entered.set()
        Event().wait()

    workshop.prepare = prepare  # type: ignore[method-assign]
    pool = pool_of(workshop)
    greenlet = gevent.spawn(pool.acquire)
    assert entered.wait(10)
    greenlet.kill(timeout=10)
    assert state(pool) == (0, 0, 0)
    assert workshop.open == []


def test_a_close_that_fails_is_logged_and_frees_the_slot(caplog: pytest.LogCaptureFixture) -> None:
    def close(thing: int) -> None:
        raise OSError("gone already")

    pool = Resource(1, create=lambda deadline: 7, close=close, name="numbers")
    pool.replace(pool.acquire())
    assert caplog.messages == ["numbers: closing 7 failed; it is given up"]
    assert pool.acquire() == 7


def test_preload_makes_as_many_as_the_limit_allows(pool: Resource[Thing], workshop: Workshop) -> None:
    pool.preload(5)
    assert state(pool) == (0, 2, 0)
    unbounded = pool_of(workshop, limit=None)
    unbounded.preload(3)
    assert state(unbounded) == (0, 3, 0)


def test_a_higher_limit_lets_waiters_in_and_a_lower_one_closes_the_oldest(workshop: Workshop) -> None:
    pool = pool_of(workshop, limit=1)
    things = [pool.acquire()]
    waiters = [gevent.spawn(pool.acquire, True) for _ in range(3)]
    gevent.sleep(0)
    pool.limit = 4
    things += [waiter.get(timeout=10) for waiter in waiters]
    pool.release(things[0])
    pool.release(things[1])
    pool.limit = 3
    assert [thing.closed for thing in things] == [True, False, False, False]
    pool.limit = 1
    assert [thing.closed for thing in things] == [True, True, False, False]
    pool.release(things[2])
    assert things[2].closed
    pool.release(things[3])
    assert not things[3].closed
    assert (pool.limit, state(pool)) == (1, (0, 1, 0))


def test_close_wakes_waiters_ends_idle_ones_now_and_lent_ones_later(pool: Resource[Thing]) -> None:
    lent, idle = pool.acquire(), pool.acquire()
    waiter = gevent.spawn(pool.acquire, True)
    gevent.sleep(0)
    assert pool.waiting == 1
    pool.close()
    with pytest.raises(RuntimeError, match="connections: nothing can be acquired any more, it is closed"):
        waiter.get(timeout=10)
    pool.release(idle)
    assert (idle.closed, lent.closed) == (True, False)
    lent.release()
    assert lent.closed
    with pytest.raises(RuntimeError, match="closed"):
        pool.acquire(block=True)
    pool.close()
    assert state(pool) == (0, 0, 0)
    assert repr(pool) == "<connections: 0 in use, 0 idle, 0 waiting, closed>"


def test_one_that_is_being_made_when_the_pool_closes_is_ended(workshop: Workshop) -> None:
    entered, leave = Event(), Event()

    def prepare(thing: Thing, deadline: Deadline) -> None:
        entered.set()
        leave.wait()

    workshop.prepare = prepare  # type: ignore[method-assign]
    pool = pool_of(workshop)
    greenlet = gevent.spawn(pool.acquire)
    assert entered.wait(10)
    pool.close()
    leave.set()
    with pytest.raises(RuntimeError, match="closed"):
        greenlet.get(timeout=10)
    assert workshop.open == []


@pytest.mark.parametrize("close_pool", [True, False])
def test_force_close_all_ends_lent_ones_too(pool: Resource[Thing], workshop: Workshop, close_pool: bool) -> None:
    lent, idle = pool.acquire(), pool.acquire()
    pool.release(idle)
    pool.force_close_all(close_pool)
    assert workshop.open == []
    lent.release()
    assert (state(pool), pool.closed) == ((0, 0, 0), close_pool)
    if not close_pool:
        assert pool.acquire() not in (lent, idle)


def test_the_child_of_a_fork_starts_empty_and_closes_nothing_of_its_parents() -> None:
    program = """
        import os
        from kombu_green.resource import Resource

        closed = []
        pool = Resource(1, create=lambda deadline: object(), close=closed.append)
        lent = pool.acquire()
        child = os.fork()
        if child == 0:
            mine = pool.acquire()
            pool.release(lent)
            assert mine is not lent and (pool.in_use, pool.idle) == (1, 0)
            pool.force_close_all()
            assert closed == [mine]
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert closed == [] and (pool.in_use, pool.idle) == (1, 0)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_error_is_the_one_that_was_asked_for() -> None:
    pool = Resource(1, create=lambda deadline: 1, exhausted=ChannelLimitExceeded)
    pool.acquire()
    with pytest.raises(ChannelLimitExceeded):
        pool.acquire()


@pytest.mark.parametrize("seed", range(3))
def test_the_size_never_drifts(workshop: Workshop, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """500 greenlets, 10 000 loans, with everything going wrong that can."""
    caplog.set_level("ERROR")  # a warning for each close that fails
    choice = random.Random(seed)
    limit, outcomes = 20, {"ok": 0, "failed": 0, "late": 0, "killed": 0}
    make, ready, end = workshop.create, workshop.prepare, workshop.close

    def create(deadline: Deadline) -> Thing:
        gevent.sleep(0)
        if choice.random() < 0.1:
            raise OSError("cannot be made")
        return make(deadline)

    def prepare(thing: Thing, deadline: Deadline) -> None:
        if choice.random() < 0.2:
            gevent.sleep(0)
        if choice.random() < 0.05:
            raise OSError("cannot be prepared")
        ready(thing, deadline)

    def close(thing: Thing) -> None:
        try:
            if choice.random() < 0.5:
                gevent.sleep(0)
            if choice.random() < 0.1:
                raise OSError("cannot be closed")
        finally:
            end(thing)

    workshop.create, workshop.prepare, workshop.close = create, prepare, close  # type: ignore[method-assign]
    pool = pool_of(workshop, limit)
    victims: list[gevent.Greenlet[..., None]] = []

    def borrow() -> str:
        try:
            thing = pool.acquire(block=True, timeout=choice.choice([None, None, None, 0.0, 0.002, 0.01]))
        except OSError:
            return "failed"
        except LimitExceeded:
            return "late"
        assert pool.in_use <= limit
        try:
            if choice.random() < 0.5:
                gevent.sleep(choice.choice([0, 0, 0.0005]))
            if choice.random() < 0.02:
                choice.choice(victims).kill(block=False)
        finally:
            choice.choice([pool.release, pool.release, pool.release, pool.replace])(thing)
        return "ok"

    def work() -> None:
        for _ in range(20):
            try:
                outcomes[borrow()] += 1
            except gevent.GreenletExit:
                outcomes["killed"] += 1

    victims += [gevent.spawn(work) for _ in range(500)]
    done = gevent.joinall(victims, timeout=60)
    assert len(done) == 500, f"hangs: {pool!r}"
    assert all(greenlet.successful() for greenlet in victims)
    assert sum(outcomes.values()) == 10_000
    assert min(outcomes.values()) > 0, outcomes
    assert workshop.most <= limit
    assert (pool.in_use, pool.waiting) == (0, 0)
    assert sorted(thing.number for thing in workshop.open) == sorted(thing.number for thing in pool._idle)
