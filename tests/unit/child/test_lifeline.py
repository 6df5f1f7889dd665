"""The last resort: a hub that hangs ends with its parent all the same, and its group with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PATCHED = "from gevent.monkey import patch_all; patch_all()\nimport os, sys, subprocess\n"
WATCH = "from kombu_green.child import lifeline\nlifeline.watch(int(sys.argv[1]), 0.05)\n"


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
def test_a_hub_that_hangs(hangs: str) -> None:
    lifeline, ours = os.pipe()
    with run(WATCH + f"print('up', flush=True)\n{hangs}", lifeline) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        assert child.poll() is None
        os.close(ours)
        assert child.wait(30) == -signal.SIGKILL
    os.close(lifeline)


def test_the_group_is_left_alone_when_it_is_another_s() -> None:
    lifeline, ours = os.pipe()
    with run(WATCH + "print('up', flush=True)\nwhile True: pass", lifeline, group=False) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        os.close(ours)
        assert child.wait(30) == 1
    os.close(lifeline)


def test_what_it_started_ends_too() -> None:
    lifeline, ours = os.pipe()
    program = WATCH + "subprocess.Popen(['sleep', '600'])\nprint('up', flush=True)\nwhile True: pass"
    with run(program, lifeline) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        os.close(ours)
        assert child.stdout.read() == ""  # the sleeper has it, too: nobody is left
    os.close(lifeline)


def test_an_exit_that_hangs() -> None:
    program = """
import atexit
from kombu_green.child import lifeline
from gevent.monkey import get_original
atexit.register(get_original("time", "sleep"), 600)
lifeline.exit_within(0.05, 7)
"""
    with run(program, 0) as child:
        assert child.wait(30) == 7
