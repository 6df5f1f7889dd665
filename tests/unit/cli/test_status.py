"""How a launcher's answer is shown."""

from __future__ import annotations

from typing import Any

from kombu_green.launcher.enquiry import Answer

from kombu_green.cli.status import shown

PROCESS = {
    "place": 1,
    "part": "current",
    "pid": 12,
    "phase": "ready",
    "age": 3723.0,
    "heartbeat_age": 0.4,
    "running": 3,
    "handled": 1000,
    "retried": 2,
    "dead_lettered": 1,
    "memory": 52 * 2**20,
    "restarts": 0,
    "last_end": None,
}


def told(*processes: dict[str, Any]) -> Answer:
    heading = {"version": "1.2", "file": "/srv/w.ini", "uptime": 93784.0, "mode": "running", "ready": True}
    messages = {"blamed": 2, "suspects": 0, "parked": 1}
    return Answer(11, {**heading, "messages": messages, "processes": list(processes)})


def test_a_line_for_each_process() -> None:
    waiting = {"place": 2, "pid": None, "phase": "waiting", "starts_in": 4.5, "restarts": 7, "last_end": "it died"}
    leaving = {**PROCESS, "pid": 13, "part": "leaving", "phase": "draining", "heartbeat_age": None, "memory": None}
    assert shown(told(PROCESS, leaving, waiting)) == [
        "kombu-worker 1.2 (pid 11): running for 1d02h",
        "/srv/w.ini",
        "messages: 2 blamed, 0 suspects, 1 parked",
        "place  pid  phase               age    heartbeat  running  handled  retried  dead  memory  restarts  last end",
        "1      12   ready               1h02m  0.4s       3        1000     2        1     52MiB   0",
        "1      13   draining (leaving)  1h02m  -          3        1000     2        1     -       0",
        "2      -    starts in 4.5s      -      -          -        -        -        -     -       7         it died",
    ]


def test_one_that_does_not_answer() -> None:
    assert shown(Answer(11, None)) == ["pid 11 does not answer"]
