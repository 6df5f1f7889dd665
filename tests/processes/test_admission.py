"""Processes that are killed by their messages, with the real launcher: blames, admission and parking."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kombu_green import Connection, Producer, Queue
from kombu_green.ipc.message_keys import BY_ID, identity_prefix, message_key
from kombu_green.launcher.death_records import DeathRecords
from kombu_green.launcher.death_rules import DeathRecord
from kombu_green.launcher.restart_budget import BUDGET
from tests.support.launcher import PROGRAMS, ROOT, Launched, launch, until

Life = Sequence[Sequence[Any]]

WAIT: Life = [["wait"]]
IDLE = ["hub", 0]


def witness(folder: Path, *lives: Life, processes: int = 1, **how: Any) -> Launched:
    """A launcher whose processes follow the scripts *lives*, one after another."""
    command = [sys.executable, "-P", "-X", "faulthandler", str(PROGRAMS / "dying_child.py")]
    return launch(folder, command=command, child=json.dumps(lives), processes=processes, **how)


def key(text: str) -> str:
    return message_key(identity_prefix("jobs", BY_ID) + text.encode()).hex()


def reasons(event: Mapping[str, Any]) -> dict[str, str]:
    return {one["id"]: one["reason"] for one in event["blamed"]}


def answers(folder: Path, count: int) -> list[list[Any]]:
    file = folder / "answers"

    def given() -> list[list[Any]]:
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def wait_for(number: int) -> None:
        until(lambda: len(given()) >= number, f"{number} answers")

    for number in range(1, count + 1):  # each may need a process that starts first
        wait_for(number)
    return given()


def known(folder: Path, text: str) -> DeathRecord | None:
    return DeathRecords(folder).get(key(text))


TWO: Life = [["begin", 1, "a"], ["begin", 2, "b"]]
THREAD: Life = [*TWO, ["begin", 3, "t", 0.0, True]]
CRASH: Life = [["signal", "SIGSEGV"]]
HUB, OFFLOADED = "had the hub", "ran in a native thread"


@pytest.mark.parametrize(
    ("life", "blamed", "marked"),
    [
        ([*TWO, ["hub", 2], ["exit", 0]], {"b": HUB}, []),
        ([*TWO, ["hub", 2], ["exit", 78]], {"b": HUB}, []),
        ([*TWO, ["hub", 2], ["signal", "SIGKILL"]], {"b": HUB}, []),
        ([*TWO, IDLE, ["signal", "SIGKILL"]], {}, []),
        ([*TWO, IDLE, *CRASH], {}, ["a", "b"]),
        ([*THREAD, ["hub", 1], *CRASH], {"a": HUB, "t": OFFLOADED}, []),
        ([*THREAD, IDLE, ["signal", "SIGKILL"]], {}, []),
        ([*THREAD, ["hub", 2], ["signal", "SIGKILL"]], {"b": HUB}, []),
        ([*THREAD, IDLE, ["write", "vmstat", "oom_kill 8\n"], ["signal", "SIGKILL"]], {}, ["t"]),
        ([*THREAD, IDLE, *CRASH], {"t": OFFLOADED}, ["a", "b"]),
    ],
    ids=[
        "_exit(0)",
        "_exit(78)",
        "killed",
        "killed-idle",
        "crash-idle",
        "crash-thread",
        "killed-idle-thread",
        "killed-thread",
        "oom-thread",
        "crash-idle-thread",
    ],
)
def test_which_messages_are_blamed(tmp_path: Path, life: Life, blamed: dict[str, str], marked: list[str]) -> None:
    (tmp_path / "vmstat").write_text("oom_kill 7\n")
    with witness(tmp_path, life, WAIT) as launcher:
        event = launcher.wait_for("death")
        assert reasons(event) == blamed
        assert event["marked"] == [key(text) for text in marked]
        restarting = launcher.wait_for("restarting")
        assert (restarting["seconds"] == 0) is bool(blamed or marked), "it is parked soon"
        launcher.wait_for("ready", 2)
        for text in ("a", "b", "t"):
            record = known(tmp_path, text)
            assert (record.blames if record else 0) == (text in blamed)
            assert (record.marks if record else 0) == (text in marked)


def test_three_deaths_park_a_message_over_a_restart_of_the_launcher(tmp_path: Path) -> None:
    dies: Life = [["begin", 1, "a"], ["hub", 1], ["exit", 3]]
    asks: Life = [["ask", 1, "a"], ["answered"], *dies]
    with witness(tmp_path, dies, asks, WAIT) as launcher:
        launcher.wait_for("ready", 3)
        assert [event["blamed"][0]["blames"] for event in launcher.events if event.get("event") == "death"] == [1, 2]
    (tmp_path / "starts").unlink()
    with witness(tmp_path, asks, [["ask", 4, "a"], ["ask", 5, "b"], ["answered", 2]]) as launcher:
        launcher.wait_for("ready", 2)
        *_, (row, reason), other = answers(tmp_path, 4)
    assert row == 4
    assert reason.startswith("its process died 3 times because of it: it had the hub when its process exited with")
    assert other == [5, ""]


def test_the_record_of_a_settled_message_is_removed(tmp_path: Path) -> None:
    dies: Life = [["begin", 1, "a"], ["hub", 1], ["exit", 3]]
    with witness(tmp_path, dies, [["beat"], ["ask", 1, "a"], ["answered"], ["settled", 1, "a"]]):
        answers(tmp_path, 1)
        until(lambda: known(tmp_path, "a") is None, "it is forgotten")


def test_the_record_of_a_message_that_was_given_back_before_it_began_stays(tmp_path: Path) -> None:
    dies: Life = [["begin", 1, "a"], ["hub", 1], ["exit", 3]]
    asks: Life = [["ask", 1, "a"], ["answered"]]
    lives: list[Life] = [
        dies,
        [["beat"], *asks, ["given back", 1, "a"], ["ask", 2, "b"], ["answered"], ["settled", 2, "b"]],
    ]
    with witness(tmp_path, *lives):
        answers(tmp_path, 2)
        assert known(tmp_path, "a") is not None


def test_the_record_of_a_message_that_was_settled_just_before_a_death_stays(tmp_path: Path) -> None:
    """The ack may not have been sent."""
    dies: Life = [["begin", 1, "a"], ["hub", 1], ["exit", 3]]
    lives: list[Life] = [
        dies,
        [["ask", 1, "a"], ["answered"], ["begin", 1, "a"], ["settled", 1, "a"], ["exit", 3]],
        WAIT,
    ]
    with witness(tmp_path, *lives) as launcher:
        launcher.wait_for("ready", 3)
        assert known(tmp_path, "a") is not None


def test_suspects_run_one_at_a_time(tmp_path: Path) -> None:
    """The first suspect runs; the other process's request waits until it is settled."""
    crash: Life = [*TWO, IDLE, *CRASH]
    asks: Life = [["ask", 1, "a"], ["ask", 2, "b"], ["ask", 3, "c"], ["answered", 2]]
    first = [*asks, ["begin", 1, "a"], IDLE, *CRASH]
    second = [*asks, ["settled", 1, "a"], ["answered"], ["wait"]]
    with witness(tmp_path, crash, crash, crash, first, second) as launcher:
        said = answers(tmp_path, 5)
        assert said[:2] == [[1, ""], [3, ""]], "b is a suspect, too, and held; c is none"
        event = launcher.wait_for("death", 4)
        assert reasons(event) == {"a": "was the one suspect that ran"}
        assert event["marked"] == []
        assert said[2:] == [[1, ""], [3, ""], [2, ""]], "b starts when a is settled"


