"""A process whose hub hangs ends after its launcher all the same, and so does its process group."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PATCHED = "from gevent.monkey import patch_all; patch_all()\nimport os, sys, subprocess\n"
EXIT_WHEN_ORPHANED = (
    "from kombu_green.child.orphan import exit_when_orphaned\nexit_when_orphaned(int(sys.argv[1]), 0.05)\n"
)


def run(program: str, fd: int, *, group: bool = True) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PATCHED + program, str(fd)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        pass_fds=[fd],
        stdout=subprocess.PIPE,
        text=True,
        process_group=0 if group else None,
    )


@pytest.mark.parametrize("hangs", ["while True: pass", "import gevent; gevent.sleep(600)"])
def test_a_process_with_a_hanging_hub_is_killed_when_its_launcher_ends(hangs: str) -> None:
    lifeline, ours = os.pipe()
    with run(EXIT_WHEN_ORPHANED + f"print('up', flush=True)\n{hangs}", lifeline) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        assert child.poll() is None
        os.close(ours)
        assert child.wait(30) == -signal.SIGKILL
    os.close(lifeline)


def test_a_process_group_that_it_does_not_lead_is_left_alone() -> None:
    lifeline, ours = os.pipe()
    with run(EXIT_WHEN_ORPHANED + "print('up', flush=True)\nwhile True: pass", lifeline, group=False) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        os.close(ours)
        assert child.wait(30) == 1
    os.close(lifeline)


def test_processes_that_it_started_are_killed_too() -> None:
    lifeline, ours = os.pipe()
    program = EXIT_WHEN_ORPHANED + "subprocess.Popen(['sleep', '600'])\nprint('up', flush=True)\nwhile True: pass"
    with run(program, lifeline) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        os.close(ours)
        assert child.stdout.read() == ""  # the sleeper has it, too: nobody is left
    os.close(lifeline)


def test_a_hanging_exit_is_cut_short_with_the_exit_code() -> None:
    program = """
import atexit
from kombu_green.child.orphan import exit_after
from gevent.monkey import get_original
atexit.register(get_original("time", "sleep"), 600)
exit_after(0.05, 7)
"""
    with run(program, 0) as child:
        assert child.wait(30) == 7
