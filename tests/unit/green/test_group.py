"""Every end of a greenlet has the consequence that its policy says."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
from gevent.event import Event
from gevent.queue import Queue

from kombu_green.clock import Deadline
from kombu_green.green.group import Fail, Group, MayEnd, Restart
from kombu_green.retry import Backoff
from kombu_green.testing import stress_service

NOW = Deadline.after(0)
AT_ONCE = Restart(Backoff(first=0.001, ceiling=0.002))


class Owner:
    def __init__(self) -> None:
        self.told: Queue[tuple[str, BaseException | None]] = Queue()
        self.group = Group("owner", lambda name, error: self.told.put((name, error)))

    def heard(self) -> tuple[str, BaseException | None]:
        return self.told.get(timeout=10)


@pytest.fixture
def owner() -> Iterator[Owner]:
    owner = Owner()
    owner.group.start()
    yield owner
    owner.group.stop(Deadline.after(10))


def boom() -> None:
    raise ValueError("boom")


def for_ever() -> None:
    Event().wait()


def test_a_failure_tells_the_owner_and_the_log_once(owner: Owner, caplog: pytest.LogCaptureFixture) -> None:
    greenlet = owner.group.spawn(boom, name="reader")
    name, error = owner.heard()
    assert (name, type(error)) == ("reader", ValueError)
    assert greenlet.get(timeout=10) is None
    (record,) = caplog.records
    assert record.getMessage() == "owner/reader failed with ValueError: boom"
    assert record.exc_info is not None
    assert owner.group.alive == 0


def test_returning_from_a_function_that_should_not_return_is_a_failure(
    owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    owner.group.spawn(lambda: 3, name="reader", on_end=Fail())
    assert owner.heard() == ("reader", None)
    assert caplog.messages == ["owner/reader returned, which it never should"]


def test_a_greenlet_that_may_end_returns_its_result_and_logs_nothing(
    owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    greenlet = owner.group.spawn(lambda a, b: a + b, 2, 3, name="sum", on_end=MayEnd())
    assert greenlet.get(timeout=10) == 5
    assert owner.told.empty()
    assert caplog.messages == []
    owner.group.spawn(boom, name="task", on_end=MayEnd())
    assert owner.heard()[0] == "task"


def test_restart_runs_it_again_after_an_error_and_after_a_return(
    owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[int] = []
    third = Event()

    def flaky() -> None:
        runs.append(len(runs))
        if len(runs) == 1:
            raise ValueError("first")
        if len(runs) == 3:
            third.set()
            Event().wait()

    owner.group.spawn(flaky, name="reader", on_end=AT_ONCE)
    assert third.wait(10)
    assert [message.partition(", again in")[0] for message in caplog.messages] == [
        "owner/reader failed with ValueError: first",
        "owner/reader returned, which it never should",
    ]
    assert owner.told.empty()
    assert owner.group.alive == 1


def test_the_backoff_grows_and_begins_anew_after_a_sound_run(owner: Owner, caplog: pytest.LogCaptureFixture) -> None:
    seen = Queue[int]()
    backoff = Backoff(first=0.001, ceiling=10, factor=100, jitter=False)

    def run(steady: float) -> list[str]:
        caplog.clear()
        runs: list[None] = []

        def fail() -> None:
            runs.append(None)
            if len(runs) == 3:
                seen.put(0)
                Event().wait()
            raise ValueError

        owner.group.spawn(fail, name="reader", on_end=Restart(backoff, steady))
        seen.get(timeout=10)
        return [message.partition("again in ")[2] for message in caplog.messages]

    assert run(steady=60) == ["0.0 s", "0.1 s"]
    assert run(steady=0) == ["0.0 s", "0.0 s"]


def test_a_leaked_timeout_is_a_failure(owner: Owner) -> None:
    def leak() -> None:
        raise gevent.Timeout(1)

    owner.group.spawn(leak, name="reader")
    assert isinstance(owner.heard()[1], gevent.Timeout)


def test_a_killed_greenlet_is_no_failure(owner: Owner, caplog: pytest.LogCaptureFixture) -> None:
    greenlet = owner.group.spawn(for_ever, name="reader")
    gevent.sleep(0)
    greenlet.kill(timeout=10)
    unborn = owner.group.spawn(for_ever, name="unborn")
    unborn.kill(timeout=10)
    assert greenlet.ready()
    assert unborn.ready()
    assert owner.group.alive == 0
    assert owner.told.empty()
    assert caplog.messages == []


def test_stop_ends_all_greenlets_and_logs_nothing_even_one_that_waits_for_its_restart(
    owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    again = owner.group.spawn(boom, name="again", on_end=Restart(Backoff(first=3600, ceiling=3600)))
    others = [owner.group.spawn(for_ever, name=f"reader {number}") for number in range(5)]
    gevent.sleep(0)
    caplog.clear()
    owner.group.stop(Deadline.after(10))
    assert all(greenlet.ready() for greenlet in [again, *others])
    assert caplog.messages == []
    with pytest.raises(RuntimeError, match="owner: 'late' cannot be spawned, as the group is not running"):
        owner.group.spawn(for_ever, name="late")


def test_a_failure_during_a_stop_is_logged_and_not_reported_to_the_owner(
    owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    def clumsy() -> None:
        try:
            Event().wait()
        finally:
            boom()

    owner.group.spawn(clumsy, name="clumsy")
    gevent.sleep(0)
    owner.group.stop(Deadline.after(10))
    assert caplog.messages == ["owner/clumsy failed while it was stopped"]
    assert owner.told.empty()


def test_stop_returns_by_its_deadline_and_names_greenlets_that_have_not_ended(caplog: pytest.LogCaptureFixture) -> None:
    owner, leave = Owner(), Event()

    def stubborn() -> None:
        while not leave.is_set():
            try:
                leave.wait()
            except gevent.GreenletExit:
                continue

    owner.group.start()
    greenlet = owner.group.spawn(stubborn, name="stubborn")
    gevent.sleep(0)
    with gevent.Timeout(10):
        owner.group.stop(Deadline.after(0.02))
    assert caplog.messages == ["owner: 1 greenlets did not end in time: owner/stubborn"]
    leave.set()
    greenlet.join(10)
    assert greenlet.ready()


def test_a_stop_with_a_deadline_that_has_passed_still_kills_all_greenlets(owner: Owner) -> None:
    greenlet = owner.group.spawn(for_ever, name="reader")
    gevent.sleep(0)
    owner.group.stop(NOW)
    greenlet.join(10)
    assert greenlet.ready()


def test_the_owner_may_stop_the_group_when_a_failure_is_reported() -> None:
    stopped = Event()

    def failed(name: str, error: BaseException | None) -> None:
        group.stop(Deadline.after(10))
        stopped.set()

    group = Group("owner", failed)
    group.start()
    other = group.spawn(for_ever, name="other")
    group.spawn(boom, name="reader")
    assert stopped.wait(10)
    assert other.ready()


def test_an_error_of_the_owner_s_function_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def failed(name: str, error: BaseException | None) -> None:
        raise KeyError("deaf")

    group = Group("owner", failed)
    group.start()
    group.spawn(boom, name="reader").join(10)
    group.stop(Deadline.after(10))
    assert caplog.messages[-1] == "owner: telling the owner that reader ended failed too"


def test_ended_greenlets_are_no_members_any_more(owner: Owner) -> None:
    tasks = [owner.group.spawn(int, name="task", on_end=MayEnd()) for _ in range(100)]
    gevent.joinall(tasks, timeout=10)
    gevent.sleep(0)
    assert not owner.group._members


def test_greenlets_carry_their_names(owner: Owner) -> None:
    assert "owner/reader" in repr(owner.group.spawn(for_ever, name="reader"))


def test_it_is_a_service() -> None:

    class Busy(Group):
        def on_start(self) -> None:
            for number in range(3):
                self.spawn(for_ever, name=str(number))

    stress_service(lambda: Busy("busy", lambda name, error: pytest.fail(f"{name} ended: {error}")))