def test_three_deaths_as_the_running_suspect_park(tmp_path: Path) -> None:
    crash: Life = [["begin", 1, "a"], ["begin", 2, "b"], IDLE, *CRASH]
    alone: Life = [["ask", 1, "a"], ["answered"], *crash]
    with witness(tmp_path, crash, crash, crash, alone, alone, alone, [["ask", 1, "a"], ["answered"]]):
        *started, (_, reason) = answers(tmp_path, 4)
    assert started == [[1, ""]] * 3
    assert "was the one suspect that ran when its process was ended by SIGSEGV" in reason
    record = known(tmp_path, "b")
    assert record is not None
    assert (record.blames, record.marks) == (0, 3)


DEATHS = 40


def test_no_redelivered_message_starts_before_the_death_is_examined(tmp_path: Path) -> None:
    """Another process sends its request as soon as the control socket of the dying one closes."""
    twice = {"blames": 2, "marks": 0, "seen": time.time(), "words": ["before"]}
    records = {key(f"m{number}"): twice for number in range(1, DEATHS + 2)}
    (tmp_path / "blames.json").write_text(json.dumps({"format": 1, "records": records}))
    with witness(tmp_path, [["watcher", DEATHS]], [["victim"]], processes=2):
        assert all(reason for _, reason in answers(tmp_path, DEATHS)), "started before its death was judged"


