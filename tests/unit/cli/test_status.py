"""How a launcher's answer is shown."""

from __future__ import annotations

from typing import Any

from kombu_green.cli.status import LauncherStatus, shown

PROCESS = {
    "process": 1,
    "role": "current",
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


def told(*processes: dict[str, Any]) -> LauncherStatus:
    heading = {"version": "1.2", "file": "/srv/w.ini", "uptime": 93784.0, "mode": "running", "ready": True}
    messages = {"blamed": 2, "suspects": 0, "parked": 1}
    return LauncherStatus(11, {**heading, "messages": messages, "processes": list(processes)})


def test_a_line_for_each_process() -> None:
    waiting = {"process": 2, "pid": None, "phase": "waiting", "starts_in": 4.5, "restarts": 7, "last_end": "it died"}
    leaving = {**PROCESS, "pid": 13, "role": "leaving", "phase": "draining", "heartbeat_age": None, "memory": None}
    heading, file, messages, *table = shown(told(PROCESS, leaving, waiting))
    assert heading == "kombu-worker 1.2 (pid 11): running for 1d02h"
    assert file == "/srv/w.ini"
    assert messages == "messages: 2 blamed, 0 suspects, 1 parked"
    assert [line[:41].rstrip() for line in table] == [
        "process  pid  phase               age",
        "1        12   ready               1h02m",
        "1        13   draining (leaving)  1h02m",
        "2        -    starts in 4.5s      -",
    ]
    assert [line[34:] for line in table] == [
        "age    heartbeat  running  handled  retried  dead  memory  restarts  last end",
        "1h02m  0.4s       3        1000     2        1     52MiB   0",
        "1h02m  -          3        1000     2        1     -       0",
        "-      -          -        -        -        -     -       7         it died",
    ]


def test_one_that_does_not_answer() -> None:
    assert shown(LauncherStatus(11, None)) == ["pid 11 does not answer"]
