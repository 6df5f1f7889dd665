"""``kombu-worker dead`` on brokers shared by processes: no message is lost, and the order stays."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from kombu_green import Connection, Queue
from kombu_green.dispatch.outcome import Failure
from kombu_green.message import Content, Message
from kombu_green.republish import dead_letter
from tests.support.launcher import PATIENCE, ROOT, Launched, until
from tests.support.rabbitmq import RabbitMQ

INI = """\
[worker]
path = .
[broker]
url = {url}
lease = 1s
[consumer:jobs]
queue = {queue}
callback = application:handle
retry = twice
[retry:twice]
attempts = 2
backoff = 10ms..10ms
jitter = no
[logging]
format = json
"""

APPLICATION = """\
import json, os

def handle(body, message):
    seen = {name: value for name, value in message.headers.items() if "traceback" not in name}
    with open("seen", "a") as file:
        file.write(json.dumps([body, seen, message.delivery_info["routing_key"]]) + "\\n")
    if os.path.exists("broken"):
        raise ValueError("still broken")
"""


@dataclass(frozen=True)
class Yard:
    """A queue with its dead letters on a broker of its own."""

    folder: Path
    url: str
    queue: str

    def dead_letter(self, bodies: Iterable[int], reason: str = "out of memory") -> None:
        with Connection(self.url) as connection:
            channel = connection.channel()
            queue = Queue(self.queue).bind(channel)
            queue.declare()
            for n in bodies:
                properties = {"message_id": f"m{n}", "delivery_mode": 2}
                content = Content(json.dumps(n).encode(), "application/json", "utf-8", {"customer": n}, properties)
                channel.basic_publish(content, "", self.queue)
                message = queue.get()
                assert message is not None
                failure = Failure("ValueError", reason, "Traceback ...")
                dead_letter(channel, message, self.queue, reason=reason, failure=failure)
                message.ack()

    def lying(self, name: str | None = None) -> list[int]:
        """The bodies in the dead queue, or in *name*, in order; they stay there."""
        with Connection(self.url) as connection:
            queue = Queue(name or f"{self.queue}.dead").bind(connection.channel())
            return [message.payload for message in iter(queue.get, None) if isinstance(message, Message)]

    def command(self, action: str, *more: str) -> list[str]:
        verb = [sys.executable, "-m", "kombu_green.cli", "dead", action, "-c", "w.ini", self.queue]
        return [*verb, *more]

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}

    def run(self, action: str, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(action, *more),
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(params=["sqlite", "rabbitmq"])
def yard(request: pytest.FixtureRequest, tmp_path: Path) -> Yard:
    queue = f"jobs-{uuid.uuid4().hex[:8]}"
    url = f"sqla+sqlite:///{tmp_path / 'w.db'}"
    if request.param == "rabbitmq":
        url = request.getfixturevalue("rabbitmq").url
    (tmp_path / "w.ini").write_text(INI.format(url=url, queue=queue))
    (tmp_path / "application.py").write_text(APPLICATION)
    return Yard(tmp_path, url, queue)


class Terminal:
    """A command with a terminal as its input and output."""

    def __init__(self, yard: Yard, command: Sequence[str]) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command, cwd=yard.folder, env=yard.environ, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        self.said = ""

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.said:
            assert time.monotonic() < deadline, self.said
            if select.select([self._ours], [], [], 0.1)[0]:
                self.said += os.read(self._ours, 65536).decode()

    def answer(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> int:
        try:
            while piece := os.read(self._ours, 65536):
                self.said += piece.decode()
        except OSError:  # on Linux, when nobody has the terminal any more
            pass
        os.close(self._ours)
        return self.process.wait(PATIENCE)


def test_ls_and_show_change_nothing(yard: Yard) -> None:
    yard.dead_letter(range(5))
    for _ in range(2):
        listed = yard.run("ls")
        assert listed.returncode == 0
        assert [line.split("  ")[4] for line in listed.stdout.splitlines()] == [f"id=m{n}" for n in range(5)]
        assert listed.stderr == f"5 of 5 dead letters in {yard.queue}.dead\n"
    shown = [json.loads(line) for line in yard.run("show", "--json", "--where", "id=m[13]").stdout.splitlines()]
    assert [(one["number"], one["body"], one["headers"]["customer"]) for one in shown] == [(2, 1, 1), (4, 3, 3)]
    assert yard.lying() == list(range(5))


def test_a_retried_dead_letter_keeps_its_history_also_when_it_fails_again(yard: Yard) -> None:
    yard.dead_letter(range(3))
    (yard.folder / "broken").touch()
    done = yard.run("retry", "--where", "header.customer=1")
    assert (done.returncode, done.stdout) == (0, f"retried 1 dead letter of {yard.queue}.dead\n")
    assert yard.lying() == [0, 2]
    assert yard.lying(yard.queue) == [1]
    command = [sys.executable, "-m", "kombu_green.cli", "-c", "w.ini"]
    with Launched(command, {}, yard.folder) as launched:
        launched.wait_for("ready")
        until(lambda: yard.run("ls", "--where", "id=m1").stdout != "", "it is dead again")
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0
    lines = [json.loads(line) for line in (yard.folder / "seen").read_text().splitlines()]
    assert [line[1]["x-kombu-green-attempts"] for line in lines] == [0, 1]  # the policy began anew: two attempts
    for _, headers, _ in lines:
        assert headers["x-kombu-green-returned"] == 1
        assert "out of memory; returned" in headers["x-kombu-green-earlier"]
    again = json.loads(yard.run("show", "--json", "--where", "id=m1").stdout)
    assert (again["attempts"], again["earlier_attempts"], again["returned"]) == (2, 1, 1)
    assert again["message"] == "still broken"
    assert again["number"] == 3


def test_dead_letters_are_retried_in_order(yard: Yard) -> None:
    yard.dead_letter(range(10))
    assert (
        yard.run("retry", "--json").stdout
        == json.dumps({"queue": f"{yard.queue}.dead", "retried": 10, "failed": {}}) + "\n"
    )
    assert (yard.lying(), yard.lying(yard.queue)) == ([], list(range(10)))


def test_a_dead_letter_that_cannot_be_returned_stays(yard: Yard) -> None:
    yard.dead_letter(range(3))
    with Connection(yard.url) as connection:
        Queue(yard.queue).bind(connection.channel()).delete()
    done = yard.run("retry")
    assert done.returncode == 1
    assert done.stdout == f"retried 0 dead letters of {yard.queue}.dead\n"
    assert done.stderr == (
        "kombu-worker: 3 not retried: no queue takes a message published to exchange '' with routing key"
        f" '{yard.queue}'\n"
    )
    assert yard.lying() == [0, 1, 2]


def test_drop_asks_on_a_terminal_and_refuses_without_one(yard: Yard) -> None:
    yard.dead_letter(range(4))
    refused = yard.run("drop")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "kombu-worker: drop asks on a terminal, and standard input is none: say --yes\n"
    for answer, code, left in (("n", 0, [0, 1, 2, 3]), ("y", 0, [2, 3])):
        terminal = Terminal(yard, yard.command("drop", "--limit", "2"))
        terminal.wait_for(f"drop 2 of 2 dead letters of {yard.queue}.dead? [y/N]")
        terminal.answer(f"{answer}\n")
        assert terminal.end() == code
        assert yard.lying() == left
    assert yard.run("drop", "--yes", "--where", "id=m3").stdout == f"dropped 1 dead letter of {yard.queue}.dead\n"
    assert yard.lying() == [2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_the_command_ends_the_dead_letters_are_in_their_old_order(yard: Yard, number: signal.Signals) -> None:
    yard.dead_letter(range(5))
    terminal = Terminal(yard, yard.command("drop"))
    terminal.wait_for("[y/N]")
    assert yard.lying() == []  # all are held
    terminal.process.send_signal(number)
    assert terminal.end() == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    assert "Traceback" not in terminal.said
    until(lambda: yard.lying() == list(range(5)), "they are back")


def test_an_interrupted_retry_neither_loses_nor_duplicates(yard: Yard) -> None:
    yard.dead_letter(range(200))
    with subprocess.Popen(
        yard.command("retry"),
        cwd=yard.folder,
        env=yard.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        with Connection(yard.url) as connection:
            queue = Queue(yard.queue).bind(connection.channel())
            until(lambda: queue.queue_declare(passive=True)[1] > 0, "the first is back")
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=PATIENCE)
    back, dead = yard.lying(yard.queue), yard.lying()
    assert process.returncode == 130
    assert (said, complaints) == (f"retried {len(back)} dead letters of {yard.queue}.dead\n", "")
    assert back + dead == list(range(200))
    assert dead, "it was over before it could be interrupted"


def test_a_killed_retry_loses_nothing(yard: Yard) -> None:
    yard.dead_letter(range(200))
    with subprocess.Popen(
        yard.command("retry"), cwd=yard.folder, env=yard.environ, stdin=subprocess.DEVNULL
    ) as process:
        with Connection(yard.url) as connection:
            queue = Queue(yard.queue).bind(connection.channel())
            until(lambda: queue.queue_declare(passive=True)[1] > 20, "some are back")
        process.kill()
    back = yard.lying(yard.queue)
    assert back == list(range(len(back)))
    assert len(back) < 200, "it was over before it could be killed"
    # twice are those that were published, and whose acks had not been sent or were not written yet
    until(lambda: {*back, *yard.lying()} == set(range(200)), "all are there")
    assert len(yard.lying()) <= 200 - len(back) + 64


def test_ls_warns_that_a_quorum_queue_counts_deliveries(rabbitmq: RabbitMQ, tmp_path: Path) -> None:
    queue = f"jobs-{uuid.uuid4().hex[:8]}"
    (tmp_path / "w.ini").write_text(INI.format(url=rabbitmq.url, queue=queue))
    yard = Yard(tmp_path, rabbitmq.url, queue)
    with Connection(rabbitmq.url) as connection:
        dead = Queue(f"{queue}.dead", queue_arguments={"x-queue-type": "quorum"}).bind(connection.channel())
        dead.declare()
        dead.channel.basic_publish(Content(b"1", "application/json", "utf-8", {}), "", dead.name)
    assert yard.run("ls").stderr == f"1 of 1 dead letter in {queue}.dead\n"
    for _ in range(10):
        assert yard.lying() == [1]
    assert "each look counts as a delivery" in yard.run("ls").stderr


def test_dead_letters_held_by_another_consumer_are_left_alone(yard: Yard) -> None:
    yard.dead_letter(range(3))
    with Connection(yard.url) as connection:
        held = Queue(f"{yard.queue}.dead").bind(connection.channel()).get()
        assert held is not None
        assert yard.run("retry").stdout == f"retried 2 dead letters of {yard.queue}.dead\n"
        held.requeue()
    assert yard.lying() == [0]


def test_a_mistake_is_one_line(yard: Yard) -> None:
    def complaint(*more: str, action: str = "ls") -> tuple[int, str]:
        done = yard.run(action, *more)
        assert done.stdout == ""
        return done.returncode, done.stderr.splitlines()[-1]

    assert yard.run("ls").stderr == f"nothing was dead-lettered from {yard.queue} yet\n"
    code, said = complaint("--where", "colour=red")
    assert code == 2
    assert said.startswith(
        "kombu-worker dead ls: error: argument --where: 'colour=red': there is no field 'colour'; there"
    )
    assert complaint("--set", "broker.url=memory://here")[0] == 78
    assert complaint("--limit", "0")[0] == 2
    assert complaint(action="eat")[0] == 2
    code, said = complaint("--set", "broker.url=amqp://127.0.0.1:1//")
    assert (code, said[:28]) == (1, "kombu-worker: ConnectionLost")
    other = subprocess.run(
        [sys.executable, "-m", "kombu_green.cli", "dead", "ls", "-c", "w.ini", yard.queue[:-1]],
        cwd=yard.folder,
        env=yard.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert other.returncode == 1
    assert other.stderr == (
        f"kombu-worker: there is no queue '{yard.queue[:-1]}.dead', and w.ini knows none that it would belong to;"
        f" did you mean '{yard.queue}'?\n"
    )
