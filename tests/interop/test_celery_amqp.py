"""Celery and kombu_green exchange messages through RabbitMQ.

A real Celery worker runs tasks that are published here. A real ``kombu-worker`` handles tasks of a Celery application
and replies, so that Celery's ``AsyncResult.get`` returns the result of a callback.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kombu_green.connection import Connection
from kombu_green.entity import Exchange, Queue
from kombu_green.message import Message
from kombu_green.messaging import Consumer, Producer
from tests.support.foreign import ROOT, Foreign
from tests.support.launcher import Launched, until
from tests.support.rabbitmq import RabbitMQ

PATIENCE = 30.0
PROGRAMS = Path(__file__).parents[1] / "support" / "foreign_programs"
EXTENDED = {
    "when": datetime(2026, 1, 31, 12, 30, 1, 250000, UTC),
    "day": date(2026, 2, 28),
    "price": Decimal("12.50"),
    "id": uuid.UUID(int=7),
    "raw": b"\xff\x00",
}

INI = """\
[worker]
path = {programs}
[broker]
url = {url}
[exchange:{media}]
[queue:{media}]
exchange = {media}
routing_key = {media}
[consumer:media]
queue = {media}
callback = media_tasks:handle
retry = soon
[retry:soon]
backoff = 1s..1s
[logging]
format = json
"""


def of_its_own_exchange(name: str) -> Queue:
    """A queue declared like Celery's."""
    return Queue(name, Exchange(name), name)


# -- the two workers and those who send them work


@pytest.fixture(scope="module")
def shop() -> str:
    """The queue of the Celery worker."""
    return f"shop-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def media() -> str:
    """The queue of the kombu_green worker."""
    return f"media-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def environ(rabbitmq: RabbitMQ, shop: str) -> Mapping[str, str]:
    return {"BROKER": rabbitmq.url, "TASKS": shop}


