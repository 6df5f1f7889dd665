"""Leader and followers, on a real native thread; the test decides when a group may run."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import gevent
import pytest

from kombu_green.green.threads import Threads
from kombu_green.storage.sqlalchemy.group_commit import AnyCall, Durability, GroupCommit, Operation

PATIENCE = 20.0


class Machine:
    """Runs groups in the native thread; once it is held, each of them waits for a permit."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.begun = 0
        self._held = False
        self._permits = threading.Semaphore(0)

    def hold(self) -> None:
        self._held = True

    def permit(self, groups: int = 1) -> None:
        self._permits.release(groups)

    def let_go(self) -> None:
        self.permit(1000)

    def until_begun(self, groups: int) -> None:
        with gevent.Timeout(PATIENCE):
            while self.begun < groups:
                gevent.sleep(0.001)

    def run(self, tasks: Sequence[AnyCall]) -> None:
        self.begun += 1
        if self._held:
            assert self._permits.acquire(timeout=PATIENCE)
        self.groups.append([task.argument for task in tasks])
        for task, outcome in zip(tasks, tasks[0].operation.run(None, self.groups[-1]), strict=True):
            task.finish(outcome)


def double(_: object, numbers: Sequence[int]) -> Sequence[int | Exception]:
    return [2 * number if number >= 0 else LookupError(number) for number in numbers]


DOUBLE = Operation(0, Durability.DURABLE, double)


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    yield machine
    machine.let_go()


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads(1)
    yield threads
    threads.close()


@pytest.fixture
def group_commit(machine: Machine, threads: Threads) -> GroupCommit:
    return GroupCommit(threads, machine.run)


def calls(group_commit: GroupCommit, *numbers: int) -> list[gevent.Greenlet[..., int]]:
    started = [gevent.spawn(group_commit.call, DOUBLE, number) for number in numbers]
    gevent.idle()
    return started


def test_a_lone_caller_is_a_group(group_commit: GroupCommit, machine: Machine) -> None:
    assert group_commit.call(DOUBLE, 1) == 2
    assert group_commit.call(DOUBLE, 2) == 4
    assert machine.groups == [[1], [2]]


def test_a_call_while_a_group_runs_is_in_the_next_one(group_commit: GroupCommit, machine: Machine) -> None:
    machine.hold()
    callers = calls(group_commit, 1, 2, 3, 4)
    machine.let_go()
    gevent.joinall(callers, timeout=PATIENCE, raise_error=True)
    assert [caller.get() for caller in callers] == [2, 4, 6, 8]
    assert machine.groups == [[1], [2, 3, 4]]


def test_each_caller_gets_its_own_error(group_commit: GroupCommit, machine: Machine) -> None:
    machine.hold()
    good, bad, too = calls(group_commit, 1, -2, 3)
    machine.let_go()
    assert good.get(timeout=PATIENCE) == 2
    assert too.get(timeout=PATIENCE) == 6
    with pytest.raises(LookupError):
        bad.get(timeout=PATIENCE)


def test_no_caller_leads_twice_while_others_wait(group_commit: GroupCommit, machine: Machine) -> None:
    """The next call of a caller is served after those that waited before it."""

    def again_and_again() -> None:
        for _ in range(5):
            group_commit.call(DOUBLE, 0)

    machine.hold()
    busy = gevent.spawn(again_and_again)
    gevent.idle()
    others = calls(group_commit, 1, 2)
    machine.let_go()
    gevent.joinall([busy], timeout=PATIENCE, raise_error=True)
    gevent.joinall(others, timeout=PATIENCE, raise_error=True)
    assert machine.groups[1] in ([1, 2], [1, 2, 0])


def test_a_group_has_500_calls_at_most(group_commit: GroupCommit, machine: Machine) -> None:
    machine.hold()
    callers = calls(group_commit, *range(1201))
    machine.let_go()
    gevent.joinall(callers, timeout=PATIENCE, raise_error=True)
    assert [len(group) for group in machine.groups] == [1, 500, 500, 200]


