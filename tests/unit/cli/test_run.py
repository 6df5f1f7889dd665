"""The command line of ``kombu-worker`` without a verb."""

from __future__ import annotations

from pathlib import Path

import pytest

import kombu_green
from kombu_green.cli.run import RunArguments, parse_arguments, start_line
from kombu_green.config.loader import read_settings
from kombu_green.exit_codes import OF_THE_LAUNCHER, ExitCode


def test_all_options() -> None:
    given = parse_arguments(["-c", "w.ini", "--check", "--set", "a.b=c", "--processes", "2", "--concurrency", "3"])
    assert given == RunArguments(Path("w.ini"), True, ["a.b=c", "worker.processes=2", "worker.concurrency=3"])
    assert parse_arguments(["-c", "w.ini", "--stop-with-parent"]).stop_with_parent
    assert parse_arguments(["--config", "w.ini"]) == RunArguments(Path("w.ini"), False, [])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "required: -c/--config"),
        (["-c"], "expected one argument"),
        (["-c", "w.ini", "--processes", "0"], "'0' is not a whole number from 1"),
        (["-c", "w.ini", "--concurrency", "x"], "'x' is not a whole number from 1"),
        (["-c", "w.ini", "--set", "processes=2"], "'processes' does not say what to set: write section.key=value"),
        (["-c", "w.ini", "--set", "worker.processes"], "'worker.processes' does not say"),
        (["-c", "w.ini", "--proc", "2"], "unrecognized arguments"),
        (["-c", "w.ini", "more"], "unrecognized arguments"),
    ],
)
def test_a_wrong_command_line_is_refused(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(argv)
    assert caught.value.code == ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_the_start_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "w.ini").write_text(
        "[worker]\nprocesses = 4\n[broker]\nurl = amqp://u:hunter2@h/v\n"
        "[consumer:a]\nqueue = video, audio\ncallback = a:b\nconcurrency = 3\n[consumer:b]\nqueue = c\ncallback = a:b\n"
    )
    assert start_line(read_settings(tmp_path / "w.ini")) == (
        f"kombu-worker {kombu_green.__version__} runs {tmp_path}/w.ini: broker amqp://u:**@h/v,"
        " 4 processes × 16 slots, queues video, audio, c"
    )
    settings = read_settings(tmp_path / "w.ini", ["worker.processes=1"])
    assert ", 1 process × 16 slots, " in start_line(settings)


def test_help_tells_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(["--help"])
    assert caught.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    told = [line.split()[0] for line in lines[lines.index("exit codes:") + 1 :] if line.startswith("  ")]
    assert told == [str(code.value) for code in OF_THE_LAUNCHER]
