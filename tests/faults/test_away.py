"""A broker that is away for a while: ``status`` says so, nothing is restarted for it, and the launcher stays."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet import Fleet, RabbitMQFleet, SQLiteFleet, wait_for_more
from tests.support.launcher import ROOT, Launched, until
from tests.support.rabbitmq import RabbitMQ

SEEN_WITHIN = 3.0  # seconds from what the process can know to what status says
BUSY = 5.0  # more of them, as the machine may be busy


@pytest.fixture
def refusing(rabbitmq: RabbitMQ, tmp_path: Path) -> Iterator[tuple[RabbitMQ, RabbitMQFleet]]:
    """The shared server and a fleet with a user of its own, whose login can be refused."""
    user = f"u{uuid.uuid4().hex[:8]}"
    rabbitmq.control("await_startup")
    rabbitmq.control("add_user", user, "right")
    rabbitmq.control("set_permissions", user, ".*", ".*", ".*")
    fleet = RabbitMQFleet(tmp_path, rabbitmq)
    fleet.url = rabbitmq.url_of("amqp", user, "right")
    yield rabbitmq, fleet
    rabbitmq.control("delete_user", user)


def refuse(server: RabbitMQ, fleet: Fleet) -> None:
    """Refuse the login of the fleet's user, and drop its connections."""
    user = fleet.url.split("//")[1].partition(":")[0]
    server.control("change_password", user, "other")
    server.control("close_all_user_connections", user, "for a test")


def admit(server: RabbitMQ, fleet: Fleet) -> None:
    user = fleet.url.split("//")[1].partition(":")[0]
    server.control("change_password", user, "right")


def status(fleet: Fleet) -> tuple[int, Mapping[str, Any]]:
    command = [sys.executable, "-m", "kombu_green.cli", "status", "-c", str(fleet.folder / "fleet.ini"), "--json"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    (document,) = json.loads(done.stdout)
    return done.returncode, document


def phases(fleet: Fleet) -> set[str]:
    return {process["phase"] for process in status(fleet)[1]["processes"]}


def end(launched: Launched) -> None:
    launched.signal(signal.SIGTERM)
    assert launched.exit_code() == 0


def test_a_database_that_another_program_has_locked(tmp_path: Path) -> None:
    fleet = SQLiteFleet(tmp_path)
    fleet.publish(range(500))
    with fleet.launch(longest=0.2) as launched, closing(sqlite3.connect(fleet.database)) as other:
        launched.wait_for("ready", 2)
        wait_for_more(fleet, 20)
        pids = launched.children()
        other.execute("BEGIN IMMEDIATE")
        until(lambda: phases(fleet) == {"away"}, "away", SEEN_WITHIN + BUSY)
        code, document = status(fleet)
        assert (code, document["ready"]) == (1, False)
        for process in document["processes"]:
            assert "has not answered" in process["away"]
            assert process["phase_age"] < 60
        assert "has not answered" in launched.wait_for("away", 2)["reason"]
        other.rollback()
        until(lambda: status(fleet)[0] == 0, "ready again")
        assert phases(fleet) == {"ready"}
        fleet.publish(range(500, 520))
        until(lambda: all(map(fleet.begun, range(520))), "each message has begun")
        end(launched)
        assert launched.children() == pids
        assert any("answers again" in line for line in launched.lines)


def test_a_broker_that_refuses_the_login_for_a_while(refusing: tuple[RabbitMQ, RabbitMQFleet]) -> None:
    server, fleet = refusing
    fleet.publish(range(500))
    with fleet.launch(longest=0.2) as launched:
        launched.wait_for("ready", 2)
        wait_for_more(fleet, 20)
        pids = launched.children()
        refuse(server, fleet)
        until(lambda: phases(fleet) == {"away"}, "away", SEEN_WITHIN + BUSY)
        until(lambda: "refused" in status(fleet)[1]["processes"][0]["away"].lower(), "the refusal is shown")
        assert status(fleet)[0] == 1
        admit(server, fleet)
        until(lambda: status(fleet)[0] == 0, "ready again")
        fleet.publish(range(500, 520))
        until(lambda: all(map(fleet.begun, range(520))), "each message has begun")
        end(launched)
        assert launched.children() == pids
