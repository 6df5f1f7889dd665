"""The command line of ``kombu-worker``: each mistake is reported once, clearly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.launcher import PATIENCE, until

ROOT = Path(__file__).parents[2]


def run(folder: Path, *arguments: str, ini: str | None = None) -> subprocess.CompletedProcess[str]:
    if ini is not None:
        (folder / "w.ini").write_text(ini)
    return subprocess.run(
        [sys.executable, "-m", "kombu_green.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


BAD = """\
[broker]
url = amqp://user:hunter2@host:port/
[worker]
processess = 2
graceful_timeout = soon
[consumer:a]
queue = a
"""


@pytest.mark.parametrize("more", [(), ("--check",)])
def test_all_mistakes_are_reported_at_once(tmp_path: Path, more: tuple[str, ...]) -> None:
    done = run(tmp_path, "-c", "w.ini", *more, "--set", "logging.level=loud", ini=BAD)
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "kombu-worker: w.ini:2: [broker] url: 'amqp://user:**@host:port/': the port is not a number from 0 to 65535"
        "; in a user's name or password, / ? # ; : @ % are written %2F %3F %23 %3B %3A %40 %25",
        "kombu-worker: w.ini:4: [worker] processess: there is no such key; did you mean 'processes'?",
        "kombu-worker: w.ini:5: [worker] graceful_timeout: 'soon' is not a duration (a number with a unit),"
        " such as 500ms, 30s, 10m, 2h or 1d",
        "kombu-worker: w.ini:6: [consumer:a] callback: is missing: give a callback here, or [worker] app = module:name",
        "kombu-worker: --set logging.level: [logging] level: 'loud' is not one of debug, info, warning, error",
    ]


def test_a_wrong_command_line_exits_with_2(tmp_path: Path) -> None:
    done = run(tmp_path, "--nonsense")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_an_unknown_command_is_an_error(tmp_path: Path) -> None:
    done = run(tmp_path, "stats", "-c", "w.ini")
    said = "kombu-worker: there is no verb 'stats'; did you mean 'status'?\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_a_file_without_its_option_is_led_to_it(tmp_path: Path) -> None:
    done = run(tmp_path, "w.ini", "--check")
    said = "kombu-worker: there is no verb 'w.ini'; a file is given with -c: kombu-worker -c w.ini\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_version_is_printed(tmp_path: Path) -> None:
    done = run(tmp_path, "--version")
    assert (done.returncode, done.stdout[:13]) == (0, "kombu-worker ")


def test_an_interrupted_check_prints_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        f"open({str(tmp_path / 'started')!r}, 'w').close()\nimport time\ntime.sleep(600)\n"
    )
    (tmp_path / "w.ini").write_text("[broker]\nurl = memory\n[consumer:a]\nqueue = a\ncallback = slow:handle\n")
    with subprocess.Popen(
        [sys.executable, "-m", "kombu_green.cli", "-c", "w.ini", "--check"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as command:
        until((tmp_path / "started").exists, "the callback's module is imported")
        os.killpg(command.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        assert command.stderr is not None
        assert command.stderr.read() == ""
        assert command.wait(PATIENCE) == 130


@pytest.mark.parametrize("more", [(), ("--check",)])
def test_settings_of_the_command_line_are_in_no_child_s_command_line(tmp_path: Path, more: tuple[str, ...]) -> None:
    """Every user of the machine can read a command line; what the child starts gets no descriptor of it, either."""
    (tmp_path / "spy.py").write_text(
        "import os, subprocess, sys\n"
        "seen = open('/proc/self/cmdline').read().split(chr(0))\n"
        "fd = int(seen[seen.index('--overrides-fd') + 1])\n"
        "try:\n    os.fstat(fd)\nexcept OSError:\n    seen.append('closed')\n"
        f"open({str(tmp_path / 'new')!r}, 'w').write(' '.join(seen))\n"
        f"os.rename({str(tmp_path / 'new')!r}, {str(tmp_path / 'seen')!r})\n"
        "handle = print\n"
    )
    (tmp_path / "w.ini").write_text("[broker]\nurl = redis\n[consumer:a]\nqueue = a\ncallback = none:handle\n")
    sets = ("--set", "broker.url=memory://user:hunter2@host/", "--set", "consumer:a.callback=spy:handle")
    with subprocess.Popen(
        [sys.executable, "-m", "kombu_green.cli", "-c", "w.ini", *more, *sets],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as command:
        until(lambda: (tmp_path / "seen").exists() or command.poll() is not None, "the callback's module is imported")
        if not more:
            command.send_signal(signal.SIGTERM)
        assert command.stdout is not None
        said = command.stdout.read()
        assert command.wait(PATIENCE) == 0, said
    seen = (tmp_path / "seen").read_text()
    assert "hunter2" not in seen + said
    assert seen.endswith("closed")


def test_a_check_ends_with_an_import_that_takes_too_long(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(600)\n")
    ini = "[worker]\nstart_timeout = 1s\n[broker]\nurl = memory\n[consumer:a]\nqueue = a\ncallback = slow:handle\n"
    done = run(tmp_path, "-c", "w.ini", "--check", ini=ini)
    assert done.returncode == 78
    assert done.stderr == (
        "kombu-worker: w.ini:2: [worker] start_timeout: importing slow takes longer than start_timeout, 1s\n"
    )


@pytest.mark.parametrize("more", [(), ("--check",)])
def test_an_import_that_exits_is_said(tmp_path: Path, more: tuple[str, ...]) -> None:
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    ini = "[broker]\nurl = memory\n[consumer:a]\nqueue = a\ncallback = leaves:handle\n"
    done = run(tmp_path, "-c", "w.ini", *more, ini=ini)
    assert done.returncode == 78
    assert f"importing leaves ended with sys.exit(0) ({tmp_path}/leaves.py:2)" in done.stderr


def test_a_password_in_a_wrong_command_line_is_masked(tmp_path: Path) -> None:
    for wrong in (
        ["--set", "broker.url amqp://u:hunter2@h.org/v?x=1"],
        ["amqp://u:hunter2@h"],
        ["--set", "u:hunter2@h"],
    ):
        done = run(tmp_path, "-c", "w.ini", *wrong, ini=BAD)
        assert done.returncode in (2, 78)
        assert "hunter2" not in done.stderr
        assert "u:**@h" in done.stderr
