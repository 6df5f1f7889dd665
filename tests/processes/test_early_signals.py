"""Signals that come while ``kombu-worker`` is still importing itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.launcher import ROOT, Launched, until

#: holds the import of the launcher's modules until the test says so; Python runs it before anything else
HOLD = """\
import os, sys, time

class Holds:
    def find_spec(self, name, path=None, target=None):
        if name == "kombu_green.cli.run":
            open("importing", "w").close()
            while not os.path.exists("go on"):
                time.sleep(0.01)

sys.meta_path.insert(0, Holds())
"""
INI = """\
[worker]
path = .
[broker]
url = sqla+sqlite:///w.db
[consumer:a]
queue = a
callback = application:handle
[logging]
format = json
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "w.ini").write_text(INI)
    (tmp_path / "application.py").write_text("def handle(body, message): pass\n")
    (tmp_path / "hold").mkdir()
    (tmp_path / "hold" / "sitecustomize.py").write_text(HOLD)
    return tmp_path


def held(folder: Path) -> Launched:
    environ = {"PYTHONPATH": os.pathsep.join([str(folder / "hold"), str(ROOT)])}
    launched = Launched([sys.executable, "-m", "kombu_green.cli", "-c", "w.ini"], environ, folder)
    until((folder / "importing").exists, "it imports")
    return launched


def test_what_comes_before_the_launcher_runs_is_done_when_it_does(folder: Path) -> None:
    with held(folder) as launched:
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN):
            launched.signal(number)
        (folder / "go on").touch()
        assert launched.wait_for("processes")["processes"] == 2
        launched.wait_for("state")
        launched.wait_for("renewed")
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0


def test_one_that_is_to_end_before_it_runs_starts_nothing(folder: Path) -> None:
    with held(folder) as launched:
        launched.signal(signal.SIGTERM)
        (folder / "go on").touch()
        assert launched.exit_code() == 0
        assert launched.children() == []


def test_ctrl_c_before_it_runs(folder: Path) -> None:
    with held(folder) as launched:
        launched.signal(signal.SIGINT)
        assert launched.exit_code() == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_check_ends_by_a_signal_as_any_command_does(folder: Path, number: signal.Signals) -> None:
    write_pid = "import os\nwith open('new', 'w') as file: file.write(str(os.getpid()))\nos.rename('new', 'checking')\n"
    (folder / "application.py").write_text(f"{write_pid}import time\ntime.sleep(600)\n")
    command = [sys.executable, "-m", "kombu_green.cli", "-c", "w.ini", "--check"]
    with subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
    ) as check:
        until((folder / "checking").exists, "it checks")
        check.send_signal(number)
        try:
            assert check.wait(30) == -number
        finally:
            os.kill(int((folder / "checking").read_text()), signal.SIGKILL)