@pytest.fixture(scope="module")
def celery_worker(
    rabbitmq: RabbitMQ, environ: Mapping[str, str], shop: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """A Celery worker of *shop*, which it declares, and of another queue that is declared here first."""
    log = tmp_path_factory.mktemp("celery") / "log"
    options = ["--pool=solo", "--task-events", f"--queues={shop},{ours_first(shop)}"]
    options += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
    with Connection(rabbitmq.url) as connection, log.open("wb") as output:
        of_its_own_exchange(ours_first(shop))(connection.default_channel).declare()
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tests.support.foreign_programs.celery_app", "worker", *options],
            cwd=ROOT,
            env={**os.environ, **environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            queue = Queue(ours_first(shop))(connection.default_channel)

            def consumes() -> bool:
                assert worker.poll() is None, log.read_text()
                return queue.queue_declare(passive=True)[2] > 0

            until(consumes, "Celery's worker consumes", patience=60)
            yield
        finally:
            worker.kill()
            worker.wait(PATIENCE)


def ours_first(shop: str) -> str:
    return f"{shop}-declared-before"


@pytest.fixture(scope="module")
def our_worker(
    rabbitmq: RabbitMQ, environ: Mapping[str, str], media: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Launched]:
    """A kombu_green worker of *media*."""
    folder = tmp_path_factory.mktemp("media")
    ini = folder / "media.ini"
    ini.write_text(INI.format(programs=PROGRAMS, url=rabbitmq.url, media=media))
    with Launched([sys.executable, "-m", "kombu_green.cli", "-c", str(ini)], environ, folder) as launched:
        launched.wait_for("ready")
        yield launched
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0


@pytest.fixture(scope="module")
def celery(environ: Mapping[str, str]) -> Iterator[Foreign]:
    """A Celery application that sends tasks and waits for their results."""
    with Foreign("celery_end", environ=environ) as program:
        yield program


class Sender:
    """Sends tasks with this package's producer, and reads what Celery answers."""

    def __init__(self, connection: Connection, shop: str) -> None:
        self.connection = connection
        self.shop = shop
        self.answers = f"{shop}-answers-{uuid.uuid4().hex[:8]}"
        Queue(self.answers, expires=60)(connection.default_channel).declare()

    def send(
        self,
        task: str,
        *args: Any,
        kwargs: Mapping[str, Any] | None = None,
        embed: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        queue: str | None = None,
        **options: Any,
    ) -> str:
        id = str(uuid.uuid4())
        Producer(self.connection).publish(
            [list(args), dict(kwargs or {}), dict(embed or {})],
            queue or self.shop,
            headers={"task": task, "id": id, "lang": "py", **(headers or {})},
            correlation_id=id,
            reply_to=self.answers,
            mandatory=True,
            **options,
        )
        return id

    def answer(self) -> dict[str, Any]:
        """The next answer."""
        found: list[dict[str, Any]] = []

        def receive(body: dict[str, Any], message: Message) -> None:
            assert message.properties["correlation_id"] == body["task_id"]
            message.ack()
            found.append(body)

        with self.consuming(receive):
            while not found:
                self.connection.drain_events(timeout=PATIENCE)
        return found[0]

    def consuming(self, receive: Any) -> Consumer:
        there = Queue(self.answers, no_declare=True)
        return Consumer(self.connection.channel(), there, auto_declare=False, callbacks=[receive], prefetch_count=1)


@pytest.fixture
def sender(connection: Connection, celery_worker: None, shop: str) -> Sender:
    return Sender(connection, shop)


# -- tasks that Celery sends are handled by callbacks


@pytest.mark.usefixtures("our_worker")
def test_a_celery_task_is_handled_and_answered(celery: Foreign, media: str) -> None:
    id = celery.call("send", task="media.describe", args=["a.jpg", 2**70, None], kwargs={"size": 3}, queue=media)
    found = celery.call("result", id=id)
    args, kwargs, embed = found["body"]
    assert (args, kwargs) == (["a.jpg", 2**70, None], {"size": 3})
    assert embed == {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    assert (found["task"], found["id"], found["root_id"]) == ("media.describe", id, id)


@pytest.mark.usefixtures("our_worker")
@pytest.mark.parametrize("compression", [None, "zlib", "bzip2", "lzma"])
def test_task_arguments_of_extended_types_are_decoded(celery: Foreign, media: str, compression: str | None) -> None:
    id = celery.call(
        "send", task="media.describe", args=[EXTENDED], kwargs=EXTENDED, queue=media, compression=compression
    )
    assert celery.call("result", id=id)["body"][:2] == [[EXTENDED], EXTENDED]


@pytest.mark.usefixtures("our_worker")
def test_task_options_and_headers_reach_the_callback(celery: Foreign, media: str) -> None:
    eta = datetime(2026, 1, 31, 12, tzinfo=UTC)  # what a callback makes of it is its own business
    id = celery.call("send", task="media.describe", queue=media, eta=eta, expires=3600, priority=3, headers={"shop": 7})
    found = celery.call("result", id=id)
    assert found["eta"] == eta.isoformat()
    assert datetime.fromisoformat(found["expires"]) > datetime.now(UTC)
    assert (found["shop"], found["retries"]) == (7, 0)


@pytest.mark.usefixtures("our_worker")
def test_a_failed_task_is_retried_as_the_same_task(celery: Foreign, media: str) -> None:
    id = celery.call("send", task="media.stumble", args=[EXTENDED], queue=media, compression="zlib")
    found = celery.call("result", id=id)
    assert found["attempt"] == 2
    assert found["body"][0] == [EXTENDED]
    assert (found["task"], found["id"]) == ("media.stumble", id)


@pytest.mark.usefixtures("our_worker")
def test_pickled_tasks_are_dead_lettered_and_others_handled(
    celery: Foreign, connection: Connection, media: str
) -> None:
    celery.call("send", task="media.describe", args=["pickled"], queue=media, serializer="pickle")
    id = celery.call("send", task="media.describe", args=["plain"], queue=media)
    assert celery.call("result", id=id)["body"][0] == ["plain"]
    found: list[Message] = []
    with Consumer(connection, Queue(f"{media}.dead"), on_message=found.append):
        connection.drain_events(timeout=PATIENCE)
    (dead,) = found
    dead.ack()
    assert dead.content_type == "application/x-python-serialize"
    assert dead.headers["task"] == "media.describe"


@pytest.mark.usefixtures("our_worker")
def test_a_task_of_protocol_1_has_everything_in_its_body(celery: Foreign, media: str) -> None:
    id = celery.call("send_in_protocol_1", task="media.describe", args=["a.jpg"], queue=media)
    body = celery.call("result", id=id)["body"]
    assert (body["task"], body["id"], body["args"], body["kwargs"]) == ("media.describe", id, ["a.jpg"], {})


def test_a_chain_is_in_the_body(celery: Foreign, connection: Connection, name: str) -> None:
    """A Celery worker would send the next task; a callback finds it in the body."""
    queue = Queue(name)
    seen: list[Any] = []
    with Consumer(connection, queue, callbacks=[lambda body, message: seen.append(body)]):
        celery.call("send_chain", first="media.first", second="media.second", queue=name)
        connection.drain_events(timeout=PATIENCE)
    args, _, embed = seen[0]
    (following,) = embed["chain"]
    assert args == ["one"]
    assert (following["task"], following["args"], following["kwargs"]) == ("media.second", ["two"], {"n": 3})
    assert following["options"]["queue"] == name


@pytest.mark.usefixtures("our_worker")
def test_a_task_sent_by_a_celery_task_is_handled(sender: Sender, media: str) -> None:
    sender.send("shop.ask", media, sender.answers)
    found = sender.answer()
    assert found["status"] == "SUCCESS"
    assert found["result"]["body"][0] == ["from", "a worker"]


# -- tasks that are written here are run by Celery's worker


def test_a_task_written_here_is_run_by_celery(sender: Sender) -> None:
    id = sender.send("shop.add", 2, kwargs={"b": 3})
    answer = sender.answer()
    assert (answer["task_id"], answer["status"], answer["result"]) == (id, "SUCCESS", 5)


@pytest.mark.parametrize("compression", [None, "zlib", "bzip2", "lzma"])
def test_arguments_of_extended_types_arrive_in_celery(sender: Sender, compression: str | None) -> None:
    sender.send("shop.describe", EXTENDED, kwargs=EXTENDED, compression=compression, priority=3)
    assert sender.answer()["result"] == repr(((EXTENDED,), EXTENDED))


def test_celery_can_declare_a_queue_declared_here(sender: Sender) -> None:
    sender.send("shop.add", 2, 3, queue=ours_first(sender.shop))
    assert sender.answer()["result"] == 5


def test_a_queue_declared_by_celery_can_be_declared_here(sender: Sender) -> None:
    of_its_own_exchange(sender.shop)(sender.connection.default_channel).declare()
    Producer(sender.connection, Exchange(sender.shop)).publish({}, routing_key="nowhere")


def test_a_task_that_fails_in_celery_says_so(sender: Sender) -> None:
    sender.send("shop.fail", "no such thing")
    answer = sender.answer()
    assert answer["status"] == "FAILURE"
    assert answer["result"]["exc_type"] == "ValueError"
    assert answer["result"]["exc_message"] == ["no such thing"]


def test_a_task_that_celery_retries_keeps_its_reply_address(sender: Sender) -> None:
    id = sender.send("shop.later")
    assert [sender.answer()["status"] for _ in range(2)] == ["RETRY", "SUCCESS"]
    assert id


def test_an_expired_task_is_not_run(sender: Sender) -> None:
    sender.send("shop.add", 2, 3, headers={"expires": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()})
    assert sender.answer()["status"] == "REVOKED"


@pytest.mark.parametrize("how", ["delay", "eta"])
def test_a_task_with_an_eta_is_run_later(sender: Sender, how: str) -> None:
    due = datetime.now(UTC) + timedelta(seconds=1)
    if how == "delay":
        sender.send("shop.add", 2, 3, delay=1)
    else:
        sender.send("shop.add", 2, 3, headers={"eta": due.isoformat()})
    assert sender.answer()["result"] == 5
    assert datetime.now(UTC) >= due


def test_a_linked_task_is_run_with_the_result(sender: Sender) -> None:
    following = {
        "task": "shop.add",
        "args": [10],
        "kwargs": {},
        "options": {"queue": sender.shop, "reply_to": sender.answers},
        "subtask_type": None,
        "immutable": False,
    }
    sender.send("shop.add", 2, 3, embed={"callbacks": [following]})
    assert sorted(sender.answer()["result"] for _ in range(2)) == [5, 15]


# -- in one running system


def test_a_celery_worker_and_a_kombu_green_consumer_share_a_queue(celery: Foreign, sender: Sender) -> None:
    """Both handle tasks and reply, and Celery's client sees no difference."""
    mine: list[int] = []
    producer = Producer(sender.connection)

    def add(body: Any, message: Message) -> None:
        a, b = body[0]
        id = message.headers["id"]
        said = {"task_id": id, "status": "SUCCESS", "result": a + b, "traceback": None, "children": []}
        producer.publish(said, message.properties["reply_to"], correlation_id=id, mandatory=True)
        message.ack()
        mine.append(a)

    count = 40
    there = Queue(sender.shop, no_declare=True)
    channel = sender.connection.channel()
    with Consumer(channel, there, auto_declare=False, callbacks=[add], prefetch_count=1):
        ids = [celery.call("send", task="shop.add", args=[number, 1], queue=sender.shop) for number in range(count)]
        while Queue(sender.shop)(channel).queue_declare(passive=True)[1] or not mine:
            try:
                sender.connection.drain_events(timeout=0.05)
            except TimeoutError:
                continue
    channel.close()
    assert [celery.call("result", id=id) for id in ids] == [number + 1 for number in range(count)]
    assert 0 < len(mine) < count


def test_events_of_a_celery_worker_can_be_consumed(sender: Sender) -> None:
    channel = sender.connection.channel()
    events = Queue("", Exchange("celeryev", "topic"), "task.#", exclusive=True)
    seen: dict[str, list[str]] = defaultdict(list)

    def receive(body: Any, message: Message) -> None:
        for event in body if isinstance(body, list) else [body]:
            seen[event["uuid"]].append(event["type"])
        message.ack()

    with Consumer(channel, events, callbacks=[receive]):
        id = sender.send("shop.add", 2, 3)
        while "task-succeeded" not in seen[id]:
            sender.connection.drain_events(timeout=PATIENCE)
    assert seen[id] == ["task-received", "task-started", "task-succeeded"]
