"""``kombu-worker status`` with real launchers in every state."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kombu_green import Connection, Producer
from tests.support.launcher import ROOT, Launched, alive, until

INI = """\
[worker]
processes = 2
path = .
state = state
[broker]
url = ${BROKER_URL}
[consumer:a]
queue = a
callback = application:handle
[logging]
format = json
"""
SLOW = "import os, time\nwhile os.path.exists('slow'): time.sleep(0.01)\ndef handle(body, message): pass\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "w.ini").write_text(INI)
    (tmp_path / "application.py").write_text(SLOW)
    return tmp_path


def launched(folder: Path) -> Launched:
    environ = {"BROKER_URL": f"sqla+sqlite:///{folder / 'w.db'}"}
    return Launched([sys.executable, "-m", "kombu_green.cli", "-c", "w.ini"], environ, folder)


def status(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run ``status`` without the worker's environment."""
    return subprocess.run(
        [sys.executable, "-m", "kombu_green.cli", "status", "-c", "w.ini", *more],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def told(folder: Path) -> tuple[int, list[Mapping[str, Any]]]:
    done = status(folder, "--json")
    return done.returncode, json.loads(done.stdout)


def test_status_from_start_to_end(folder: Path) -> None:
    assert (status(folder).returncode, status(folder).stderr) == (3, "kombu-worker: no launcher runs w.ini\n")
    (folder / "slow").touch()
    with launched(folder) as one:
        one.wait_for("started", 2)
        until(lambda: status(folder).returncode == 1, "it answers")
        _, (said,) = told(folder)
        assert (said["pid"], said["ready"], said["file"]) == (one.pid, False, str((folder / "w.ini").resolve()))
        (folder / "slow").unlink()
        one.wait_for("ready", 2)
        code, (said,) = told(folder)
        assert (code, said["ready"], said["mode"]) == (0, True, "running")
        assert [(process["process"], process["phase"]) for process in said["processes"]] == [(1, "ready"), (2, "ready")]
        assert {process["pid"] for process in said["processes"]} == set(one.children())
        assert said["messages"] == {"blamed": 0, "suspects": 0, "parked": 0}
        assert all(process["memory"] > 2**20 for process in said["processes"])
        lines = status(folder).stdout.splitlines()
        assert len(lines) == 7
        assert lines[5].split()[:3] == ["1", str(said["processes"][0]["pid"]), "ready"]

        (folder / "slow").touch()
        os.kill(one.children()[0], signal.SIGKILL)
        one.wait_for("restarting")
        code, (said,) = told(folder)
        assert code == 1
        (first, _) = said["processes"]
        assert (first["pid"], first["restarts"]) == (None, 1)
        assert first["last_end"].endswith("was ended by SIGKILL")
        (folder / "slow").unlink()
        one.signal(signal.SIGTERM)
        assert one.exit_code() == 0
    assert status(folder).returncode == 3
    assert not list((folder / "state").glob("*.sock"))


JOB = """\
import os, time, gevent
def handle(body, message):
    if body == "poison" and not os.path.exists("calm"):
        os._exit(3)
    while body == "poison" and not os.path.exists("done"):
        gevent.sleep(0.01)
    while body == "hang" and not os.path.exists("done"):
        time.sleep(0.01)
"""


def test_what_runs_what_is_blamed_what_was_handled_and_the_last_reload(folder: Path) -> None:
    (folder / "application.py").write_text(JOB)
    ini = INI.replace("processes = 2", "heartbeat_timeout = 30s").replace("[consumer", "lease = 1s\n[consumer")
    (folder / "w.ini").write_text(ini)
    with Connection(f"sqla+sqlite:///{folder / 'w.db'}") as connection, launched(folder) as one:
        one.wait_for("ready")
        producer = Producer(connection)
        for number in range(5):
            producer.publish(number, routing_key="a")
        until(lambda: told(folder)[1][0]["totals"]["handled"] == 5, "they are handled")
        producer.publish("poison", routing_key="a", message_id="m\n1")
        one.wait_for("restarting")
        (folder / "calm").touch()
        one.wait_for("ready", 2)
        until(lambda: told(folder)[1][0]["processes"][0]["messages"] != [], "it runs again")
        _, (said,) = told(folder)
        (runs,) = said["processes"][0]["messages"]
        assert (runs["id"], runs["queue"]) == ("m\n1", "a")
        assert runs["callback"].startswith("application:handle")
        (blamed,) = said["blamed"]
        assert (blamed["id"], blamed["key"], blamed["blames"]) == ("m\n1", runs["key"], 1)
        assert said["last_reload"] is None
        assert said["totals"]["handled"] == 5
        lines = status(folder, "--messages").stdout.splitlines()
        assert "since it was started: 5 handled, 0 retried, 0 dead-lettered" in lines
        assert len([line for line in lines if "m\\n1" in line]) == 2
        producer.publish("hang", routing_key="a")
        until(lambda: told(folder)[1][0]["processes"][0]["running"] == 2, "it hangs, and is counted")
        (folder / "done").touch()
        until(lambda: told(folder)[1][0]["totals"]["handled"] == 7, "both are handled")

        (folder / "w.ini").write_text(ini + "nonsense = 1\n")
        one.signal(signal.SIGHUP)
        one.wait_for("not reloaded")
        reload = told(folder)[1][0]["last_reload"]
        assert reload["outcome"] == "failed"
        assert "nonsense" in reload["reason"]
        (folder / "w.ini").write_text(ini)
        one.signal(signal.SIGHUP)
        one.wait_for("renewed")
        one.wait_for("stopped")
        _, (said,) = told(folder)
        assert (said["last_reload"]["outcome"], said["totals"]["handled"]) == ("done", 7)
        assert "last reload: done, " in status(folder).stdout
        one.signal(signal.SIGTERM)
        assert one.exit_code() == 0


def test_all_launchers_of_a_file_are_shown_but_not_a_killed_one(folder: Path) -> None:
    with launched(folder) as one, launched(folder) as two:
        for launcher in (one, two):
            launcher.wait_for("ready", 2)
        code, answers = told(folder)
        assert (code, {answer["pid"] for answer in answers}) == (0, {one.pid, two.pid})
        one.signal(signal.SIGSTOP)
        stopped = status(folder)
        assert stopped.returncode == 1
        assert f"pid {one.pid} does not answer" in stopped.stdout.splitlines()
        one.signal(signal.SIGCONT)
        one.signal(signal.SIGKILL)
        until(lambda: not any(map(alive, one.children())), "its processes have noticed")
        code, answers = told(folder)
        assert (code, [answer["pid"] for answer in answers]) == (0, [two.pid])
        assert [path.name for path in (folder / "state").glob("*.sock")] == [f"{two.pid}.sock"]


def test_status_works_with_errors_in_the_file(folder: Path) -> None:
    with launched(folder) as one:
        one.wait_for("ready", 2)
        (folder / "w.ini").write_text(INI + "nonsense = 1\n[what]\n")
        assert told(folder)[0] == 0
        (folder / "w.ini").unlink()
        gone = status(folder)
        assert gone.returncode == 78
        assert len(gone.stderr.splitlines()) == 1


def test_a_wrong_command_line_exits_with_2(folder: Path) -> None:
    done = status(folder, "more")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("kombu-worker status: error: ")
