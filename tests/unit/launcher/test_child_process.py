"""A child as the parent holds it: heard, told, killed with what it started, and reaped once."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import kombu_green
from kombu_green.ipc.messages import ChildReady, ChildStarted, Heartbeat, Malformed, Note, ReleaseOrder
from kombu_green.launcher.child_process import ChildProcess, child_command, child_environment, exit_text, inherited_fds

PROGRAM = """
import os, socket, subprocess, sys, time
fd = int(sys.argv[sys.argv.index("--control-fd") + 1])
control = socket.socket(fileno=fd)
"""


@contextmanager
def process(program: str) -> Iterator[ChildProcess]:
    lifeline, ours = os.pipe()
    child = ChildProcess.start(1, [sys.executable, "-c", PROGRAM + program], lifeline)
    try:
        yield child
    finally:
        child.kill()
        end(child)
        child.control.close()
        os.close(lifeline)
        os.close(ours)


def heard(child: ChildProcess, count: int) -> list[Note | Malformed]:
    notes: list[Note | Malformed] = []
    while len(notes) < count:
        assert select.select([child.control], [], [], 30)[0], f"only {notes}"
        more, open_still = child.receive()
        notes += more
        assert open_still or len(notes) >= count
    return notes


def end(child: ChildProcess) -> int:
    deadline = time.monotonic() + 30
    while (code := child.reap()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return code


def test_notes_go_both_ways() -> None:
    program = """
control.sendall(b'{"note": "started", "pid": %d}\\n{"note": "ready"}\\nnoise\\n' % os.getpid())
assert control.recv(100) == b'{"note": "release"}\\n'
control.sendall(b'{"note": "heartbeat"}\\n')
sys.exit(5)
"""
    with process(program) as child:
        assert heard(child, 3) == [ChildStarted(child.pid), ChildReady(), Malformed(b"noise")]
        assert child.reap() is None
        child.send(ReleaseOrder())
        assert heard(child, 1) == [Heartbeat()]
        assert end(child) == 5
        assert child.reap() == 5
        assert child.receive() == ([], False)
        child.send(ReleaseOrder())  # to nobody: no error


def test_a_process_that_does_not_read_does_not_block_the_launcher() -> None:
    with process("time.sleep(600)") as child:
        for _ in range(100_000):
            child.send(ReleaseOrder())


def test_processes_that_it_started_are_killed_with_it() -> None:
    program = """
sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=[fd])
control.sendall(b'{"note": "started", "pid": %d}\\n' % sleeper.pid)
os._exit(0)
"""
    with process(program) as child:
        (note,) = heard(child, 1)
        assert end(child) == 0
        assert isinstance(note, ChildStarted)
        deadline = time.monotonic() + 30
        while child.receive()[1]:  # the grandchild has the socket, too: its end is the end of both
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_it_has_its_own_process_group_and_no_input() -> None:
    with process('control.sendall(b\'{"note": "started", "pid": %d}\\n\' % len(sys.stdin.read()))') as child:
        assert os.getpgid(child.pid) == child.pid
        assert heard(child, 1) == [ChildStarted(0)]


def test_a_program_that_is_not_there() -> None:
    lifeline, ours = os.pipe()
    before = os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []
    with pytest.raises(FileNotFoundError):
        ChildProcess.start(1, ["/nowhere/at/all"], lifeline)
    if before:
        assert len(os.listdir("/proc/self/fd")) == len(before)
    os.close(lifeline)
    os.close(ours)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exited with code 0"),
        (78, "exited with code 78"),
        (-signal.SIGKILL, "was ended by SIGKILL"),
        (-signal.SIGSEGV, "was ended by SIGSEGV"),
        (-63, "was ended by signal 63"),
    ],
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert exit_text(code) == words


ROOT = str(Path(str(kombu_green.__file__)).resolve().parents[1])


def test_the_command() -> None:
    command = child_command("run", Path("conf/w.ini"), 7)
    assert command[0] == sys.executable
    assert command[-5:] == ["run", "-c", "conf/w.ini", "--overrides-fd", "7"]
    assert inherited_fds(command) == [7]
    assert inherited_fds(child_command("run", Path("conf/w.ini"))) == []


def test_a_checkout_comes_first_on_the_path() -> None:
    assert child_environment({"A": "b"}) == {"A": "b", "PYTHONPATH": ROOT}
    assert child_environment({"PYTHONPATH": "/x:/y"}) == {"PYTHONPATH": f"{ROOT}:/x:/y"}


def test_modules_in_the_current_folder_are_not_imported(tmp_path: Path) -> None:
    for name in ("argparse.py", "queue.py", "kombu_green.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong one')")
    command = child_command("check", Path("none.ini"))
    done = subprocess.run(command, env=child_environment({}), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == "kombu-worker: none.ini: cannot be read: No such file or directory\n"
    assert done.returncode == 78
