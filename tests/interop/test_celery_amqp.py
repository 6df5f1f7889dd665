"""Celery at the other end of a real RabbitMQ: its tasks read by a callback, and ours run by its worker."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kombu_green import Connection, Consumer, Message, Producer, Queue
from tests.processes.launching import until
from tests.servers.rabbitmq import RabbitMQ

WORKER = ["-P", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat"]
PROGRAMS = Path(__file__).with_name("programs")


@pytest.fixture
def tasks() -> str:
    return f"celery-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def environ(rabbitmq: RabbitMQ, tasks: str) -> Mapping[str, str]:
    return {**os.environ, "BROKER": rabbitmq.url, "TASKS": tasks, "PYTHONPATH": str(PROGRAMS)}


@pytest.fixture
def ours(rabbitmq: RabbitMQ, tasks: str) -> Iterator[Connection]:
    with Connection(rabbitmq.url) as connection:
        yield connection
        Queue(tasks)(connection.channel()).delete()


def test_a_task_sent_by_celery_is_read_by_a_callback(ours: Connection, environ: Mapping[str, str], tasks: str) -> None:
    program = "from celery_app import note; print(note.apply_async(('a.txt',), {'words': 'ü'}, countdown=0).id)"
    sent = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    got: list[tuple[Any, Message]] = []

    def callback(body: Any, message: Message) -> None:
        got.append((body, message))
        message.ack()

    # Celery binds its queue to an exchange of the same name
    consumer = Consumer(ours.channel(), Queue(tasks, tasks, tasks), callbacks=[callback])
    consumer.consume()
    ours.drain_events(timeout=20)
    ((body, message),) = got
    args, kwargs, embed = body
    assert (args, kwargs) == (["a.txt"], {"words": "ü"})
    assert set(embed) == {"callbacks", "errbacks", "chain", "chord"}
    assert message.headers["task"] == "shop.note"
    assert message.headers["id"] == message.properties["correlation_id"] == sent.stdout.strip()


@pytest.mark.timeout(180)
def test_a_task_written_by_us_is_run_by_celery(
    ours: Connection, environ: Mapping[str, str], tasks: str, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    identity = str(uuid.uuid4())
    Producer(ours).publish(
        [[str(journal)], {"words": "written by kombu_green"}, {}],
        routing_key=tasks,
        declare=[Queue(tasks, tasks, tasks)],
        headers={"task": "shop.note", "id": identity, "lang": "py", "root_id": identity},
        correlation_id=identity,
    )
    log = tmp_path / "celery.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "celery_app", "worker", *WORKER],
            env=environ,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        until(journal.exists, f"the task has run; Celery said:\n{log.read_text()}", patience=90)
        until(lambda: journal.read_text() == "written by kombu_green\n", "the task has written")
    finally:
        worker.terminate()
        worker.wait(30)
