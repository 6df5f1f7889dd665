"""What ``--check`` says of consumers and callbacks."""

from __future__ import annotations

from contextlib import closing

import pytest

from kombu_green.config.problems import ConfigError
from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.entity import Queue
from kombu_green.exceptions import NotFound, UnsupportedOption
from kombu_green.worker.app import Worker


def handle(body: object, message: object) -> None: ...


def said(worker: Worker) -> dict[str, str]:
    return dict(worker.describe())


def test_who_handles_what() -> None:
    worker = Worker(f"memory://{__name__}", concurrency=3)
    worker.callback(queue="video", key="video.*", type="film")(handle)
    worker.consume(Queue("audio"), policy=RetryPolicy(attempts=1, dead_letter=False), offload=True, prefetch=8)
    found = said(worker)
    assert found["consumes video"] == "3 at a time in each process, tried 5 times, then to its dead letters"
    assert found["consumes audio"] == (
        "3 at a time in each process, 8 taken, tried once, in native threads, then dropped"
    )
    assert found["callback"].startswith(f"{__name__}:handle (")
    assert found["callback"].endswith("for queue video, key video.*, type film")


def test_what_exists_with_other_arguments_is_named_and_nothing_is_created() -> None:
    worker = Worker(f"memory://{__name__}-refused")
    worker.callback()(handle)
    worker.consume(Queue("tasks", durable=False))
    worker.consume(Queue("other"))
    with closing(worker.connection.channel()) as channel:
        channel.queue_declare("tasks", durable=True)
        channel.queue_declare("other.dead", durable=False)
    with pytest.raises(ConfigError, match=r"^\[queue:tasks\]: .*durable"):
        worker.describe()
    worker.consume(Queue("tasks"))
    assert "other.dead was declared otherwise, and is used as it is" in said(worker)["dead letters of other"]
    for name in ("other", "tasks.dead"):
        with closing(worker.connection.channel()) as channel, pytest.raises(NotFound):
            channel.queue_declare(name, passive=True)


def test_a_time_limit_and_a_callback_for_everything() -> None:
    worker = Worker(f"memory://{__name__}")
    worker.callback()(handle)
    worker.consume("any", time_limit=2.5)
    found = said(worker)
    assert ", interrupted after 2.5 s, " in found["consumes any"]
    assert found["callback"].endswith(" for every message")


def test_what_is_acked_early_is_told() -> None:
    worker = Worker(f"memory://{__name__}")
    worker.callback()(handle)
    worker.consume("any", ack="early")
    assert ", acked before it begins and lost with its process, " in said(worker)["consumes any"]


def test_what_the_transport_cannot_do_is_refused() -> None:
    worker = Worker(f"memory://{__name__}")
    worker.consume(Queue("q", queue_arguments={"x-single-active-consumer": True}))
    worker.callback()(handle)
    with pytest.raises(UnsupportedOption, match="x-single-active-consumer"):
        worker.describe()
