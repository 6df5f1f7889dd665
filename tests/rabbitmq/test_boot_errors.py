"""What RabbitMQ refuses for good is said with the masked URL and the line of the ini file, run or checked."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kombu_green.connection import Connection
from kombu_green.exceptions import NotFound
from tests.support.rabbitmq import RabbitMQ

ROOT = Path(__file__).parents[2]
BOTH = pytest.mark.parametrize("more", [(), ("--check",)], ids=["run", "check"])

INI = """\
[broker]
url = {url}
[consumer:tasks]
queue = {queue}
callback = shop:handle
"""


@pytest.fixture
def queue(rabbitmq: RabbitMQ) -> Iterator[str]:
    name = uuid.uuid4().hex
    yield name
    with Connection(rabbitmq.url) as connection:
        for each in (name, name + ".dead"):
            with closing(connection.channel()) as channel:
                channel.queue_delete(each)


def worker(folder: Path, ini: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "shop.ini").write_text(ini)
    (folder / "shop.py").write_text("handle = print\n")
    return subprocess.run(
        [sys.executable, "-m", "kombu_green.cli", "-c", "shop.ini", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def at(rabbitmq: RabbitMQ, login: str = "guest:guest", virtual_host: str = "") -> str:
    return f"amqp://{login}@127.0.0.1:{rabbitmq.port}/{virtual_host}"


@BOTH
@pytest.mark.parametrize(("login", "virtual_host"), [("guest:hunter2", ""), ("guest:guest", "no-such")])
def test_a_wrong_password_or_virtual_host(
    rabbitmq: RabbitMQ, tmp_path: Path, login: str, virtual_host: str, more: tuple[str, ...]
) -> None:
    done = worker(tmp_path, INI.format(url=at(rabbitmq, login, virtual_host), queue="tasks"), *more)
    assert done.returncode == 78, done.stderr
    shown = at(rabbitmq, "guest:**", virtual_host)
    assert f"shop.ini:2: [broker] url: {shown}: " in done.stderr
    assert "hunter2" not in done.stderr


@BOTH
@pytest.mark.parametrize(
    ("section", "line"), [("", "shop.ini:4: [consumer:tasks] queue"), ("[queue:{}]", "shop.ini:6")]
)
def test_a_queue_that_exists_with_other_arguments(
    rabbitmq: RabbitMQ, tmp_path: Path, queue: str, section: str, line: str, more: tuple[str, ...]
) -> None:
    with Connection(rabbitmq.url) as connection:
        connection.default_channel.queue_declare(queue, arguments={"x-max-length": 5})
    ini = INI.format(url=at(rabbitmq), queue=queue) + section.format(queue)
    done = worker(tmp_path, ini, *more)
    assert done.returncode == 78, done.stderr
    (said,) = [text for text in done.stderr.splitlines() if line in text]
    assert "x-max-length" in said
    if not more:
        assert at(rabbitmq, "guest:**") in said


def test_a_check_creates_nothing_and_names_a_dead_letter_queue_with_other_arguments(
    rabbitmq: RabbitMQ, tmp_path: Path, queue: str
) -> None:
    with Connection(rabbitmq.url) as connection:
        connection.default_channel.queue_declare(queue + ".dead", arguments={"x-message-ttl": 60_000})
        done = worker(tmp_path, INI.format(url=at(rabbitmq), queue=queue), "--check")
        assert done.returncode == 0, done.stderr
        (said,) = [text for text in done.stdout.splitlines() if text.startswith("dead letters of")]
        assert f"{queue}.dead was declared otherwise" in said
        assert "x-message-ttl" in said
        with closing(connection.channel()) as channel, pytest.raises(NotFound):
            channel.queue_declare(queue, passive=True)
