"""Hooks around a message: what an application adds to every callback, such as timing, tracing and error reports.

Subclass :class:`Middleware`, write the hooks that are needed, and name it in ``[worker] middleware`` or pass it to
``Worker(middleware=[…])``.  Several middlewares surround the callback like the layers of an onion: of ``[A, B]``, A is
called before B on the way in (``received``, ``before``, ``started``) and after B on the way out::

    received A, received B
        decode the body
            before A, before B
                the callback
            after B, after A             or, when one of these steps raised:  failed B, failed A
        publishing B, publishing A       if the verdict publishes something
        the verdict is carried out
    settled B, settled A

A hook that no middleware has written costs nothing: it is not called at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from kombu_green.dispatch.outcome import VERDICTS, Verdict

__all__ = ["HOOKS", "Attempt", "Middleware", "MiddlewareStack", "Outgoing"]

log = logging.getLogger(__name__)

#: one attempt at a message: calls its callback and returns the verdict; what fails is raised
Attempt = Callable[[Any], Verdict]


class Outgoing(Protocol):
    """What is about to be published; a hook may change its headers."""

    headers: dict[str, Any]
    properties: dict[str, Any]


class Middleware:
    """A middleware; each hook does nothing until a subclass overrides it.

    ``received``, ``before``, ``after``, ``failed``, ``publishing`` and ``settled`` run in the greenlet of the slot that
    handles the message, also when the callback is offloaded to a native thread.  Slots run concurrently, so what a
    middleware keeps for one message is kept by message.  A hook may wait; its slot waits with it.

    An exception in ``before`` or ``after`` counts as a failure of the callback and follows the retry policy.  In every
    other hook it is logged and changes nothing.
    """

    def received(self, message: Any) -> None:
        """A slot has taken *message*; its body is not decoded yet."""

    def before(self, message: Any) -> Verdict | None:
        """The callback is about to be called; ``message.payload`` is its body.

        A verdict that is returned is the outcome: neither the callback nor the middlewares further in are called.
        """

    def after(self, message: Any, verdict: Verdict) -> None:
        """The callback, or a middleware further in, has returned *verdict*, which is not carried out yet."""

    def failed(self, message: Any, error: BaseException, verdict: Verdict) -> None:
        """The attempt raised *error*, and *verdict* is what the retry policy makes of it.

        Called for every failure: of the callback, of decoding, of a time limit, and of ``before`` and ``after``.  So
        ``before`` of this middleware may not have been called.
        """

    def publishing(self, content: Outgoing, exchange: str, routing_key: str) -> None:
        """The worker is about to publish *content*: a retry, a dead letter or a reply.

        Changes to ``content.headers`` are published.  What a callback publishes by itself does not come here.
        """

    def settled(self, message: Any, verdict: Verdict | None) -> None:
        """The message is settled as *verdict* says.

        None: it could not be settled, because the connection or the lease was lost.  The broker delivers it again.
        """

    def started(self, worker: Any) -> None:
        """The consumers of *worker* have been started; runs in the greenlet that starts the worker."""

    def stopping(self, worker: Any) -> None:
        """*worker* begins to stop: it still finishes what runs.  Runs in the greenlet that stops the worker."""


#: the names of all hooks
HOOKS: Final = ("received", "before", "after", "failed", "publishing", "settled", "started", "stopping")


class MiddlewareStack:
    """The middlewares of one worker, outermost first.  Raises ``TypeError`` for what is no middleware.

    Exceptions of the types *not_caught* pass through every hook: they kill the greenlet that runs it.
    """

    def __init__(self, members: Sequence[object] = (), *, not_caught: tuple[type[BaseException], ...] = ()) -> None:
        self.members: Final = tuple(map(_checked, members))
        self._not_caught: Final = not_caught
        self._received: Final = self._written("received")
        self._failed: Final = self._written("failed")[::-1]
        self._publishing: Final = self._written("publishing")[::-1]
        self._settled: Final = self._written("settled")[::-1]

    @property
    def publishes(self) -> bool:
        """Whether some middleware wants to see what is published."""
        return bool(self._publishing)

    def around_dispatch(self, dispatch: Callable[[Any], None]) -> Callable[[Any], None]:
        """*dispatch* with every ``received`` before it; *dispatch* itself when there is none."""
        if not self._received:
            return dispatch

        def with_received(message: Any) -> None:
            self._call(self._received, message)
            dispatch(message)

        return with_received

    def around_attempt(self, attempt: Attempt) -> Attempt:
        """*attempt* with every ``before`` and ``after`` around it; *attempt* itself when there is none."""
        layers = [member for member in self.members if _overrides(member, "before") or _overrides(member, "after")]
        if not layers:
            return attempt
        for member in reversed(layers):
            attempt = _layer(member, attempt)
        return _decoded_first(attempt)

    def around_settlement(
        self, settle: Callable[[Any, Verdict], Verdict | None]
    ) -> Callable[[Any, Verdict], Verdict | None]:
        """*settle*, which returns what it has carried out, with every ``settled`` after it."""
        if not self._settled:
            return settle

        def with_settled(message: Any, verdict: Verdict) -> Verdict | None:
            done = settle(message, verdict)
            self._call(self._settled, message, done)
            return done

        return with_settled

    def failed(self, message: Any, error: BaseException, verdict: Verdict) -> None:
        self._call(self._failed, message, error, verdict)

    def publishing(self, content: Outgoing, exchange: str, routing_key: str) -> None:
        self._call(self._publishing, content, exchange, routing_key)

    def started(self, worker: object) -> None:
        self._call(self._written("started"), worker)

    def stopping(self, worker: object) -> None:
        self._call(self._written("stopping")[::-1], worker)

    def _written(self, hook: str) -> tuple[Callable[..., object], ...]:
        """The methods named *hook* that a middleware has written, outermost first."""
        return tuple(getattr(member, hook) for member in self.members if _overrides(member, hook))

    def _call(self, hooks: Sequence[Callable[..., object]], *args: Any) -> None:
        for hook in hooks:
            try:
                hook(*args)
            except self._not_caught:
                raise
            except BaseException as error:
                log.error("middleware: %s raised, which changes nothing", _name(hook), exc_info=error)


def _layer(member: Any, attempt: Attempt) -> Attempt:
    before, after = member.before, member.after

    def layer(message: Any) -> Verdict:
        verdict = before(message)
        if verdict is not None:
            return _as_verdict(verdict, before)
        verdict = attempt(message)
        after(message, verdict)
        return verdict

    return layer


def _decoded_first(attempt: Attempt) -> Attempt:
    """What cannot be decoded has failed before any ``before`` is called."""

    def decoded(message: Any) -> Verdict:
        message.payload  # noqa: B018  decoded once and kept
        return attempt(message)

    return decoded


def _as_verdict(answer: object, hook: Callable[..., object]) -> Verdict:
    if isinstance(answer, VERDICTS):
        return answer
    if isinstance(answer, type) and issubclass(answer, VERDICTS):
        return answer()
    raise TypeError(f"{_name(hook)} returned {answer!r}: it returns None, or a verdict, which settles the message")


def _checked(member: object) -> Middleware:
    """*member*, or an instance of it when it is a class."""
    if isinstance(member, type) and issubclass(member, Middleware):
        member = member()
    if not isinstance(member, Middleware):
        raise TypeError(f"{member!r} is no middleware: subclass kombu_green.dispatch.middleware.Middleware")
    if not any(_overrides(member, hook) for hook in HOOKS):
        raise TypeError(f"{type(member).__qualname__} has no hook: write at least one of {', '.join(HOOKS)}")
    return member


def _overrides(member: object, hook: str) -> bool:
    return getattr(type(member), hook) is not getattr(Middleware, hook) or hook in vars(member)


def _name(hook: Callable[..., object]) -> str:
    return getattr(hook, "__qualname__", repr(hook))
