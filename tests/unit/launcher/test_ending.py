"""Exit codes, and when a launcher gives up."""

from __future__ import annotations

import pytest

from kombu_green.exit_codes import ExitCode
from kombu_green.launcher.ending import Mode, Outcome, hopeless


@pytest.mark.parametrize(
    ("mode", "ends", "code"),
    [
        (Mode.DRAINING, [], ExitCode.DRAINED),
        (Mode.DRAINING, [(0, 0), (0, None)], ExitCode.DRAINED),
        (Mode.DRAINING, [(0, 0), (1, 3)], ExitCode.RELEASED),
        (Mode.DRAINING, [(0, 0), (-9, None)], ExitCode.RELEASED),
        (Mode.DRAINING, [(-11, 0)], ExitCode.DRAINED),  # it had said that all was done
        (Mode.INTERRUPTED, [(0, 0)], ExitCode.INTERRUPTED),
        (Mode.INTERRUPTED, [(-9, None)], ExitCode.INTERRUPTED),
        (Mode.REFUSED, [(1, 3)], ExitCode.CANNOT_BOOT),
    ],
)
def test_exit_codes(mode: Mode, ends: list[tuple[int, int | None]], code: ExitCode) -> None:
    outcome = Outcome(mode)
    for end in ends:
        outcome.count(*end)
    assert outcome.exit_code() is code


@pytest.mark.parametrize(
    ("ever_ready", "unfit", "gives_up"),
    [
        (False, [True, False, False], True),
        (True, [True, False], False),
        (True, [True, True], True),
        (True, [True], True),
    ],
)
def test_when_a_launcher_gives_up(ever_ready: bool, unfit: list[bool], gives_up: bool) -> None:
    assert hopeless(ever_ready, unfit) is gives_up
