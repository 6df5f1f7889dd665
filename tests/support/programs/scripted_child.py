"""A worker process with a fake worker, which behaves as ``CHILD`` in the environment says; all else is real.

``CHILD`` is a list of words, separated by commas. Each process adds its pid as a line to the file that ``CHILD_STARTS``
names. ``word:N`` is for the process that finds N lines there, and ``word:N+`` for that one and all later ones.
"""

from kombu_green.green.monkey import patch

patch()

# ruff: noqa: E402  nothing may come before the patches
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import gevent
from gevent.event import AsyncResult, Event
from gevent.monkey import get_original

from kombu_green.child.main import main
from kombu_green.clock import Deadline
from kombu_green.config.problems import ConfigError
from kombu_green.config.settings import Settings
from kombu_green.exceptions import AccessRefused, ConnectionLost
from kombu_green.ipc.messages import AdmissionClosed, AdmissionReply, AdmissionRequest, Heartbeat
from kombu_green.ipc.phases import Phase


def words() -> set[str]:
    with open(os.environ["CHILD_STARTS"], "a+") as starts:
        starts.write(f"{os.getpid()}\n")
        starts.flush()  # before it is counted: of two that start together each has its own place
        starts.seek(0)
        before = starts.read().split().index(str(os.getpid()))
    chosen = set()
    for word in filter(None, os.environ["CHILD"].split(",")):
        name, _, when = word.partition(":")
        if not when or (before >= int(when[:-1]) if when.endswith("+") else before == int(when)):
            chosen.add(name)
    return chosen


class FakeWorker:
    """Holds three messages that finish when their time has come, or never."""

    def __init__(self, settings: Settings, how: set[str]) -> None:
        self.settings = settings
        self.how = how
        self.ready = Event()
        self.on_phase: Callable[[Phase], None] = lambda phase: None
        self.failed: AsyncResult[BaseException] = AsyncResult()
        self.idle = Event()
        self.deadlines: list[Deadline] = []
        self.released = 0
        self.away_reason = ""
        self.stopping = False

    def record(self, fd: int | None = None, *, block_warning: float = 1.0, consumer_timeout: float = 1800.0) -> None:
        """It has no slots."""

    def guard(self, say: Callable[[AdmissionRequest | AdmissionClosed], None]) -> None:
        """It has no messages to ask about."""

    def answered(self, answer: AdmissionReply) -> None:
        raise AssertionError(f"nobody has asked: {answer}")

    def start(self) -> None:
        if "refused" in self.how:
            raise AccessRefused("wrong password")
        if "unreachable" in self.how:
            raise ConnectionLost("nobody there")
        if "connecting" in self.how:
            gevent.sleep(600)
        while "late" in self.how and not os.path.exists("late"):
            gevent.sleep(0.02)
        if "busy" not in self.how:
            self.idle.set()
        self.ready.set()
        if "dies" in self.how:
            gevent.spawn_later(0.05, os.kill, os.getpid(), signal.SIGKILL)
        if "fails" in self.how:
            gevent.spawn_later(0.05, self.failed.set, ConnectionLost("the broker is gone for good"))
        if "spins" in self.how:
            gevent.spawn_later(0.05, spin)
        if "finishes" in self.how:
            gevent.signal_handler(signal.SIGUSR1, self.idle.set)
        if "fat" in self.how:
            self.fat = b"x" * 300_000_000
        if "family" in self.how:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            with open(os.environ["CHILD_STARTS"] + ".family", "a") as file:
                file.write(f"{child.pid}\n")
        self.on_phase(Phase.STANDBY if "standby" in self.how else Phase.READY)
        if "away" in self.how:
            self.away_reason = "a: the broker is on holiday"
            self.on_phase(Phase.AWAY)
            gevent.spawn_later(1.0, self.come_back)

    def come_back(self) -> None:
        if os.path.exists("back"):
            self.away_reason = ""
            self.on_phase(Phase.READY)
        else:
            gevent.spawn_later(0.02, self.come_back)

    def stop(self, deadline: Deadline) -> None:
        if "stuck" in self.how:
            gevent.sleep(600)
        if "brittle" in self.how:
            raise ConnectionLost("while stopping")
        if not self.ready.is_set():
            return
        self.deadlines.append(deadline)
        if len(self.deadlines) == 1:
            self.enter(Phase.QUIET)
            self.enter(Phase.DRAINING)
        while not self.idle.is_set() and not any(known.expired for known in self.deadlines):
            self.idle.wait(0.01)
        if not self.stopping:
            self.stopping = True
            self.enter(Phase.STOPPING)
        self.released = 0 if self.idle.is_set() else 3

    def enter(self, phase: Phase) -> None:
        self.on_phase(phase)
        if f"stays-{phase}" in self.how:
            gevent.sleep(600)

    def counters(self) -> Heartbeat:
        return Heartbeat(running=0 if self.idle.is_set() else 3, handled=100 if "tired" in self.how else 0)

    def describe(self) -> list[tuple[str, str]]:
        return [("delivery", "pretended")]


def spin() -> None:
    logging.warning("no hub turns from here on", extra={"event": "spinning"})
    while True:
        pass


def build(settings: Settings) -> FakeWorker:
    how = words()
    if "misconfigured" in how:
        raise ConfigError([settings.problem("consumer:a", "callback", text) for text in ("is no good", "really")])
    if "broken" in how:
        sys.exit(3)
    if "imports" in how:
        get_original("time", "sleep")(600)
    return FakeWorker(settings, how)


sys.exit(main(sys.argv[1:], build))
