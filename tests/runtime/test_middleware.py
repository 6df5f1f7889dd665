"""Middleware in a real worker, on every broker: every hook, every verdict, and hooks that raise."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import gevent
import pytest

from kombu_green.dispatch.middleware import Middleware
from kombu_green.dispatch.outcome import Ack, DeadLetter, Drop, Requeue, Retry, Verdict
from kombu_green.message import Content
from tests.support.yard import PATIENCE, Yard


class Witness(Middleware):
    """Counts its hooks and keeps the verdicts; raises in *raising*, as often as *times* says."""

    def __init__(self, raising: str = "", times: int = 1) -> None:
        self.calls: list[str] = []
        self.verdicts: list[Verdict | None] = []
        self._raising = raising
        self._times = times

    def _note(self, hook: str) -> None:
        self.calls.append(hook)
        if hook == self._raising and self._times:
            self._times -= 1
            raise LookupError(f"middleware failed in {hook}")

    def received(self, message: Any) -> None:
        self._note("received")

    def before(self, message: Any) -> None:
        self._note("before")

    def after(self, message: Any, verdict: Verdict) -> None:
        self._note("after")

    def failed(self, message: Any, error: BaseException, verdict: Verdict) -> None:
        self._note("failed")

    def publishing(self, content: Any, exchange: str, routing_key: str) -> None:
        content.headers["seen-by"] = "witness"
        self._note("publishing")

    def settled(self, message: Any, verdict: Verdict | None) -> None:
        self.verdicts.append(verdict)
        self._note("settled")


def wait_settled(witness: Witness, count: int) -> None:
    with gevent.Timeout(PATIENCE):
        while len(witness.verdicts) < count:
            gevent.sleep(0.001)


ONCE = ["received", "before", "after", "settled"]
PUBLISHED = ["received", "before", "after", "publishing", "settled"]
FAILED = ["received", "before", "failed", "publishing", "settled"]

#: what a callback does, the hooks that are called for it, and the verdicts that ``settled`` gets
TABLE: dict[str, tuple[list[object], list[str], list[type[Any]]]] = {
    "returns nothing": ([None], ONCE, [Ack]),
    "Ack": ([Ack()], ONCE, [Ack]),
    "Retry": ([Retry(), None], PUBLISHED + ONCE, [Retry, Ack]),
    "Requeue": ([Requeue(), None], ONCE + ONCE, [Requeue, Ack]),
    "DeadLetter": ([DeadLetter("bad")], PUBLISHED, [DeadLetter]),
    "Drop": ([Drop("no use")], ONCE, [Drop]),
    "raises once": ([ValueError("once"), None], FAILED + ONCE, [Retry, Ack]),
    "raises always": ([ValueError("one"), ValueError("two")], FAILED + FAILED, [Retry, DeadLetter]),
}


@pytest.mark.parametrize("ack", ["late", "early"])
@pytest.mark.parametrize("case", TABLE)
def test_which_hooks_are_called_for_each_outcome(yard: Yard, case: str, ack: str) -> None:
    results, calls, verdicts = TABLE[case]
    yard.results, witness = list(results), Witness()
    if ack == "early" and case == "Requeue":  # an acked message goes back by being published
        calls = PUBLISHED + ONCE
    with yard.consuming(witness, ack=ack):
        yard.publish()
        wait_settled(witness, len(verdicts))
    assert witness.calls == calls
    assert [type(verdict) for verdict in witness.verdicts] == verdicts
    assert yard.left() == []
    dead = yard.left(".dead")
    assert len(dead) == (verdicts[-1] is DeadLetter)
    assert all(headers["seen-by"] == "witness" for headers in dead)


@pytest.mark.parametrize("case", TABLE)
@pytest.mark.parametrize("hook", ["received", "failed", "publishing", "settled"])
def test_a_hook_that_raises_changes_nothing(yard: Yard, case: str, hook: str) -> None:
    results, calls, verdicts = TABLE[case]
    yard.results, broken, witness = list(results), Witness(hook, times=100), Witness()
    with yard.consuming(broken, witness):
        yard.publish()
        wait_settled(witness, len(verdicts))
    assert witness.calls == broken.calls == calls
    assert [type(verdict) for verdict in witness.verdicts] == verdicts
    assert yard.left() == []
    assert len(yard.left(".dead")) == (verdicts[-1] is DeadLetter)


@pytest.mark.parametrize("hook", ["before", "after"])
@pytest.mark.parametrize("case", ["returns nothing", "Retry", "Requeue", "DeadLetter", "Drop"])
def test_before_and_after_that_raise_are_failures_of_the_callback(yard: Yard, case: str, hook: str) -> None:
    """The hook makes the first attempt fail, whatever the callback returns; it does not raise at the second."""
    yard.results, broken, witness = [*TABLE[case][0][:1], None], Witness(hook), Witness()
    if hook == "before":
        del yard.results[0]  # it is not called at the first attempt
    with yard.consuming(broken, witness):
        yard.publish()
        wait_settled(witness, 2)
    assert [type(verdict) for verdict in witness.verdicts] == [Retry, Ack]
    assert broken.calls.count("failed") == witness.calls.count("failed") == 1
    assert yard.left() == yard.left(".dead") == []


@pytest.mark.parametrize("hook", ["before", "after"])
def test_a_before_or_after_that_always_raises_dead_letters_its_messages(yard: Yard, hook: str) -> None:
    yard.results, broken = [None, None], Witness(hook, times=100)
    with yard.consuming(broken):
        yard.publish()
        wait_settled(broken, 2)
    (headers,) = yard.left(".dead")
    assert f"middleware failed in {hook}" in headers["x-kombu-green-reason"]


VERDICTS = [Ack(), Retry(0.0), Requeue(), DeadLetter("by middleware"), Drop("by middleware")]


class Answers(Middleware):
    """Returns a verdict instead of the callback, once."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict: Verdict | None = verdict

    def before(self, message: Any) -> Verdict | None:
        verdict, self._verdict = self._verdict, None
        return verdict


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: type(verdict).__name__)
def test_a_verdict_of_before_takes_the_place_of_the_callback(yard: Yard, verdict: Verdict) -> None:
    comes_again = isinstance(verdict, Retry | Requeue)
    yard.results, witness = [None] if comes_again else [], Witness()
    with yard.consuming(witness, Answers(verdict)):
        yard.publish()
        wait_settled(witness, 1 + comes_again)
    assert type(witness.verdicts[0]) is type(verdict)
    assert yard.results == []
    assert len(yard.left(".dead")) == isinstance(verdict, DeadLetter)


