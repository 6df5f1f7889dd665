"""What blocks the hub is logged once for each stack, and a hub that turns or waits is not."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.monkey import get_original

from kombu_green.clock import Deadline
from kombu_green.green import watchdog as module
from kombu_green.green.hub_trace import HubTrace
from kombu_green.green.threads import Threads
from kombu_green.green.watchdog import Watchdog
from kombu_green.ipc.message_keys import BY_ID, beginning
from kombu_green.ipc.recorder import IDLE, NOBODY, Recorder

LONGEST = 0.05
PATIENCE = 10.0

block = get_original("time", "sleep")  # sleeps with the hub


class Watched:
    def __init__(self) -> None:
        self.recorder = Recorder(2)
        self.trace = HubTrace(self.recorder.words, idle=IDLE, unowned=NOBODY)
        self.watchdog = Watchdog(self.recorder, LONGEST)

    def slot(self, work: Callable[[], object], row: int = 1) -> gevent.Greenlet[..., Any]:
        """Handles one message by *work*."""

        def handle() -> None:
            writer = self.recorder.row(row)
            self.trace.assign(writer)
            origin = beginning("video", BY_ID) + b"seven"
            writer.begin(self.recorder.name("video", "media:handle"), origin, time.monotonic())
            work()
            writer.end()

        return gevent.spawn(handle)

    def run(self, work: Callable[[], object]) -> None:
        self.slot(work).get(timeout=PATIENCE)
        gevent.sleep(2 * LONGEST)  # that it turns is seen at the next look


@pytest.fixture
def watched(caplog: pytest.LogCaptureFixture) -> Iterator[Watched]:
    made = Watched()
    made.trace.start()
    made.watchdog.start()
    yield made
    made.watchdog.stop(Deadline.after(0))
    made.trace.stop(Deadline.after(0))


def told(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if getattr(record, "event", None) == event]


def sleeps() -> None:
    block(0.3)


def test_each_stack_that_blocks_the_hub_is_logged_once(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        watched.run(sleeps)
    (record,) = told(caplog, "blocked")
    message = record.getMessage()
    assert record.levelno == logging.WARNING
    assert "message seven of queue video in media:handle" in message
    assert re.search(r"line \d+, in sleeps\n\s+block\(0\.3\)", message)
    assert vars(record)["queue"] == "video"
    (turns,) = told(caplog, "turns")
    assert 0.2 < vars(turns)["seconds"] < PATIENCE
    watched.run(lambda: block(0.3))
    assert len(told(caplog, "blocked")) == 2


def test_repetitions_are_summed_up(
    watched: Watched, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        watched.run(sleeps)
    monkeypatch.setattr(module, "_SUMMARY_INTERVAL", 0.0)
    with gevent.Timeout(PATIENCE):
        while not told(caplog, "blocked_again"):
            gevent.sleep(0.01)
    (again,) = told(caplog, "blocked_again")
    assert vars(again)["count"] == 2


def test_a_hub_that_turns_or_waits_is_not_logged(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    end = time.monotonic() + 0.3

    def yields() -> None:
        while time.monotonic() < end:
            gevent.sleep(0)

    watched.run(yields)
    watched.run(lambda: gevent.sleep(0.3))  # the hub is idle
    threads = Threads(1)
    watched.run(lambda: threads.call(sleeps))
    threads.close()
    assert not told(caplog, "blocked")


def test_the_hub_may_be_blocked_by_a_callback_of_its_own(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    gevent.get_hub().loop.run_callback(sleeps)
    gevent.sleep(0.4)
    (record,) = told(caplog, "blocked")
    assert "handles no message" in record.getMessage()
    assert "in sleeps" in record.getMessage()


def test_a_block_by_c_code_is_logged_once_the_interpreter_s_lock_is_released(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    def digest() -> None:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            hashlib.pbkdf2_hmac("sha256", b"x", b"y", 20_000)

    watched.run(digest)
    assert "in digest" in told(caplog, "blocked")[0].getMessage()


def test_all_stacks_are_logged_on_request(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    waiting = [gevent.spawn(gevent.sleep, PATIENCE) for _ in range(5)]

    def ask() -> None:
        watched.recorder.words[2] += 1
        end = time.monotonic() + PATIENCE
        while watched.recorder.words[2] != watched.recorder.words[3]:  # while the hub is blocked
            assert time.monotonic() < end
            block(0.01)

    gevent.sleep(0)
    watched.run(ask)
    (record,) = told(caplog, "stacks")
    message = record.getMessage()
    assert "message seven of queue video in media:handle for 0." in message
    assert "has the hub" in message
    assert "in ask" in message
    assert "and 2 more:" in message
    gevent.killall(waiting)


def test_a_stopped_watchdog_logs_nothing(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.watchdog.stop(Deadline.after(0))
    watched.run(sleeps)
    assert not told(caplog, "blocked")
    watched.watchdog.start()
    watched.run(sleeps)
    assert len(told(caplog, "blocked")) == 1
