"""Exit codes are part of what supervisors and scripts rely on."""

from __future__ import annotations

from kombu_green.exit_codes import ExitCode


def test_the_numbers_are_those_that_are_documented() -> None:
    assert {name: code.value for name, code in ExitCode.__members__.items()} == {
        "DRAINED": 0,
        "DONE": 0,
        "READY": 0,
        "RELEASED": 1,
        "FAILED": 1,
        "NOT_READY": 1,
        "USAGE": 2,
        "NOT_RUNNING": 3,
        "CRASHED": 70,
        "CANNOT_BOOT": 78,
        "INTERRUPTED": 130,
        "BROKEN_PIPE": 141,
    }