def test_an_undecodable_message_reaches_failed_and_settled(yard: Yard) -> None:
    witness = Witness()
    with yard.consuming(witness):
        channel = yard.connection.default_channel
        channel.basic_publish(Content(b"{", "application/json", "utf-8"), "", yard.queue)
        wait_settled(witness, 1)
    assert witness.calls == ["received", "failed", "publishing", "settled"]
    assert [type(verdict) for verdict in witness.verdicts] == [DeadLetter]


@pytest.mark.parametrize(("method", "verdict"), [("ack", Ack), ("reject", DeadLetter), ("requeue", Requeue)])
def test_settled_gets_what_the_callback_did_itself(yard: Yard, method: str, verdict: type[Any]) -> None:
    witness = Witness()
    done: list[str] = []

    def settles(body: Any, message: Any) -> None:
        if not done:
            done.append(method)
            getattr(message, method)()

    yard.handle = settles
    with yard.consuming(witness):
        yard.publish()
        wait_settled(witness, 1)
    assert type(witness.verdicts[0]) is verdict


PROGRAM = """
import gevent.monkey
gevent.monkey.patch_all()

import sys
from kombu_green import Worker
from kombu_green.clock import Deadline
from kombu_green.dispatch.middleware import Middleware


class Tells(Middleware):
    def __init__(self, name, fails):
        self.name, self.fails = name, fails

    def started(self, worker):
        print("started", self.name, worker is app, flush=True)
        if self.fails:
            raise LookupError("started")

    def stopping(self, worker):
        print("stopping", self.name, worker is app, worker.running, flush=True)
        if self.fails:
            raise LookupError("stopping")


app = Worker(sys.argv[1], middleware=[Tells("A", True), Tells("B", False)])
app.callback(queue=sys.argv[2])(print)
for _ in range(2):
    app.start()
    assert app.ready.wait(20)
    app.stop(Deadline.after(20))
"""


def test_started_and_stopping_are_called_at_each_start_and_stop(yard: Yard) -> None:
    command = [sys.executable, "-c", PROGRAM, yard.url, yard.queue]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    once = ["started A True", "started B True", "stopping B True False", "stopping A True False"]
    assert done.stdout.splitlines() == once * 2
    assert done.stderr.count("middleware: Tells.started raised") == 2
