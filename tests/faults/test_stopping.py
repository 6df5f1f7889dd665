"""Stopping under load, gracefully and by SIGKILL: no message is lost, and no process is left."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.support.fleet import Fleet, wait_for_more
from tests.support.launcher import alive, until


@pytest.mark.timeout(300)
def test_term_under_load_loses_no_message_and_handles_none_twice(fleet: Fleet) -> None:
    fleet.publish(range(600))
    for _ in range(3):
        with fleet.launch(longest=0.2) as launched:
            wait_for_more(fleet, 60)
            launched.signal(signal.SIGTERM)
            assert launched.exit_code() == 0  # asserts, too, that none of its processes is left
        # what was begun was finished, and what was not begun is there for the next one at once, not when a lease ends
        assert fleet.left() == set(range(600)) - set(fleet.handled())
        assert fleet.begun() == len(fleet.handled())
    with fleet.launch() as launched:
        until(lambda: len(fleet.handled()) == 600, "all messages handled", patience=120)
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0
    assert set(fleet.handled()) == set(range(600))
    assert all(len(processes) == 1 for processes in fleet.handled().values())
    assert not fleet.left()


@pytest.mark.timeout(300)
def test_messages_unfinished_at_the_deadline_are_requeued(fleet: Fleet) -> None:
    fleet.publish(range(30))
    with fleet.launch(longest=600, graceful_timeout="1s", lease="60s") as launched:
        until(lambda: fleet.begun() >= 20, "all slots busy")
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 1
    # given back, not left to a lease of a minute
    assert fleet.left() == set(range(30)) - set(fleet.handled())


@pytest.mark.timeout(300)
def test_the_processes_of_a_killed_launcher_are_gone_within_five_seconds(fleet: Fleet) -> None:
    fleet.publish(range(400))
    with fleet.launch(longest=0.3) as launched:
        until(lambda: fleet.begun() >= 60, "60 callbacks begun")
        launched.wait_for("ready", count=2)
        os.kill(launched.pid, signal.SIGKILL)
        killed = time.monotonic()
        until(lambda: not any(alive(pid) for pid in launched.children()), "its processes are gone", patience=5)
        assert time.monotonic() - killed < 5
    with fleet.launch() as launched:
        until(lambda: len(fleet.handled()) == 400, "all messages handled", patience=120)
        until(lambda: not fleet.waiting(), "nothing waits in any queue")
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0
    assert set(fleet.handled()) == set(range(400))
