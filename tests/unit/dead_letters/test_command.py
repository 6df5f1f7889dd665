"""The command line of ``kombu-worker dead``."""

from __future__ import annotations

from pathlib import Path

import pytest

from kombu_green.dead_letters.command import ACTIONS, parse_arguments
from kombu_green.exit_codes import ExitCode


@pytest.mark.parametrize("queue", ["video", "video.dead"])
def test_the_queue_is_named_with_or_without_dead(queue: str) -> None:
    arguments = parse_arguments(["ls", "-c", "w.ini", queue])
    assert (arguments.queue, arguments.source_queue) == ("video.dead", "video")


def test_all_options() -> None:
    argv = ["drop", "-c", "w.ini", "--set", "a.b=c", "q", "--where", "id=m*", "--where", "older=2h", "--limit", "3"]
    arguments = parse_arguments([*argv, "--yes", "--json"])
    assert (arguments.action, arguments.file, arguments.overrides) == ("drop", Path("w.ini"), ["a.b=c"])
    assert (len(arguments.selection.conditions), arguments.selection.limit) == (2, 3)
    assert (arguments.yes, arguments.json) == (True, True)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--limit", "0"], "'0' is not a whole number from 1"),
        (["--where", "colour=red"], "there is no field 'colour'"),
        (["--where", "older=2"], "did you mean 2s?"),
        (["--set", "processes=2"], "write section.key=value"),
    ],
)
def test_a_wrong_command_line_is_refused(more: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(["ls", "-c", "w.ini", "q", *more])
    assert caught.value.code == ExitCode.USAGE
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_has_a_help_of_its_own(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments([action, "--help"])
    assert caught.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith(f"usage: kombu-worker dead {action} [-h] -c FILE")
    assert ACTIONS[action] in shown
    assert not any(text in shown for other, text in ACTIONS.items() if other != action)
    assert ("--yes" in shown) is (action == "drop")
    assert "older=2h dead-lettered more than 2 hours ago" in shown
    assert "newer=10m dead-lettered in the last 10 minutes" in shown


def test_help_has_every_action(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"{action}: {text}" in shown for action, text in ACTIONS.items())
