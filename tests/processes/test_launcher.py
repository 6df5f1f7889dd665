"""The real launcher with real worker processes: crashes, refused starts, hangs, drains and kills."""

from __future__ import annotations

import os
import pty
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.support.launcher import PATIENCE, PROGRAMS, Launched, alive, launch, until


def restarts(launcher: Launched) -> list[float]:
    return [event["seconds"] for event in launcher.events if event.get("event") == "restarting"]


# stopping


def test_term_drains_all_processes(tmp_path: Path) -> None:
    with launch(tmp_path, processes=3) as launcher:
        launcher.wait_for("ready", 3)
        launcher.signal(signal.SIGTERM)
        assert launcher.exit_code() == 0
        assert len(launcher.children()) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_messages_may_finish(tmp_path: Path, number: signal.Signals) -> None:
    with launch(tmp_path, child="busy,finishes", timeouts={"graceful": PATIENCE}) as launcher:
        child = launcher.wait_for("ready")["child"]
        launcher.signal(number)
        launcher.wait_for("draining", reason=number.name)
        assert alive(child)
        os.kill(child, signal.SIGUSR1)
        assert launcher.exit_code() == 0


def test_messages_unfinished_at_the_deadline_are_requeued(tmp_path: Path) -> None:
    with launch(tmp_path, child="busy", timeouts={"graceful": 0.3}, processes=2) as launcher:
        launcher.wait_for("ready", 2)
        launcher.signal(signal.SIGTERM)
        assert launcher.exit_code() == 1
        assert "late" not in launcher.log()


def test_a_process_that_does_not_stop_is_told_to_release_and_killed(tmp_path: Path) -> None:
    with launch(tmp_path, child="busy,stuck", timeouts={"graceful": 0.2, "margin": 0.2, "release": 0.2}) as launcher:
        child = launcher.wait_for("ready")["child"]
        launcher.signal(signal.SIGTERM)
        launcher.wait_for("late", child=child)
        launcher.wait_for("killed", child=child)
        assert launcher.exit_code() == 1


def test_a_process_that_dies_while_it_drains_makes_the_exit_code_1(tmp_path: Path) -> None:
    with launch(tmp_path, child="busy") as launcher:
        child = launcher.wait_for("ready")["child"]
        launcher.signal(signal.SIGTERM)
        launcher.wait_for("draining")
        os.kill(child, signal.SIGKILL)
        assert launcher.exit_code() == 1
        assert len(launcher.children()) == 1


def test_a_stop_that_raises_counts_as_unfinished(tmp_path: Path) -> None:
    with launch(tmp_path, child="brittle") as launcher:
        launcher.wait_for("ready")
        launcher.signal(signal.SIGTERM)
        assert launcher.exit_code() == 1
        assert "while stopping" in launcher.log()


def test_a_second_int_releases_at_once(tmp_path: Path) -> None:
    with launch(tmp_path, child="busy", timeouts={"graceful": 600}, processes=2) as launcher:
        launcher.wait_for("ready", 2)
        launcher.signal(signal.SIGINT)
        launcher.wait_for("draining")
        launcher.signal(signal.SIGINT)
        assert launcher.exit_code() == 130
        assert "killed" not in launcher.log()


def test_term_and_int_do_not_count_as_a_second_int(tmp_path: Path) -> None:
    with launch(tmp_path, child="busy,finishes", timeouts={"graceful": 600}) as launcher:
        child = launcher.wait_for("ready")["child"]
        launcher.signal(signal.SIGTERM)
        launcher.wait_for("draining")
        launcher.signal(signal.SIGINT)
        launcher.signal(signal.SIGTERM)
        os.kill(child, signal.SIGUSR1)
        assert launcher.exit_code() == 0


def test_a_starting_process_is_stopped_too(tmp_path: Path) -> None:
    with launch(tmp_path, child="connecting") as launcher:
        launcher.wait_for("configured")
        launcher.signal(signal.SIGTERM)
        assert launcher.exit_code() == 0


def test_term_ends_a_launcher_whose_processes_all_wait_for_a_restart(tmp_path: Path) -> None:
    with launch(tmp_path, child="broken", backoff={"first": 600, "ceiling": 600}) as launcher:
        launcher.wait_for("restarting")
        launcher.signal(signal.SIGTERM)
        assert launcher.exit_code() == 0