def test_the_followers_of_a_killed_leader_get_their_results(group_commit: GroupCommit, machine: Machine) -> None:
    machine.hold()
    _, leader, follower, too = calls(group_commit, 1, 2, 3, 4)
    machine.permit()
    machine.until_begun(2)
    leader.kill()
    gevent.idle()
    machine.let_go()
    assert follower.get(timeout=PATIENCE) == 6
    assert too.get(timeout=PATIENCE) == 8
    assert machine.groups == [[1], [2, 3, 4]]
    assert group_commit.call(DOUBLE, 5) == 10


def test_a_leader_that_is_killed_while_its_group_runs_appoints_the_next(
    group_commit: GroupCommit, machine: Machine
) -> None:
    machine.hold()
    leader, *later = calls(group_commit, 1, 2, 3)
    machine.until_begun(1)
    leader.kill()
    machine.let_go()
    gevent.joinall(later, timeout=PATIENCE, raise_error=True)
    assert [caller.get() for caller in later] == [4, 6]
    assert machine.groups == [[1], [2, 3]]


def test_the_call_of_a_killed_follower_is_not_run(group_commit: GroupCommit, machine: Machine) -> None:
    machine.hold()
    first, next_leader, gone, last = calls(group_commit, 1, 2, 3, 4)
    gone.kill()
    next_leader.kill()  # it was to lead the next group
    machine.let_go()
    assert first.get(timeout=PATIENCE) == 2
    assert last.get(timeout=PATIENCE) == 8
    assert machine.groups == [[1], [4]]


def test_a_follower_that_is_killed_when_appointed_appoints_the_next(
    group_commit: GroupCommit, machine: Machine
) -> None:
    """It is killed after it was appointed and before it runs, by a caller of the group before."""
    chosen: list[gevent.Greenlet[..., int]] = []

    def killer() -> None:
        group_commit.call(DOUBLE, 3)
        gevent.get_hub().loop.run_callback(gevent.getcurrent().switch)
        chosen[0].throw(gevent.GreenletExit())

    machine.hold()
    calls(group_commit, 1, 2)
    killing = gevent.spawn(killer)
    gevent.idle()
    machine.permit()
    machine.until_begun(2)
    chosen += calls(group_commit, 4, 5)
    machine.let_go()
    killing.get(timeout=PATIENCE)
    assert chosen[1].get(timeout=PATIENCE) == 10
    assert machine.groups == [[1], [2, 3], [5]]
    assert group_commit.call(DOUBLE, 6) == 12


def test_a_timeout_of_one_caller_affects_no_other(group_commit: GroupCommit, machine: Machine) -> None:
    machine.hold()

    def impatient() -> str:
        try:
            with gevent.Timeout(0.01):
                return str(group_commit.call(DOUBLE, 1))
        except gevent.Timeout:
            return "gave up"

    caller = gevent.spawn(impatient)
    later = calls(group_commit, 2)[0]
    assert caller.get(timeout=PATIENCE) == "gave up"
    machine.let_go()
    assert later.get(timeout=PATIENCE) == 4


def test_it_works_after_callers_were_killed_at_random_moments(group_commit: GroupCommit, machine: Machine) -> None:
    for round_ in range(30):
        callers = calls(group_commit, *range(6))
        for caller in callers[round_ % 3 :: 3]:
            caller.kill(block=False)
            gevent.sleep(0)
        gevent.joinall(callers, timeout=PATIENCE)
        assert all(caller.ready() for caller in callers)
    assert group_commit.call(DOUBLE, 7) == 14


def test_hubs_of_other_threads_have_groups_of_their_own(group_commit: GroupCommit, machine: Machine) -> None:
    other = Threads(1)
    try:
        assert other.call(group_commit.call, DOUBLE, 1) == 2
        assert group_commit.call(DOUBLE, 2) == 4
    finally:
        other.close()


def test_a_call_after_the_thread_was_closed_raises(group_commit: GroupCommit, threads: Threads) -> None:
    threads.close()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="closed"):
            group_commit.call(DOUBLE, 1)


def test_more_than_one_thread_is_refused() -> None:
    with pytest.raises(ValueError, match="one thread"):
        GroupCommit(Threads(2), Machine().run)