def test_a_message_that_was_blamed_does_not_start_beside_one_that_is_parked(tmp_path: Path) -> None:
    """It could end the process before the parked message is settled, which would be dead-lettered twice."""
    records = {
        key(text): {"blames": blames, "marks": 0, "seen": time.time(), "words": ["before"]}
        for text, blames in {"a": 3, "b": 1}.items()
    }
    (tmp_path / "blames.json").write_text(json.dumps({"format": 1, "records": records}))
    asks: Life = [["ask", 2, "b", 3, "c", 1, "a"], ["answered", 2], ["settled", 1, "a"], ["answered"]]
    with witness(tmp_path, asks):
        assert sorted(row for row, _ in answers(tmp_path, 2)[:2]) == [1, 3]
        assert answers(tmp_path, 3)[2] == [2, ""]


def test_a_message_that_hangs_a_process_does_not_start_in_another_one(tmp_path: Path) -> None:
    """A store delivers it again when its lease has ended, before the process counts as hung."""
    twice = {"blames": 2, "marks": 0, "seen": time.time(), "words": ["before"]}
    records = {key(text): twice for text in "abt"}
    (tmp_path / "blames.json").write_text(json.dumps({"format": 1, "records": records}))
    hangs: Life = [*THREAD, ["hub", 1], ["touch", "hangs"], ["wait"]]
    asks: Life = [["beat"], ["await", "hangs"], ["sleep", 0.5], *[["ask", row, "abt"[row - 1]] for row in (1, 2, 3)]]
    last: Life = [["beat"], ["wait"]]
    with witness(tmp_path, hangs, [*asks, ["answered", 3]], last, processes=2, timeouts={"heartbeat": 1.5}) as launcher:
        first, *others = answers(tmp_path, 3)
        assert first == [2, ""], "it waited beside, and may start"
        assert [row for row, reason in others if "; had the hub" in reason or "; ran in a native" in reason] == [1, 3]
        assert reasons(launcher.wait_for("death")) == {"a": HUB, "t": OFFLOADED}


def test_a_message_over_its_hard_time_limit_is_blamed(tmp_path: Path) -> None:
    late: Life = [["beat"], ["begin", 1, "a", 0.3], ["begin", 2, "b", 60.0], ["begin", 3, "c"], IDLE, ["wait"]]
    with witness(tmp_path, late, WAIT, timeouts={"stack_dump": 0.1}) as launcher:
        launcher.wait_for("overdue")
        event = launcher.wait_for("death")
        assert reasons(event) == {"a": "ran longer than its hard time limit"}
        assert event["kind"] == "overdue"
        assert "Current thread" in launcher.log() or "most recent call first" in launcher.log()
        assert launcher.wait_for("restarting")["seconds"] == 0


def test_a_message_over_the_hard_memory_limit_is_blamed(tmp_path: Path) -> None:
    eater: Life = [["begin", 1, "a"], ["begin", 2, "b"], ["hub", 2], ["eat", 300]]
    with witness(tmp_path, eater, WAIT, hard_memory=200 << 20) as launcher:
        event = launcher.wait_for("death")
        assert (event["kind"], reasons(event)) == ("memory", {"b": HUB})
        launcher.wait_for("ready", 2)


