"""The life of a worker process: orders, readiness and failures, in every order they may come in."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent.event import AsyncResult, Event

from kombu_green.child.launcher_link import LauncherLink, Order
from kombu_green.child.process import WorkerProcess
from kombu_green.clock import Deadline
from kombu_green.config.problems import ConfigError, Problem
from kombu_green.exceptions import AccessRefused, ConnectionLost, KombuError
from kombu_green.exit_codes import ExitCode
from kombu_green.ipc.messages import (
    AdmissionClosed,
    AdmissionReply,
    AdmissionRequest,
    ChildAway,
    ChildFailed,
    ChildReady,
    ChildStopped,
    DrainOrder,
    Heartbeat,
    LineReader,
    Malformed,
    Note,
    ReleaseOrder,
    encode,
)
from kombu_green.ipc.phases import Phase


class FakeWorker:
    """A worker with *running* messages that finish when :attr:`idle` is set."""

    def __init__(self, running: int = 0, start: Callable[[], object] = lambda: None) -> None:
        self.on_phase: Callable[[Phase], None] = lambda phase: None
        self.failed: AsyncResult[BaseException] = AsyncResult()
        self.idle = Event()
        self.begin = start
        self.running = running
        self.released = 0
        self.away_reason = ""
        self.starting = False
        self.deadlines: list[Deadline] = []
        self.stop_error: Exception | None = None
        if not running:
            self.idle.set()

    def record(self, fd: int | None = None, *, block_warning: float = 1.0, consumer_timeout: float = 1800.0) -> None:
        """It has no slots."""

    def guard(self, say: Callable[[AdmissionRequest | AdmissionClosed], None]) -> None:
        """It has no messages to ask about."""

    def answered(self, answer: AdmissionReply) -> None:
        raise AssertionError(f"nobody has asked: {answer}")

    def start(self) -> None:
        self.starting = True
        try:
            self.begin()
            self.on_phase(Phase.READY)
        finally:
            self.starting = False

    def stop(self, deadline: Deadline) -> None:
        assert not self.starting
        self.deadlines.append(deadline)
        if self.stop_error is not None:
            raise self.stop_error
        self.released = 0 if self.idle.wait(deadline.remaining()) else self.running

    def counters(self) -> Heartbeat:
        return Heartbeat(running=self.running)

    def describe(self) -> list[tuple[str, str]]:
        return []


class Played:
    """A process over *worker* in a greenlet; the test plays the launcher."""

    def __init__(self, worker: FakeWorker, link: LauncherLink, end: socket.socket) -> None:
        self.process = WorkerProcess(link, worker, heartbeat=0.01)
        self.running = gevent.spawn(self.process.run)
        self.end = end
        self.heard: list[Note | Malformed] = []
        self._reader = LineReader()

    def order(self, order: Order) -> None:
        self.end.sendall(encode(order))

    def wait_for(self, note: Note) -> None:
        while note not in self.heard:
            gevent.socket.wait_read(self.end.fileno(), 30)
            self.heard += self._reader.feed(self.end.recv(65536))

    def exit_code(self) -> int:
        code: int = self.running.get(timeout=30)
        return code


@contextmanager
def playing(worker: FakeWorker) -> Iterator[Played]:
    theirs, ours = socket.socketpair()
    with theirs, ours:
        ours.setblocking(False)
        played = Played(worker, LauncherLink(theirs.fileno()), ours)
        yield played
        played.running.kill()


def test_ready_then_drained() -> None:
    worker = FakeWorker()
    with playing(worker) as played:
        played.wait_for(ChildReady())
        played.wait_for(Heartbeat())
        played.order(DrainOrder(25))
        assert played.exit_code() == 0
        played.wait_for(ChildStopped(0))
        assert 20 < (worker.deadlines[0].remaining() or 0) <= 25


def test_messages_left_at_the_deadline_are_released_and_counted() -> None:
    with playing(FakeWorker(running=3)) as played:
        played.wait_for(ChildReady())
        played.order(DrainOrder(0.05))
        assert played.exit_code() == ExitCode.RELEASED
        played.wait_for(ChildStopped(3))


def test_a_release_hastens_a_drain() -> None:
    worker = FakeWorker(running=3)
    with playing(worker) as played:
        played.wait_for(ChildReady())
        played.order(DrainOrder(600))
        while not worker.deadlines:
            gevent.sleep(0)
        played.order(ReleaseOrder())
        assert played.exit_code() == ExitCode.RELEASED
        assert [deadline.remaining() or 0 for deadline in worker.deadlines][1] < 10


def test_the_end_of_the_launcher_releases() -> None:
    worker = FakeWorker(running=2)
    with playing(worker) as played:
        played.wait_for(ChildReady())
        played.end.close()
        assert played.exit_code() == ExitCode.RELEASED
        assert played.process.orphaned
        assert len(worker.deadlines) == 1


def test_an_order_ends_a_start_that_hangs() -> None:
    ended = Event()

    def start() -> None:
        try:
            gevent.sleep(600)
        finally:
            ended.set()

    with playing(FakeWorker(start=start)) as played:
        played.wait_for(Heartbeat())
        played.order(DrainOrder(30))
        assert played.exit_code() == 0
        assert ended.is_set()
        played.wait_for(ChildStopped(0))
        assert ChildReady() not in played.heard


def test_orders_that_came_before_the_start_count() -> None:
    with playing(FakeWorker()) as played:
        played.order(DrainOrder(30))
        assert played.exit_code() == 0


@pytest.mark.parametrize("error", [AccessRefused("wrong password"), ConfigError([Problem("bad")])])
def test_a_start_that_can_never_succeed_is_raised_to_the_caller(error: KombuError) -> None:
    def start() -> None:
        raise error

    with playing(FakeWorker(start=start)) as played, pytest.raises(type(error)) as caught:
        played.exit_code()
    assert caught.value is error


def test_a_start_that_may_succeed_next_time_ends_the_process_as_crashed(caplog: pytest.LogCaptureFixture) -> None:
    def start() -> None:
        raise ConnectionLost("nobody there")

    worker = FakeWorker(start=start)
    with playing(worker) as played:
        assert played.exit_code() == ExitCode.CRASHED
    assert "nobody there" in caplog.text
    assert len(worker.deadlines) == 1


def test_a_failure_releases_and_ends_the_process(caplog: pytest.LogCaptureFixture) -> None:
    worker = FakeWorker(running=1)
    with playing(worker) as played:
        played.wait_for(ChildReady())
        worker.failed.set(ConnectionLost("the broker is gone for good"))
        assert played.exit_code() == ExitCode.CRASHED
        played.wait_for(ChildStopped(1))
    assert "the broker is gone for good" in caplog.text


def test_a_failure_that_is_raised_ends_the_process_too(caplog: pytest.LogCaptureFixture) -> None:
    worker = FakeWorker()
    with playing(worker) as played:
        worker.failed.set_exception(ConnectionLost("gone"))
        assert played.exit_code() == ExitCode.CRASHED
    assert "ConnectionLost: gone" in caplog.text


def test_a_stop_that_raises_ends_the_process_as_released(caplog: pytest.LogCaptureFixture) -> None:
    worker = FakeWorker()
    worker.stop_error = ConnectionLost("while stopping")
    with playing(worker) as played:
        played.wait_for(ChildReady())
        played.order(DrainOrder(30))
        assert played.exit_code() == ExitCode.RELEASED
    assert "while stopping" in caplog.text
    assert ChildStopped(0) not in played.heard


def test_counters_that_fail_end_the_process() -> None:
    worker = FakeWorker()
    worker.counters = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    with playing(worker) as played:
        assert played.exit_code() == ExitCode.CRASHED


def test_away_is_told_with_its_reason_and_again_when_that_changes() -> None:
    worker = FakeWorker()
    with playing(worker) as played:
        played.wait_for(ChildReady())
        for reason in ("lost", "lost", "refused"):
            worker.away_reason = reason
            worker.on_phase(Phase.AWAY)
        played.wait_for(ChildAway("refused"))
        worker.away_reason = ""
        worker.on_phase(Phase.READY)
        played.order(DrainOrder(25))
        assert played.exit_code() == 0
        played.wait_for(ChildStopped(0))
        told = [note for note in played.heard if isinstance(note, ChildAway | ChildReady)]
        assert told == [ChildReady(), ChildAway("lost"), ChildAway("refused"), ChildReady()]


def test_a_worker_that_cannot_go_on_says_why_before_it_ends() -> None:
    worker = FakeWorker()
    with playing(worker) as played:
        played.wait_for(ChildReady())
        worker.failed.set(OSError("No space left on device"))
        assert played.exit_code() == ExitCode.CRASHED
        played.wait_for(ChildFailed("OSError: No space left on device"))
