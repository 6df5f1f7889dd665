"""The real launcher: rolling restarts, more and fewer processes, state in the log, replacement at limits."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.launcher import PATIENCE, PROGRAMS, Launched, alive, launch, until


def write_plan(folder: Path, **changed: Any) -> None:
    """Set the values of the plan that the next SIGHUP reads, where they differ from before."""
    (folder / "plan").write_text(json.dumps(changed))


def started(launcher: Launched, count: int) -> list[int]:
    """The pids of the first *count* processes, once they have been started."""
    launcher.wait_for("started", count)
    return launcher.children()[:count]


def end(launcher: Launched, code: int = 0) -> None:
    launcher.signal(signal.SIGTERM)
    assert launcher.exit_code() == code


# renewing everything


def test_hup_replaces_all_processes(tmp_path: Path) -> None:
    with launch(tmp_path, processes=2) as launcher:
        launcher.wait_for("ready", 2)
        old = launcher.children()
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("renewed")
        new = [launcher.wait_for("ready", count)["child"] for count in (3, 4)]
        for pid in old:
            assert launcher.wait_for("stopped", child=pid)["code"] == 0
        assert all(map(alive, new))
        assert "restarting" not in launcher.log()
        end(launcher)
        assert launcher.wait_for("renewing")["pid"] == launcher.pid


def test_old_processes_drain_when_all_successors_are_ready(tmp_path: Path) -> None:
    with launch(tmp_path, child="connecting:3", processes=2, timeouts={"start": PATIENCE}) as launcher:
        launcher.wait_for("ready", 2)
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("ready", 3)
        launcher.wait_for("configured", 4)
        launcher.catch_up()
        assert not [event for event in launcher.events if event.get("event") in ("renewed", "quiet")]
        assert all(map(alive, launcher.children()))
        os.kill(started(launcher, 4)[3], signal.SIGKILL)
        launcher.wait_for("not renewed")


def test_a_new_process_whose_broker_is_away_does_not_count_as_ready(tmp_path: Path) -> None:
    with launch(tmp_path, child="away:2,late:3", processes=2) as launcher:
        old = launcher.wait_for("ready", 2)["child"]
        launcher.signal(signal.SIGHUP)
        assert launcher.wait_for("away")["reason"] == "a: the broker is on holiday"
        (tmp_path / "late").touch()
        launcher.wait_for("ready", 4)
        launcher.signal(signal.SIGUSR1)
        assert launcher.wait_for("state", child=old)["phase"] == "ready"
        assert "renewed" not in [event.get("event") for event in launcher.events]
        (tmp_path / "back").touch()
        launcher.wait_for("renewed")
        assert launcher.wait_for("stopped", child=old)["code"] == 0
        end(launcher)


def test_messages_in_the_old_processes_are_finished(tmp_path: Path) -> None:
    with launch(tmp_path, child="busy:0,finishes:0") as launcher:
        old = launcher.wait_for("ready")["child"]
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("draining", child=old)
        launcher.wait_for("ready", 2)
        launcher.signal(signal.SIGUSR1)
        assert launcher.wait_for("state", child=old)["phase"] == "draining"  # and was not told to give back
        assert alive(old)
        os.kill(old, signal.SIGUSR1)
        assert launcher.wait_for("stopped", child=old)["code"] == 0
        end(launcher)


def test_a_successor_that_stands_by_takes_over(tmp_path: Path) -> None:
    with launch(tmp_path, child="standby:1+") as launcher:
        old = launcher.wait_for("ready")["child"]
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("standby")
        launcher.wait_for("stopped", child=old)
        end(launcher)


@pytest.mark.parametrize("processes", [1, 3])
def test_hup_applies_a_new_number_of_processes(tmp_path: Path, processes: int) -> None:
    with launch(tmp_path, processes=2) as launcher:
        launcher.wait_for("ready", 2)
        write_plan(tmp_path, processes=processes)
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("renewed")
        launcher.wait_for("stopped", 2)
        launcher.catch_up()
        assert len([pid for pid in launcher.children() if alive(pid)]) == processes
        assert len(launcher.children()) == 2 + processes
        end(launcher)


def test_new_timeouts_are_for_new_processes(tmp_path: Path) -> None:
    with launch(tmp_path, child="busy:1") as launcher:
        launcher.wait_for("ready")
        timeouts = dict.fromkeys(("start", "heartbeat", "margin", "release", "abort"), PATIENCE) | {"graceful": 0.2}
        write_plan(tmp_path, timeouts=timeouts)
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("renewed")
        began = time.monotonic()
        end(launcher, 1)
        assert time.monotonic() - began < PATIENCE / 2


def test_the_state_folder_stays_and_the_log_says_so(tmp_path: Path) -> None:
    with launch(tmp_path) as launcher:
        launcher.wait_for("ready")
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("renewed")
        launcher.catch_up()
        assert '"kept"' not in launcher.log()
        write_plan(tmp_path, state=str(tmp_path / "elsewhere"))
        launcher.signal(signal.SIGHUP)
        said = launcher.wait_for("kept")
        assert (said["level"], said["key"]) == ("warning", "worker.state")
        assert f"[worker] state stays {tmp_path}: {tmp_path}/elsewhere counts when" in said["message"]
        assert f"--set worker.state={tmp_path}" in said["message"]
        launcher.wait_for("renewed", 2)
        assert not (tmp_path / "elsewhere").exists()
        end(launcher)


def test_a_file_with_problems_changes_nothing(tmp_path: Path) -> None:
    with launch(tmp_path) as launcher:
        launcher.wait_for("ready")
        write_plan(tmp_path, problems=["is bad", "is worse"])
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("not reloaded", 2)
        assert [event["message"] for event in launcher.events if event.get("event") == "not reloaded"] == [
            "SIGHUP: nothing is changed: w.ini:3: is bad",
            "SIGHUP: nothing is changed: w.ini:3: is worse",
        ]
        end(launcher)
        assert len(launcher.children()) == 1


@pytest.mark.parametrize(
    ("child", "timeouts", "reason"),
    [
        ("misconfigured:2+", {}, "cannot boot: {folder}/w.ini:7: [consumer:a] callback: is no good; "),
        ("misconfigured:3", {}, "cannot boot: "),
        ("broken:3", {}, "exited with code 3"),
        ("fails:2,connecting:3", {}, "exited with code 70"),
        ("connecting:2", {"start": 4}, "was not ready within 4 s"),
    ],
)
def test_when_successors_do_not_start_the_old_processes_stay(
    tmp_path: Path, child: str, timeouts: Mapping[str, float], reason: str
) -> None:
    with launch(tmp_path, child=child, processes=2, timeouts=timeouts) as launcher:
        launcher.wait_for("ready", 2)
        launcher.signal(signal.SIGHUP)
        said = launcher.wait_for("not renewed")
        assert reason.format(folder=tmp_path) in said["message"]
        assert said["level"] == "error"
        old, new = launcher.children()[:2], started(launcher, 4)[2:]
        until(lambda: not any(map(alive, new)), "the new ones end")
        assert all(map(alive, old))
        end(launcher)
        assert "restarting" not in launcher.log()


def test_a_successor_that_hangs_in_its_imports_fails_the_rolling_restart(tmp_path: Path) -> None:
    with launch(tmp_path, child="imports:1", timeouts={"start": 4}) as launcher:
        old = launcher.wait_for("ready")["child"]
        launcher.signal(signal.SIGHUP)
        # what the process prints meanwhile may be on the same line
        until(lambda: "was not ready within 4 s" in launcher.log(), "the rolling restart is given up")
        until(lambda: "in build" in launcher.log(), "its stack")
        until(lambda: '"event": "stopped"' in launcher.log(), "it is gone: it would count as one that did not drain")
        assert alive(old)
        end(launcher)


def test_a_rolling_restart_after_one_that_failed(tmp_path: Path) -> None:
    with launch(tmp_path, child="misconfigured:1") as launcher:
        old = launcher.wait_for("ready")["child"]
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("not renewed")
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("renewed")
        launcher.wait_for("stopped", child=old)
        end(launcher)


def test_a_second_hup_replaces_the_first(tmp_path: Path) -> None:
    with launch(tmp_path, child="connecting:2,connecting:3", processes=2) as launcher:
        launcher.wait_for("ready", 2)
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("configured", 4)
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("given up")
        launcher.wait_for("renewed")
        for pid in started(launcher, 6)[:4]:
            launcher.wait_for("stopped", child=pid)
        assert all(map(alive, launcher.children()[4:]))
        end(launcher)


@pytest.mark.parametrize("step", ["renewing", "configured", "ready", "renewed"])
def test_term_during_a_rolling_restart(tmp_path: Path, step: str) -> None:
    with launch(tmp_path, child="connecting:3" if step == "ready" else "", processes=2) as launcher:
        launcher.wait_for("ready", 2)
        launcher.signal(signal.SIGHUP)
        launcher.wait_for(step, 3 if step in ("configured", "ready") else 1)
        end(launcher)
        assert len(launcher.children()) <= 4
        # each was waited for; a process that is forgotten would see its parent end, and end as well
        assert {event["child"] for event in launcher.events if event.get("event") == "stopped"} == set(
            launcher.children()
        )


def test_a_process_that_crashes_during_a_rolling_restart_is_replaced_by_its_successor(tmp_path: Path) -> None:
    with launch(tmp_path, backoff={"first": 600, "ceiling": 600}) as launcher:
        old = launcher.wait_for("ready")["child"]
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("renewing")
        os.kill(old, signal.SIGKILL)
        launcher.wait_for("ready", 2)
        end(launcher)
        assert len(launcher.children()) == 2


# one more, one less


def test_ttin_adds_a_process_and_ttou_drains_one(tmp_path: Path) -> None:
    with launch(tmp_path) as launcher:
        first = launcher.wait_for("ready")["child"]
        launcher.signal(signal.SIGTTIN)
        assert launcher.wait_for("processes", processes=2)
        second = launcher.wait_for(
            "ready",
            2,
        )["child"]
        launcher.signal(signal.SIGTTOU)
        launcher.wait_for("stopped", child=second)
        launcher.signal(signal.SIGTTOU)
        launcher.wait_for("processes", processes=1, level="warning")
        assert alive(first)
        launcher.signal(signal.SIGTTIN)
        assert launcher.wait_for("ready", 3)["process_number"] == 2
        end(launcher)


def test_hup_returns_to_the_number_of_processes_in_the_file(tmp_path: Path) -> None:
    with launch(tmp_path) as launcher:
        launcher.wait_for("ready")
        launcher.signal(signal.SIGTTIN)
        launcher.wait_for("ready", 2)
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("stopped", 2)
        launcher.wait_for("ready", 3)
        end(launcher)
        assert len(launcher.children()) == 3


@pytest.mark.parametrize("fails", [False, True])
def test_a_process_added_during_a_rolling_restart_belongs_to_the_generation_that_stays(
    tmp_path: Path, fails: bool
) -> None:
    with launch(tmp_path) as launcher:
        launcher.wait_for("ready")
        launcher.signal(signal.SIGHUP)
        launcher.wait_for("started", 2)
        waiting = launcher.children()[1]
        os.kill(waiting, signal.SIGSTOP)
        launcher.signal(signal.SIGTTIN)
        launcher.wait_for("started", 4)
        first, _, added, successor = launcher.children()
        assert "is ready" not in launcher.log().partition("SIGHUP")[2].partition("SIGTTIN")[0], "stopped too late"
        os.kill(waiting, signal.SIGKILL if fails else signal.SIGCONT)
        launcher.wait_for("not renewed" if fails else "renewed")
        leaving, staying = ([successor], [first, added]) if fails else ([first, added], [waiting, successor])
        for pid in leaving:
            launcher.wait_for("stopped", child=pid)
        for pid in staying:
            launcher.wait_for("ready", child=pid)
        assert all(map(alive, staying))
        end(launcher)
        assert len(launcher.children()) == 4


# at once, and the state


def test_quit_releases_at_once(tmp_path: Path) -> None:
    with launch(tmp_path, child="busy", timeouts={"graceful": 600}, processes=2) as launcher:
        launcher.wait_for("ready", 2)
        launcher.signal(signal.SIGQUIT)
        assert launcher.exit_code() == 1
        assert "killed" not in launcher.log()


def test_quit_during_a_drain_releases_at_once(tmp_path: Path) -> None:
    with launch(tmp_path, child="busy", timeouts={"graceful": 600}) as launcher:
        launcher.wait_for("ready")
        launcher.signal(signal.SIGTERM)
        launcher.wait_for("draining")
        launcher.signal(signal.SIGQUIT)
        assert launcher.exit_code() == 1


def test_usr1_logs_the_state(tmp_path: Path) -> None:
    with launch(tmp_path, child="busy:0,finishes:0,tired:0,connecting:1", limits={"messages": 10_000}) as launcher:
        old = launcher.wait_for("ready")["child"]
        launcher.signal(signal.SIGHUP)
        new = launcher.wait_for("configured", 2)["child"]
        launcher.signal(signal.SIGUSR1)
        launcher.wait_for("state", mode="running")
        said = launcher.wait_for("state", child=old)
        assert (said["phase"], said["running"], said["handled"]) == ("ready", 3, 100)
        assert "current: ready" in said["message"]
        assert launcher.wait_for("state", child=new)["phase"] == "starting"
        os.kill(old, signal.SIGUSR1)
        end(launcher)


def test_usr1_makes_every_process_print_its_stacks(tmp_path: Path) -> None:
    command = [sys.executable, "-P", str(PROGRAMS / "dying_child.py")]
    with launch(tmp_path, command=command, child=json.dumps([[["tell"]]]), processes=2) as launcher:
        launcher.wait_for("ready", 2)
        launcher.signal(signal.SIGUSR1)
        for pid in launcher.children():
            launcher.wait_for("stacks told", child=pid)


# recycling


def test_a_process_over_max_messages_is_replaced(tmp_path: Path) -> None:
    with launch(tmp_path, child="tired:0", processes=2, limits={"messages": 100}) as launcher:
        launcher.wait_for("ready", 2)
        tired = int((tmp_path / "starts").read_text().split()[0])
        launcher.wait_for("renewed")
        launcher.wait_for("stopped", child=tired)
        assert "max_messages = 100" in launcher.wait_for("renewing")["why"]
        assert launcher.wait_for("renewing")["processes"] == 1
        end(launcher)
        assert len(launcher.children()) == 3
        assert "restarting" not in launcher.log()


def test_processes_over_max_messages_are_replaced_one_after_another(tmp_path: Path) -> None:
    with launch(tmp_path, child="tired:0,tired:1,tired:2", processes=3, limits={"messages": 100}) as launcher:
        launcher.wait_for("stopped", 3)
        end(launcher)
        steps = [event["event"] for event in launcher.events if event.get("event") in ("renewing", "renewed")]
        assert steps == ["renewing", "renewed"] * 3


def test_a_process_whose_successor_fails_stays(tmp_path: Path) -> None:
    with launch(tmp_path, child="tired:0,misconfigured:1+", limits={"messages": 100}) as launcher:
        old = launcher.wait_for("ready")["child"]
        launcher.wait_for("not renewed")
        assert alive(old)
        end(launcher)
        assert len(launcher.children()) == 2


def test_a_slot_that_is_retired_gets_no_successor(tmp_path: Path) -> None:
    with launch(tmp_path, child="tired:1,connecting:2", limits={"messages": 100}) as launcher:
        first = launcher.wait_for("ready")["child"]
        launcher.signal(signal.SIGTTIN)
        launcher.wait_for("renewing")
        launcher.wait_for("started", 3)
        launcher.signal(signal.SIGTTOU)
        assert launcher.wait_for("given up")["reason"] == "SIGTTOU took away its process slot"
        for pid in launcher.children()[1:]:
            launcher.wait_for("stopped", child=pid)
        assert alive(first)
        assert "renewed" not in launcher.log()
        end(launcher)


def test_a_process_that_needs_more_than_its_limit_is_replaced_at_its_minimum_age_and_no_sooner(tmp_path: Path) -> None:
    limits = {"memory": 250_000_000, "settled": 0.5, "min_age": 4}
    with launch(tmp_path, child="fat", limits=limits) as launcher:
        first = launcher.wait_for("started")
        said = launcher.wait_for("soft_memory")
        assert (said["child"], said["level"]) == (first["child"], "warning")
        assert "soft_memory = 238 MB" in said["message"]
        replaced = launcher.wait_for("renewing")
        assert at(replaced) - at(first) > 3.9
        second = launcher.wait_for("ready", 2)["child"]
        launcher.wait_for("renewing", 2)
        launcher.wait_for("stopped", child=second)
        end(launcher)
        assert len([event for event in launcher.events if event.get("event") == "soft_memory"]) == 1, "once for a plan"


def at(event: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()


def test_a_process_over_soft_memory_is_replaced(tmp_path: Path) -> None:
    with launch(tmp_path, child="fat:0", limits={"memory": 250_000_000, "settled": 0, "min_age": 0}) as launcher:
        old = launcher.wait_for("ready")["child"]
        assert "soft_memory = 238 MB" in launcher.wait_for("renewing")["why"]
        launcher.wait_for("stopped", child=old)
        end(launcher)
        assert len(launcher.children()) == 2
