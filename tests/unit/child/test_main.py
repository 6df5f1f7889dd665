"""The command line of a child, and what it sends to the launcher when it cannot boot."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import gevent
import pytest

from kombu_green.child import main as module
from kombu_green.child.main import ChildArguments, cannot_boot_note, main, parse_arguments
from kombu_green.child.process import SupervisedWorker
from kombu_green.config.settings import Settings
from kombu_green.exit_codes import ExitCode
from kombu_green.ipc.messages import LONGEST_LINE, PROTOCOL, CannotBoot, LineReader, encode


def no_worker(settings: Settings) -> SupervisedWorker:
    raise AssertionError("no worker can be built of these settings")


def test_the_launcher_s_command_line() -> None:
    argv = ["run", "-c", "w.ini", "--set", "a.b=c", "--control-fd", "3", "--lifeline-fd", "4", "--recorder-fd", "5"]
    assert parse_arguments([*argv, "--protocol", "7"]) == ChildArguments("run", Path("w.ini"), ["a.b=c"], 3, 4, 5, 7)


def test_by_hand_there_are_no_descriptors_and_the_protocol_is_ours() -> None:
    expected = ChildArguments("check", Path("w.ini"), [], None, None, None, PROTOCOL)
    assert parse_arguments(["check", "-c", "w.ini"]) == expected


def test_a_wrong_command_line_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(["dance", "-c", "w.ini"])
    assert caught.value.code == ExitCode.USAGE
    assert "dance" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "problem"), [(["--protocol=0"], "kombu_green was upgraded"), ([], "cannot be read: No such file")]
)
def test_a_child_that_cannot_boot_sends_the_problem_and_exits_with_78(
    more: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "exit_after", lambda seconds, code: None)  # it would end this process
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    theirs, ours = socket.socketpair()
    with theirs, ours:
        argv = ["run", "-c", str(tmp_path / "none.ini"), "--control-fd", str(theirs.fileno()), *more]
        assert main(argv, no_worker) == ExitCode.CANNOT_BOOT
        gevent.socket.wait_read(ours.fileno(), 30)
        (note,) = LineReader().feed(ours.recv(65536))
    assert isinstance(note, CannotBoot)
    assert problem in note.problems[0]


def test_a_note_with_many_long_problems_can_be_sent() -> None:
    note = cannot_boot_note(["\x00😀" * 100_000] * 1000)
    assert len(encode(note)) < LONGEST_LINE
    assert note.problems[-1] == "and 960 more"
    assert cannot_boot_note(["a", "b"]).problems == ["a", "b"]
