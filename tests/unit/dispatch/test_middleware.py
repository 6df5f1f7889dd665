"""Hooks are called in the order of an onion's layers, and what they raise is contained."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kombu_green.dispatch.middleware import HOOKS, Middleware, MiddlewareStack
from kombu_green.dispatch.outcome import Ack, Drop, Retry, Verdict


@dataclass
class Body:
    payload: object = "body"


class Spy(Middleware):
    """Writes down every hook that is called, and does what it is told in one of them."""

    def __init__(self, name: str, calls: list[str], answer: object = None, raising: str = "") -> None:
        self.name, self.calls, self.answer, self.raising = name, calls, answer, raising

    def _note(self, hook: str) -> None:
        self.calls.append(f"{hook} {self.name}")
        if hook == self.raising:
            raise LookupError(hook)

    def received(self, message: Any) -> None:
        self._note("received")

    def before(self, message: Any) -> Any:
        self._note("before")
        return self.answer

    def after(self, message: Any, verdict: Verdict) -> None:
        self._note("after")

    def failed(self, message: Any, error: BaseException, verdict: Verdict) -> None:
        self._note("failed")

    def publishing(self, content: Any, exchange: str, routing_key: str) -> None:
        self._note("publishing")

    def settled(self, message: Any, verdict: Verdict | None) -> None:
        self._note("settled")

    def started(self, worker: Any) -> None:
        self._note("started")

    def stopping(self, worker: Any) -> None:
        self._note("stopping")


class Content:
    headers: dict[str, Any]
    properties: dict[str, Any]


def callback(calls: list[str]) -> Any:
    def attempt(message: Any) -> Verdict:
        calls.append("callback")
        return Ack()

    return attempt


def test_the_first_middleware_is_the_outermost_layer() -> None:
    calls: list[str] = []
    stack = MiddlewareStack([Spy("A", calls), Spy("B", calls)])
    assert stack.around_attempt(callback(calls))(Body()) == Ack()
    assert calls == ["before A", "before B", "callback", "after B", "after A"]


def test_every_other_hook_is_called_inwards_at_the_beginning_and_outwards_at_the_end() -> None:
    calls: list[str] = []
    stack = MiddlewareStack([Spy("A", calls), Spy("B", calls)])
    stack.started(None)
    stack.around_dispatch(lambda message: None)(Body())
    stack.failed(Body(), ValueError(), Ack())
    stack.publishing(Content(), "", "q")
    assert stack.around_settlement(lambda message, verdict: verdict)(Body(), Ack()) == Ack()
    stack.stopping(None)
    assert [call.split()[1] for call in calls] == ["A", "B"] * 2 + ["B", "A"] * 4
    assert {call.split()[0] for call in calls} | {"before", "after"} == set(HOOKS)


@pytest.mark.parametrize(("answer", "verdict"), [(Drop("no"), Drop("no")), (Retry, Retry())])
def test_a_verdict_of_before_ends_the_way_in(answer: object, verdict: Verdict) -> None:
    calls: list[str] = []
    stack = MiddlewareStack([Spy("A", calls), Spy("B", calls, answer), Spy("C", calls)])
    assert stack.around_attempt(callback(calls))(Body()) == verdict
    assert calls == ["before A", "before B", "after A"]


def test_anything_else_that_before_returns_is_an_error_which_says_so() -> None:
    stack = MiddlewareStack([Spy("A", [], "yes")])
    with pytest.raises(TypeError, match=r"Spy\.before returned 'yes'"):
        stack.around_attempt(callback([]))(Body())


@pytest.mark.parametrize("hook", ["before", "after"])
def test_what_before_and_after_raise_is_the_attempts_failure(hook: str) -> None:
    calls: list[str] = []
    attempt = MiddlewareStack([Spy("A", calls, raising=hook), Spy("B", calls)]).around_attempt(callback(calls))
    with pytest.raises(LookupError):
        attempt(Body())


@pytest.mark.parametrize("hook", sorted(set(HOOKS) - {"before", "after"}))
def test_what_another_hook_raises_is_logged_and_the_next_one_is_called(
    hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []
    stack = MiddlewareStack([Spy("A", calls, raising=hook), Spy("B", calls, raising=hook)])
    match hook:
        case "received":
            stack.around_dispatch(lambda message: None)(Body())
        case "settled":
            assert stack.around_settlement(lambda message, verdict: verdict)(Body(), Ack()) == Ack()
        case "failed":
            stack.failed(Body(), ValueError(), Ack())
        case "publishing":
            stack.publishing(Content(), "", "q")
        case _:
            getattr(stack, hook)(None)
    assert len(calls) == 2
    assert [f"middleware: Spy.{hook} raised" in text for text in caplog.messages] == [True, True]


class Killed(BaseException):
    """As the worker's own, which kills a slot."""


def test_what_kills_a_greenlet_is_not_caught() -> None:
    class Dies(Middleware):
        def received(self, message: Any) -> None:
            raise Killed

    with pytest.raises(Killed):
        MiddlewareStack([Dies()], not_caught=(Killed,)).around_dispatch(lambda message: None)(Body())


def test_the_guide_has_a_row_for_each_hook() -> None:
    page = (Path(__file__).parents[3] / "docs" / "guides" / "middleware.rst").read_text()
    assert tuple(re.findall(r"^``(\w+)``  ", page, re.MULTILINE)) == HOOKS


def test_a_body_that_cannot_be_decoded_never_comes_to_before() -> None:
    class Malformed:
        @property
        def payload(self) -> object:
            raise LookupError("malformed")

    calls: list[str] = []
    with pytest.raises(LookupError, match="malformed"):
        MiddlewareStack([Spy("A", calls)]).around_attempt(callback(calls))(Malformed())
    assert calls == []


def test_hooks_that_are_not_written_add_nothing() -> None:
    class Quiet(Middleware):
        def stopping(self, worker: Any) -> None: ...

    stack, attempt = MiddlewareStack([Quiet]), callback([])
    assert stack.around_attempt(attempt) is attempt
    assert stack.around_dispatch(print) is print
    settle = lambda message, verdict: verdict  # noqa: E731
    assert stack.around_settlement(settle) is settle
    assert not stack.publishes


class NoHooks(Middleware):
    pass


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (object(), "is no middleware: subclass kombu_green.dispatch.middleware.Middleware"),
        (print, "is no middleware"),
        (NoHooks, "NoHooks has no hook: write at least one of received, before, after"),
    ],
)
def test_what_is_no_middleware_is_refused_with_what_to_do(member: object, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        MiddlewareStack([member])
