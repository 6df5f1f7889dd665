"""SIGTERM in every state of the processes: the launcher ends within its deadline, and no message is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fleet import APPLICATIONS, Fleet, RabbitMQFleet, wait_for_more
from tests.support.launcher import Launched, until
from tests.support.rabbitmq import RabbitMQ

MESSAGES = 200
GRACE = 4.0  # [worker] graceful_timeout, seconds
DEADLINE = GRACE + 5.0 + 5.0  # beyond the grace, a margin until it is told to release, and as much until it is killed


def term(launched: Launched, within: float = DEADLINE) -> int:
    """Drain a launcher; returns its exit code when all its processes are gone."""
    began = time.monotonic()
    launched.signal(signal.SIGTERM)
    code = launched.exit_code()
    took = time.monotonic() - began
    assert took < within + 2.0, f"it took {took:.1f} s"  # two for the machine
    return code


def account(fleet: Fleet, *, twice: bool = False) -> None:
    """Every message was handled or is in the queue; *twice*: it may be both, because processes were killed."""
    everything = set(range(MESSAGES))
    if twice:  # what a killed process had comes back when its lease ends
        until(lambda: fleet.waiting() >= MESSAGES - len(fleet.handled()), "all that is not handled waits again")
    done, left = set(fleet.handled()), fleet.left()
    assert done | left == everything
    if not twice:
        assert not done & left
        assert all(len(pids) == 1 for pids in fleet.handled().values())


def launch(fleet: Fleet, **how: object) -> Launched:
    fleet.publish(range(MESSAGES))
    settings = {"longest": 0.5, "graceful_timeout": f"{GRACE:g}s"} | how
    return fleet.launch(**settings)  # type: ignore[arg-type]


def begin_renewal(launched: Launched) -> None:
    launched.wait_for("ready", 2)
    launched.signal(signal.SIGHUP)
    launched.wait_for("renewing")


def to_started(launched: Launched) -> None:
    launched.wait_for("started")


def to_configured(launched: Launched) -> None:
    launched.wait_for("configured")


def to_ready(launched: Launched) -> None:
    launched.wait_for("ready", 2)


def to_one_that_leaves_by_itself(launched: Launched) -> None:
    os.kill(launched.wait_for("ready")["child"], signal.SIGTERM)
    launched.wait_for("quiet")


def to_one_that_drains(launched: Launched) -> None:
    launched.wait_for("ready", 2)
    launched.signal(signal.SIGTERM)
    launched.wait_for("draining", 3)  # one is the launcher's own


def to_one_that_stops(launched: Launched) -> None:
    os.kill(launched.wait_for("ready")["child"], signal.SIGTERM)
    launched.wait_for("stopping")


def to_one_that_waits_to_be_restarted(launched: Launched) -> None:
    os.kill(launched.wait_for("ready")["child"], signal.SIGTERM)
    launched.wait_for("restarting")


def to_a_renewal(launched: Launched) -> None:
    begin_renewal(launched)


def to_a_renewal_whose_processes_start(launched: Launched) -> None:
    begin_renewal(launched)
    launched.wait_for("configured", 3)


def to_a_renewal_that_is_half_ready(launched: Launched) -> None:
    begin_renewal(launched)
    launched.wait_for("ready", 3)


def to_a_renewal_whose_old_ones_drain(launched: Launched) -> None:
    begin_renewal(launched)
    launched.wait_for("renewed")


def to_a_newer_renewal(launched: Launched) -> None:
    begin_renewal(launched)
    launched.wait_for("started", 4)
    launched.signal(signal.SIGHUP)
    launched.wait_for("given up")


STATES = [
    to_started,
    to_configured,
    to_ready,
    to_one_that_leaves_by_itself,
    to_one_that_drains,
    to_one_that_stops,
    to_one_that_waits_to_be_restarted,
    to_a_renewal,
    to_a_renewal_whose_processes_start,
    to_a_renewal_that_is_half_ready,
    to_a_renewal_whose_old_ones_drain,
    to_a_newer_renewal,
]


@pytest.mark.timeout(120)
@pytest.mark.long_on("rabbitmq")
@pytest.mark.parametrize("go", STATES, ids=lambda go: go.__name__.removeprefix("to_"))
def test_term_in_any_state_ends_the_launcher_within_its_deadline(fleet: Fleet, go: Callable[[Launched], None]) -> None:
    with launch(fleet) as launched:
        go(launched)
        assert term(launched) == 0
    account(fleet)


@pytest.mark.timeout(120)
def test_term_while_a_rolling_restart_fails(fleet: Fleet, tmp_path: Path) -> None:
    module = tmp_path / "journal.py"
    module.write_text((APPLICATIONS / "journal.py").read_text())
    with launch(fleet, applications=tmp_path) as launched:
        launched.wait_for("ready", 2)
        module.write_text("this is no Python\n")
        launched.signal(signal.SIGHUP)
        launched.wait_for("not renewed")
        assert term(launched) == 0
    account(fleet)


@pytest.mark.timeout(120)
def test_term_while_a_process_stands_by(tmp_path: Path, rabbitmq: RabbitMQ) -> None:
    fleet = RabbitMQFleet(tmp_path, rabbitmq)
    with launch(fleet, exclusive=True) as launched:
        launched.wait_for("ready")
        launched.wait_for("standby")
        wait_for_more(fleet, 5)
        assert term(launched) == 0
    account(fleet)


@pytest.mark.timeout(120)
def test_term_while_a_process_is_aborted(fleet: Fleet) -> None:
    with launch(fleet, heartbeat_timeout="1s") as launched:
        launched.wait_for("ready", 2)
        frozen = launched.children()[0]
        os.kill(frozen, signal.SIGSTOP)
        launched.wait_for("hung", child=frozen)
        assert term(launched) == 1
        launched.wait_for("killed", child=frozen)
    account(fleet, twice=True)


@pytest.mark.timeout(120)
def test_term_while_callbacks_exceed_the_graceful_timeout(fleet: Fleet) -> None:
    with launch(fleet, longest=600.0, graceful_timeout="1s") as launched:
        until(lambda: fleet.begun() >= 20, "all slots busy")
        assert term(launched, within=11.0) == 1
    account(fleet)