def test_ctrl_c_on_a_terminal_reaches_the_launcher_alone(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        with launch(
            tmp_path, child="busy,finishes", timeouts={"graceful": 600}, terminal=os.ttyname(theirs)
        ) as launcher:
            child = launcher.wait_for("ready")["child"]
            os.write(ours, b"\x03")
            launcher.wait_for("draining", reason="SIGINT")
            os.kill(child, signal.SIGUSR1)
            assert launcher.exit_code() == 0
    finally:
        os.close(ours)
        os.close(theirs)


# restarting


def test_a_process_that_dies_is_replaced(tmp_path: Path) -> None:
    with launch(tmp_path, processes=2) as launcher:
        launcher.wait_for("ready", 2)
        for killed in range(1, 4):
            os.kill(launcher.children()[-1], signal.SIGKILL)
            reason = launcher.wait_for("restarting", killed)["reason"]
            assert reason.endswith("was ended by SIGKILL")
            launcher.wait_for("ready", 2 + killed)
        launcher.signal(signal.SIGTERM)
        assert launcher.exit_code() == 0


def test_waits_grow_until_a_process_was_ready(tmp_path: Path) -> None:
    child = ",".join(f"broken:{n}" for n in (0, 1, 2, 3, 5))
    with launch(tmp_path, child=child, backoff={"first": 0.1, "ceiling": 0.4}) as launcher:
        os.kill(launcher.wait_for("ready")["child"], signal.SIGKILL)
        launcher.wait_for("ready", 2)
        nominal = [0.1, 0.2, 0.4, 0.4, 0.1, 0.2]
        assert all(n / 2 <= wait <= n for wait, n in zip(restarts(launcher), nominal, strict=True)), restarts(launcher)
        assert all("exited with code 3" in launcher.wait_for("restarting", n)["reason"] for n in (1, 2, 3, 4, 6))


def test_a_process_that_cannot_go_on_is_replaced(tmp_path: Path) -> None:
    with launch(tmp_path, child="fails:0,unreachable:1") as launcher:
        reasons = [launcher.wait_for("restarting", count)["reason"] for count in (1, 2)]
        assert reasons[0].endswith("exited with code 70: ConnectionLost: the broker is gone for good")
        assert reasons[1].endswith("exited with code 70: ConnectionLost: nobody there")
        launcher.wait_for("ready", 2)
        assert "the broker is gone for good" in launcher.log()
        assert "nobody there" in launcher.log()


def test_a_process_that_gets_term_from_outside_drains_and_is_replaced(tmp_path: Path) -> None:
    with launch(tmp_path, child="busy:0,finishes:0") as launcher:
        child = launcher.wait_for("ready")["child"]
        os.kill(child, signal.SIGINT)
        os.kill(child, signal.SIGTERM)
        os.kill(child, signal.SIGUSR1)
        assert "exited with code 0" in launcher.wait_for("restarting")["reason"]
        launcher.wait_for("ready", 2)


def test_a_command_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    with launch(tmp_path, command=[str(tmp_path / "none")]) as launcher:
        launcher.wait_for("restarting", 4)
        assert "No such file" in launcher.log()
        launcher.signal(signal.SIGTERM)
        assert launcher.exit_code() == 0


def test_noise_from_a_child_does_no_harm(tmp_path: Path) -> None:
    with launch(tmp_path, command=[sys.executable, str(PROGRAMS / "noisy_child.py")]) as launcher:
        launcher.wait_for("ready")
        launcher.wait_for("malformed", 3)
        launcher.signal(signal.SIGTERM)
        assert launcher.exit_code() == 0


# cannot boot


def test_a_process_that_cannot_boot_is_reported_once_and_not_restarted(tmp_path: Path) -> None:
    with launch(tmp_path, child="misconfigured", processes=3) as launcher:
        assert launcher.exit_code() == 78
        said = [event["message"] for event in launcher.events if event.get("event") == "cannot boot"]
        place = f"{tmp_path}/w.ini:7: [consumer:a] callback: "
        assert said == [place + "is no good", place + "really"]
        assert len(launcher.children()) == 3
        assert not restarts(launcher)


def test_a_refused_login_is_not_tried_again(tmp_path: Path) -> None:
    with launch(tmp_path, child="refused") as launcher:
        assert launcher.exit_code() == 78
        assert launcher.wait_for("cannot boot")["message"].endswith("w.ini:4: [broker] url: memory: wrong password")


def test_the_exit_code_alone_says_that_it_cannot_boot(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit(78)"]
    with launch(tmp_path, command=command) as launcher:
        assert launcher.exit_code() == 78
        assert "cannot boot (exit code 78)" in launcher.wait_for("cannot boot")["message"]


def test_one_refusal_ends_processes_that_still_start(tmp_path: Path) -> None:
    with launch(tmp_path, child="misconfigured:0,connecting:1", processes=2) as launcher:
        assert launcher.exit_code() == 78


def test_processes_that_run_go_on_when_a_new_one_cannot_boot(tmp_path: Path) -> None:
    with launch(tmp_path, child="misconfigured:2+", processes=2) as launcher:
        launcher.wait_for("ready", 2)
        first, second = launcher.children()
        os.kill(first, signal.SIGKILL)
        assert "cannot boot" in launcher.wait_for("restarting", 3)["reason"]
        assert alive(second)
        assert len([event for event in launcher.events if event.get("event") == "cannot boot"]) == 2
        launcher.signal(signal.SIGTERM)
        assert launcher.exit_code() == 0


def test_once_a_process_was_ready_what_cannot_boot_is_tried_again_however_few_are_left(tmp_path: Path) -> None:
    with launch(tmp_path, child="misconfigured:1,misconfigured:2,misconfigured:3") as launcher:
        os.kill(launcher.wait_for("ready")["child"], signal.SIGKILL)
        again = launcher.wait_for("restarting", 4)
        assert again["level"] == "error"
        assert "cannot boot: " in again["reason"]
        assert "is no good" in again["reason"]
        assert again["seconds"] >= 0.1  # the longest wait of this test, less its jitter
        launcher.wait_for("ready", 2)
        launcher.signal(signal.SIGTERM)
        assert launcher.exit_code() == 0


def test_a_process_that_boots_in_the_end_ends_the_waiting(tmp_path: Path) -> None:
    with launch(tmp_path, child="misconfigured:2,misconfigured:4", processes=2) as launcher:
        launcher.wait_for("ready", 2)
        os.kill(launcher.children()[0], signal.SIGKILL)
        launcher.wait_for("ready", 3)
        os.kill(launcher.children()[1], signal.SIGKILL)
        launcher.wait_for("ready", 4)
        launcher.signal(signal.SIGTERM)
        assert launcher.exit_code() == 0


# hanging


def test_a_stopped_process_is_killed_and_replaced(tmp_path: Path) -> None:
    with launch(tmp_path, timeouts={"heartbeat": 2, "abort": 0.3}) as launcher:
        child = launcher.wait_for("ready")["child"]
        os.kill(child, signal.SIGSTOP)
        launcher.wait_for("hung", child=child)
        launcher.wait_for("killed", child=child)
        assert "was ended by SIGKILL" in launcher.wait_for("restarting")["reason"]
        launcher.wait_for("ready", 2)


def test_a_hub_that_spins_prints_its_stack_and_is_replaced(tmp_path: Path) -> None:
    with launch(tmp_path, child="spins:0", timeouts={"heartbeat": 2}) as launcher:
        assert "was ended by SIGABRT" in launcher.wait_for("restarting")["reason"]
        launcher.wait_for("ready", 2)
        assert "in spin" in launcher.log()


def test_a_process_that_never_finishes_its_imports_is_replaced(tmp_path: Path) -> None:
    with launch(tmp_path, child="imports:0", timeouts={"start": 4}) as launcher:
        launcher.wait_for("hung")
        launcher.wait_for("ready")


def test_a_long_connect_does_not_count_as_hung(tmp_path: Path) -> None:
    with launch(tmp_path, child="connecting", timeouts={"start": 4, "heartbeat": 2}) as launcher:
        launcher.wait_for("configured")
        time.sleep(4.5)  # longer than either: what is tested is that nothing happens
        launcher.signal(signal.SIGTERM)
        assert launcher.exit_code() == 0
        assert "hung" not in launcher.log()


def test_a_launcher_that_stood_still_does_not_blame_its_children(tmp_path: Path) -> None:
    with launch(tmp_path, timeouts={"heartbeat": 2}) as launcher:
        child = launcher.wait_for("ready")["child"]
        for pid in (launcher.pid, child):
            os.kill(pid, signal.SIGSTOP)
        time.sleep(4.5)  # longer than a heartbeat may take
        os.kill(launcher.pid, signal.SIGCONT)
        launcher.wait_for("stood still")
        os.kill(child, signal.SIGCONT)
        launcher.signal(signal.SIGTERM)
        assert launcher.exit_code() == 0
        assert "hung" not in launcher.log()


# dying


@pytest.mark.parametrize("child", ["", "busy", "spins", "stuck", "connecting", "family"])
def test_children_die_with_their_parent(tmp_path: Path, child: str) -> None:
    with launch(tmp_path, child=child, processes=2) as launcher:
        launcher.wait_for({"connecting": "configured", "spins": "spinning"}.get(child, "ready"), 2)
        pids = launcher.children()
        if child == "family":
            pids += map(int, (tmp_path / "starts.family").read_text().split())
            assert len(pids) == 4
        launcher.signal(signal.SIGKILL)
        until(lambda: not any(map(alive, pids)), "the children end", patience=5.0)


def test_programs_started_by_a_killed_process_end_with_it(tmp_path: Path) -> None:
    with launch(tmp_path, child="family:0") as launcher:
        child = launcher.wait_for("ready")["child"]
        grandchild = int((tmp_path / "starts.family").read_text())
        assert alive(grandchild)
        os.kill(child, signal.SIGKILL)
        launcher.wait_for("ready", 2)
        until(lambda: not alive(grandchild), "the grandchild ends")