def test_a_message_that_hangs_its_process_is_blamed(tmp_path: Path) -> None:
    with witness(
        tmp_path, [*TWO, ["hub", 1], ["wait"]], WAIT, timeouts={"heartbeat": 0.5, "stack_dump": 0.2}
    ) as launcher:
        event = launcher.wait_for("death")
        assert (event["kind"], reasons(event)) == ("hung", {"a": HUB})


def test_a_state_folder_that_others_may_write_to_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "w.ini").write_text("[broker]\nurl = memory\n[consumer:a]\nqueue = a\ncallback = a:b\n")
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o777)
    command = [sys.executable, "-m", "kombu_green.cli", "-c", "w.ini", "--set", f"worker.state={folder}"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert done.stderr == (
        f"kombu-worker: --set worker.state: [worker] state: the folder for what outlives a restart, {folder}, cannot be"
        f" used: others may write to {folder}; name another one here\n"
    )


def waits(launcher: Launched) -> list[float]:
    """The waits before restarts, in seconds."""
    launcher.catch_up()
    return [event["seconds"] for event in launcher.events if event.get("event") == "restarting"]


def test_beyond_the_restart_budget_of_a_queue_restarts_wait(tmp_path: Path) -> None:
    dies: Life = [["begin", 1, "a"], ["hub", 1], ["exit", 3]]
    two, many = ([["begin", 2, "b", 0.0, False, turns], *dies] for turns in (2, BUDGET + 3))
    lives: list[Life] = [*[dies] * BUDGET, two, *[dies] * 3, many, WAIT]
    with witness(tmp_path, *lives, backoff={"first": 0.05, "ceiling": 0.4}) as launcher:
        launcher.wait_for("ready", len(lives))
        *at_once, third, fourth, last = waits(launcher)
        assert at_once == [0.0] * (BUDGET + 2), "two were handled meanwhile"
        assert 0.025 <= third <= 0.05 <= fourth <= 0.1
        assert last == 0, "all others were handled since"
        slowing = launcher.wait_for("slowing")
        assert slowing["queue"] == "jobs"
        assert [event for event in launcher.events if event.get("event") == "slowing"] == [slowing]


EVERY_MESSAGE_KILLS = """\
[worker]
path = .
state = state
processes = 2
concurrency = 2
[broker]
url = sqla+sqlite:///{folder}/broker.db
lease = 200ms
[consumer:jobs]
queue = jobs
callback = deploy:handle
[logging]
format = json
"""


def test_a_broken_deploy_does_not_have_its_whole_queue_parked_at_once(tmp_path: Path) -> None:
    (tmp_path / "w.ini").write_text(EVERY_MESSAGE_KILLS.format(folder=tmp_path))
    (tmp_path / "deploy.py").write_text("import os\n\n\ndef handle(body, message):\n    os._exit(3)\n")
    published = 40
    command = [sys.executable, "-m", "kombu_green.cli", "-c", "w.ini"]
    with Connection(f"sqla+sqlite:///{tmp_path}/broker.db") as connection:
        producer, queues = Producer(connection), [Queue(name) for name in ("jobs", "jobs.dead")]
        for queue in queues:
            producer.maybe_declare(queue)
        for number in range(published):
            producer.publish(number, routing_key="jobs")
        with Launched(command, {}, tmp_path) as launcher:
            for deaths in range(1, BUDGET + 1):  # each needs a process that starts first
                launcher.wait_for("restarting", deaths)
            launcher.wait_for("slowing", queue="jobs")
            launcher.signal(signal.SIGTERM)
            launcher.exit_code()
            found = waits(launcher)

        def there() -> list[int]:
            channel = connection.default_channel
            return [queue.bind(channel).queue_declare(passive=True)[1] for queue in queues]

        until(lambda: sum(there()) == published, "all of them are there, once the last lease has ended")
        assert there()[1] <= (BUDGET + 3) // 3, "three deaths for each, with two processes"
    assert found[:BUDGET] == [0.0] * BUDGET
    assert all(0.5 <= seconds <= 30 for seconds in found[BUDGET:])
