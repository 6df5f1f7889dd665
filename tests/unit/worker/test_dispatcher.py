"""From a delivery to its verdict: callbacks of every temper."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from kombu_green.connection import Connection
from kombu_green.dispatch.outcome import Drop
from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.dispatch.registry import Registry
from kombu_green.entity import Queue
from kombu_green.green.threads import Threads
from kombu_green.message import Message
from kombu_green.messaging import Producer
from kombu_green.worker.dispatcher import Dispatcher
from kombu_green.worker.settler import Counters, Settler
from kombu_green.worker.slots import SlotStopped
from kombu_green.worker.spec import ConsumerSpec

Callback = Callable[[Any, Message], object]


class Bench:
    """A handler over one callback, and a way to feed it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.registry = Registry()
        self.counters = Counters()
        self.queue = Queue("q")(connection.channel())
        self.queue.declare()

    def run(self, callback: Callback | None, body: Any = "x", **options: Any) -> None:
        if callback is not None:
            self.registry.register(callback, queue="q")
        how = {"policy": RetryPolicy(attempts=1), **options}
        properties = how.pop("properties", {})
        settler = Settler("q", lambda: self.connection.default_channel, self.counters)
        dispatcher = Dispatcher(ConsumerSpec(Queue("q"), **how), self.registry, settler.settle, Threads(1))
        Producer(self.connection.default_channel).publish(body, routing_key="q", **properties)
        message = self.queue.get()
        assert message is not None
        dispatcher.dispatch(message)

    def reason(self) -> str | None:
        """Why the message was dead-lettered, if it was."""
        dead = Queue("q.dead")(self.connection.channel())
        dead.declare()
        message = dead.get()
        return None if message is None else str(message.headers["x-kombu-green-reason"])


@pytest.fixture
def bench(connection: Connection) -> Bench:
    return Bench(connection)


def test_the_callback_gets_body_and_message(bench: Bench) -> None:
    got: list[tuple[Any, Message]] = []
    bench.run(lambda body, message: got.append((body, message)), body={"a": 1})
    ((body, message),) = got
    assert body == {"a": 1}
    assert message.acknowledged
    assert bench.counters.handled == 1


def test_without_a_callback_it_is_buried(bench: Bench) -> None:
    bench.run(None)
    assert bench.reason() == "no callback takes it"


@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(3), MemoryError(), gevent.Timeout(1)])
def test_whatever_it_raises_is_judged_by_the_policy(bench: Bench, error: BaseException) -> None:
    def fails(body: Any, message: Message) -> None:
        raise error

    bench.run(fails)
    assert type(error).__name__ in str(bench.reason())


@pytest.mark.parametrize("kill", [SlotStopped, gevent.GreenletExit])
def test_only_a_kill_of_the_worker_itself_is_no_failure(bench: Bench, kill: type[BaseException]) -> None:
    started = gevent.event.Event()

    def waits(body: Any, message: Message) -> None:
        started.set()
        gevent.sleep(60)

    running = gevent.spawn(bench.run, waits)
    assert started.wait(10)
    running.kill(kill, timeout=10)
    assert running.dead, "else the one that kills it would wait for ever"
    reason = bench.reason()
    if kill is SlotStopped:
        assert reason is None
        assert bench.counters == Counters()
    else:
        assert "GreenletExit" in str(reason)


def test_undecodable_is_buried_at_once_whatever_the_policy(bench: Bench) -> None:
    bench.run(lambda body, message: None, b"{", properties={"content_type": "application/json"})
    bench_reason = bench.reason()
    assert bench_reason is not None
    assert "JSON" in bench_reason


def test_what_is_not_accepted_is_buried(bench: Bench) -> None:
    properties = {"content_type": "application/x-python-serialize", "content_encoding": "binary"}
    bench.run(lambda body, message: None, b"cos\nsystem\n.", policy=RetryPolicy(), properties=properties)
    assert "application/x-python-serialize" in str(bench.reason())


def test_verdicts_are_carried_out(bench: Bench) -> None:
    bench.run(lambda body, message: Drop("no use"))
    assert bench.counters.dropped == 1


def test_a_callback_that_outstays_its_time_is_interrupted(bench: Bench) -> None:
    bench.run(lambda body, message: gevent.sleep(60), time_limit=0.02)
    assert "TimeLimitExceeded" in str(bench.reason())


def test_an_offloaded_callback_runs_in_another_thread_and_the_hub_turns(bench: Bench) -> None:
    here = threading.get_ident()
    seen: list[int] = []
    release = threading.Event()

    def burns(body: Any, message: Message) -> None:
        seen.append(threading.get_ident())
        release.wait(10)

    # would hang if the hub did not turn while the callback blocks its thread
    gevent.spawn_later(0.01, release.set)
    bench.run(burns, offload=True)
    assert seen != [here]
    assert bench.counters.handled == 1
