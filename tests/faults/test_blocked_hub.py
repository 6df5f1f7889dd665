"""A callback that blocks the hub of its process is logged; in a native thread it does not block the hub."""

from __future__ import annotations

import signal
import sys
from typing import Any

from kombu_green import Connection, Producer, Queue
from tests.support.fleet import APPLICATIONS, Fleet
from tests.support.launcher import Launched, until

INI = """\
[worker]
path = {applications}
concurrency = 4
heartbeat_timeout = {heartbeat_timeout}
state = {state}
[broker]
url = {url}
[consumer:jobs]
queue = {queue}
callback = blocking:handle
offload = {offload}
[logging]
level = debug
format = json
"""


def launch(fleet: Fleet, *, offload: str, heartbeat_timeout: str) -> Launched:
    ini = fleet.folder / "blocking.ini"
    ini.write_text(
        INI.format(
            applications=APPLICATIONS,
            state=fleet.folder / "state",
            url=fleet.url,
            queue=fleet.queue,
            offload=offload,
            heartbeat_timeout=heartbeat_timeout,
        )
    )
    command = [sys.executable, "-m", "kombu_green.cli", "-c", str(ini)]
    return Launched(command, {"JOURNAL": str(fleet.journal)}, fleet.folder)


def publish(fleet: Fleet, number: int) -> None:
    with Connection(fleet.url) as connection:
        producer = Producer(connection)
        producer.maybe_declare(Queue(fleet.queue))
        producer.publish({"id": number}, routing_key=fleet.queue, message_id=f"number {number}")


def told(launched: Launched, event: str) -> list[dict[str, Any]]:
    launched.catch_up()
    return [one for one in launched.events if one.get("event") == event]


def test_a_callback_that_blocks_the_hub_is_logged_once(fleet: Fleet) -> None:
    publish(fleet, 1)
    publish(fleet, 2)
    with launch(fleet, offload="no", heartbeat_timeout="60s") as launched:
        blocked = launched.wait_for("blocked")
        turns = launched.wait_for("turns")
        until(lambda: len(fleet.handled()) == 2, "both handled")
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0
        assert len(told(launched, "blocked")) == 1, "the second blocks at the same place, and is counted"
    message = blocked["message"]
    assert blocked["level"] == "warning"
    assert blocked["queue"] == fleet.queue
    assert blocked["callback"].startswith("blocking:handle (")
    assert blocked["message_id"] == "number 1"
    for words in (
        f"message number 1 of queue {fleet.queue} in blocking:handle",
        'in handle\n    get_original("time", "sleep")(3.0)',
    ):
        assert words in message
    assert 2.5 < turns["seconds"] < 10


def test_an_offloaded_callback_does_not_block_the_hub(fleet: Fleet) -> None:
    for number in range(4):
        publish(fleet, number)
    # three seconds of blocking are three times what a process may be silent
    with launch(fleet, offload="yes", heartbeat_timeout="1s") as launched:
        until(lambda: len(fleet.handled()) == 4, "all handled")
        assert fleet.begun() == 4, "one at a time, or handled twice"
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0
        assert len(launched.children()) == 1
        assert not told(launched, "blocked")
        assert len({pid for pids in fleet.handled().values() for pid in pids}) == 1
