"""Exit codes, and when a launcher gives up."""

from __future__ import annotations

import pytest

from kombu_green.exit_codes import ExitCode
from kombu_green.launcher.launcher import LauncherMode, LauncherOutcome, gives_up


@pytest.mark.parametrize(
    ("mode", "ends", "code"),
    [
        (LauncherMode.DRAINING, [], ExitCode.DRAINED),
        (LauncherMode.DRAINING, [(0, 0), (0, None)], ExitCode.DRAINED),
        (LauncherMode.DRAINING, [(0, 0), (1, 3)], ExitCode.RELEASED),
        (LauncherMode.DRAINING, [(0, 0), (-9, None)], ExitCode.RELEASED),
        (LauncherMode.DRAINING, [(-11, 0)], ExitCode.DRAINED),  # it had said that all was done
        (LauncherMode.INTERRUPTED, [(0, 0)], ExitCode.INTERRUPTED),
        (LauncherMode.INTERRUPTED, [(-9, None)], ExitCode.INTERRUPTED),
        (LauncherMode.REFUSED, [(1, 3)], ExitCode.CANNOT_BOOT),
    ],
)
def test_exit_codes(mode: LauncherMode, ends: list[tuple[int, int | None]], code: ExitCode) -> None:
    outcome = LauncherOutcome(mode)
    for end in ends:
        outcome.count(*end)
    assert outcome.exit_code() is code


@pytest.mark.parametrize(
    ("ever_ready", "cannot_boot", "expected"),
    [
        (False, [True, False, False], True),
        (True, [True, False], False),
        (True, [True, True], True),
        (True, [True], True),
    ],
)
def test_when_a_launcher_gives_up(ever_ready: bool, cannot_boot: list[bool], expected: bool) -> None:
    assert gives_up(ever_ready, cannot_boot) is expected
