"""Rolling restarts under load: no message is lost or handled twice, and there is always a consumer."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fleet import APPLICATIONS, Fleet, RabbitMQFleet, SQLiteFleet, wait_for_more
from tests.support.launcher import Launched, alive, until
from tests.support.rabbitmq import RabbitMQ

RELOADS = 10
LONGEST = 0.5  # seconds that a callback takes
IN_STOCK = 2000  # messages that wait when a generation begins; on a busy machine it takes 10 s, in which 900 are done
GAP = 1.0  # seconds in which something must be handled


class Load:
    """Publishes messages so that the queue is never empty."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.published = 0

    def top_up(self) -> None:
        missing = IN_STOCK - (self.published - len(self.fleet.handled()))
        if missing > 0:
            self.fleet.publish(range(self.published, self.published + missing))
            self.published += missing

    def account(self) -> None:
        """Every message was handled once, or waits."""
        done, left = self.fleet.handled(), self.fleet.left()
        assert set(done) | left == set(range(self.published))
        assert not set(done) & left
        assert {number: pids for number, pids in done.items() if len(pids) > 1} == {}
        assert left, "nothing was left: there may have been nothing to do"


def reload(launched: Launched, count: int, old: list[int]) -> list[int]:
    """Run the *count*-th successful rolling restart; returns the new pids once the old processes are gone."""
    launched.signal(signal.SIGHUP)
    launched.wait_for("renewed", count)
    for pid in old:
        assert launched.wait_for("stopped", child=pid)["code"] == 0
    return [pid for pid in launched.children()[-len(old) :] if alive(pid)]


@pytest.mark.timeout(300)
def test_rolling_restarts_under_load_lose_no_message_and_leave_no_gap(
    fleet: Fleet, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    application = tmp_path / "application"
    shutil.copytree(APPLICATIONS, application, ignore=shutil.ignore_patterns("__pycache__"))
    load = Load(fleet)
    load.top_up()
    with fleet.launch(longest=LONGEST, applications=application) as launched:
        launched.wait_for("ready", 2)
        wait_for_more(fleet, 20)
        pids, began = launched.children(), time.time()
        for number in range(1, RELOADS + 1):
            load.top_up()
            before, pids = pids, reload(launched, number, pids)
            assert len(pids) == 2
            assert not set(pids) & set(before)
            if number == RELOADS // 2:
                with_broken_code(launched, application / "journal.py", pids)
        load.top_up()
        wait_for_more(fleet, 20)
        gap = fleet.longest_gap(began, time.time())
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0
    load.account()
    assert gap < GAP
    record_property("longest gap", gap)


def with_broken_code(launched: Launched, module: Path, pids: list[int]) -> None:
    """Run a rolling restart with a broken *module*: the processes stay, and the log says why."""
    right = module.read_text()
    module.write_text(right + "\nthis is no Python\n")
    launched.signal(signal.SIGHUP)
    said = launched.wait_for("not renewed")
    assert "fleet.ini:" in said["reason"]
    assert "[consumer:jobs] callback" in said["reason"]
    assert all(map(alive, pids))
    module.write_text(right)


@pytest.mark.timeout(300)
def test_a_rolling_restart_hands_an_exclusive_consumer_over(
    tmp_path: Path, rabbitmq: RabbitMQ, record_property: Callable[[str, object], None]
) -> None:
    fleet = RabbitMQFleet(tmp_path, rabbitmq)
    load = Load(fleet)
    load.top_up()
    with fleet.launch(longest=LONGEST, processes=1, exclusive=True) as launched:
        launched.wait_for("ready")
        wait_for_more(fleet, 10)
        pids, began = launched.children(), time.time()
        for number in range(1, 4):
            pids = reload(launched, number, pids)
            assert launched.wait_for("standby", number)["child"] == pids[0]
            launched.wait_for("ready", child=pids[0])
        wait_for_more(fleet, 10)
        gap = fleet.longest_gap(began, time.time())
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0
    load.account()
    assert gap < GAP
    record_property("longest gap", gap)


@pytest.mark.timeout(300)
def test_usr1_writes_the_stacks_of_all_greenlets(tmp_path: Path) -> None:
    fleet = SQLiteFleet(tmp_path)
    fleet.publish(range(4))
    with fleet.launch(longest=600, concurrency=2, graceful_timeout="0s") as launched:
        until(lambda: fleet.begun() == 4, "all slots busy")
        launched.signal(signal.SIGUSR1)
        until(lambda: launched.log().count("in handle") >= 4, "the stacks of four callbacks")
        launched.wait_for("state", mode="running")
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 1


@pytest.mark.timeout(300)
def test_a_process_that_stands_by_takes_over_when_the_other_dies(tmp_path: Path, rabbitmq: RabbitMQ) -> None:
    fleet = RabbitMQFleet(tmp_path, rabbitmq)
    with fleet.launch(longest=LONGEST, processes=2, exclusive=True) as launched:
        holder = launched.wait_for("ready")["child"]
        other = launched.wait_for("standby")["child"]
        fleet.publish(range(200))
        wait_for_more(fleet, 20)
        assert {pid for pids in fleet.handled().values() for pid in pids} == {holder}
        os.kill(holder, signal.SIGKILL)
        killed = time.monotonic()
        launched.wait_for("ready", child=other)
        assert time.monotonic() - killed < 2.0  # its place is free when the broker has seen the end, and then 0.2 s
        launched.wait_for("standby", 2)
        until(lambda: len(fleet.handled()) == 200, "all messages handled")
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0
        assert launched.log().count("standing by") == 2
    assert not fleet.left()
