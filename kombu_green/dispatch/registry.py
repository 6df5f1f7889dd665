"""Which callback a message belongs to: the most specific of those whose conditions it meets.

Conditions are the queue, the message's ``type`` property, its content type and a pattern for its routing key, in any
combination.  Two callbacks are compared in that order: one that names a queue is more specific than one that does not,
and so on; key patterns are compared by :attr:`~kombu_green.dispatch.key_pattern.KeyPattern.rank`.  Two callbacks that
are equally specific and take the same message are a conflict: :meth:`Registry.conflicts` finds them before any message
comes.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, unwrap
from itertools import combinations
from typing import Any, Final, NamedTuple, Protocol

from kombu_green.dispatch.key_pattern import KeyPattern
from kombu_green.dispatch.policy import RetryPolicy

__all__ = ["Callback", "Conflict", "Incoming", "Registry", "Route", "check_callback"]

#: ``(body, message)``; returns nothing or a verdict
Callback = Callable[[Any, Any], object]


class Incoming(Protocol):
    """What the choice of a callback looks at in a message."""

    @property
    def properties(self) -> Mapping[str, Any]: ...
    @property
    def content_type(self) -> str | None: ...
    @property
    def delivery_info(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Route:
    """A callback, the messages it takes, and how they are handled; None means what the consumer says."""

    function: Callback
    queue: str | None = None
    key: KeyPattern = field(default_factory=KeyPattern)
    type: str | None = None
    content_type: str | None = None
    policy: RetryPolicy | None = None
    time_limit: float | None = None  # seconds
    offload: bool | None = None

    @property
    def rank(self) -> tuple[object, ...]:
        """Sorts the more specific first."""
        return (self.queue is None, self.type is None, self.content_type is None, self.key.rank)

    @property
    def name(self) -> str:
        """Where the callback can be read: ``workers.media:handle (/srv/workers/media.py:10)``."""
        return _described(self.function)

    def takes(self, queue: str, key: str, type: str | None, content_type: str | None) -> bool:
        return (
            self.queue in (None, queue)
            and self.type in (None, type)
            and self.content_type in (None, content_type)
            and self.key.matches(key)
        )


class Conflict(NamedTuple):
    """Two callbacks of which neither comes before the other, and a routing key that both take."""

    first: Route
    second: Route
    key: str

    def __str__(self) -> str:
        named = ("queue", "type", "content_type")
        words = [f"{name} {getattr(self.first, name)!r}" for name in named if getattr(self.first, name) is not None]
        if self.first.key != self.second.key:
            words.append(f"keys {self.first.key.text!r} and {self.second.key.text!r}, for example {self.key!r}")
        elif self.first.key != KeyPattern():
            words.append(f"key {self.first.key.text!r}")
        what = ", ".join(words) or "any message"
        return (
            f"two callbacks take the same messages and neither is more specific ({what}):"
            f" {self.first.name} and {self.second.name}; narrow one of them by queue, type, content type or key"
        )


def check_callback(function: object) -> None:
    """Raises ``TypeError`` for what cannot be called, and for functions of which a call runs nothing."""
    if not callable(function):
        raise TypeError(f"a callback is called with (body, message); {function!r} cannot be called")
    if kind := _runs_nothing(function):
        raise TypeError(
            f"{_described(function)} is {kind}: calling it runs nothing. Callbacks run in greenlets, so write a"
            " plain function (without async and yield) that waits by itself"
        )


class Registry:
    """The callbacks of one worker.  Filled at start, asked for every message."""

    #: answers that are remembered; routing keys may be as many as there are customers
    REMEMBERED: Final = 4096

    def __init__(self) -> None:
        self._routes: list[Route] = []  # the most specific first
        self._remembered = lru_cache(self.REMEMBERED)(self._find)

    def register(
        self,
        function: Callback,
        *,
        queue: str | None = None,
        key: str | None = None,
        type: str | None = None,
        content_type: str | None = None,
        policy: RetryPolicy | None = None,
        time_limit: float | None = None,
        offload: bool | None = None,
    ) -> Route:
        """Add a callback for the messages that meet all of the conditions given.

        Registering the same thing again does nothing.  Raises ``TypeError`` for what cannot be called, and for
        coroutine and generator functions.
        """
        check_callback(function)
        pattern = KeyPattern() if key is None else KeyPattern(key)
        route = Route(function, queue, pattern, type, _media_type(content_type), policy, time_limit, offload)
        if route not in self._routes:
            insort(self._routes, route, key=lambda known: known.rank)
            self._remembered.cache_clear()
        return route

    @property
    def routes(self) -> tuple[Route, ...]:
        """All of them, the most specific first."""
        return tuple(self._routes)

    def match(self, queue: str, routing_key: str, type: str | None, content_type: str | None) -> Route | None:
        """The most specific callback for such a message, or None; of two that tie, the one registered first."""
        return self._remembered(queue, routing_key, type, content_type)

    def route(self, queue: str, message: Incoming) -> Route | None:
        """:meth:`match` for a delivery from *queue*.

        Properties of a wrong type, which other clients may send, count as absent.
        """
        key = _text(message.delivery_info.get("routing_key")) or ""
        return self.match(queue, key, _text(message.properties.get("type")), _text(message.content_type))

    def covers(self, queue: str) -> bool:
        """Whether a callback can be chosen for messages of *queue*; if not, all of them would be dead-lettered."""
        return any(route.queue in (None, queue) for route in self._routes)

    def conflicts(self) -> list[Conflict]:
        """Every pair of callbacks that tie; the worker does not start with one."""
        found = []
        for first, second in combinations(self._routes, 2):
            same = (first.queue, first.type, first.content_type) == (second.queue, second.type, second.content_type)
            if same and first.rank == second.rank and (key := first.key.common(second.key)) is not None:
                found.append(Conflict(first, second, key))
        return found

    def _find(self, queue: str, key: str, type: str | None, content_type: str | None) -> Route | None:
        media_type = _media_type(content_type)
        return next((route for route in self._routes if route.takes(queue, key, type, media_type)), None)


def _runs_nothing(function: Callback) -> str | None:
    """What kind of function *function* is, if a call of it only makes an object that has to be run."""
    inner = _without_partial(function)  # and with its decorators: one of them may run what it wraps
    for candidate in (inner, getattr(inner, "__call__", None)):  # noqa: B004  the method itself is looked at
        if iscoroutinefunction(candidate):
            return "a coroutine function (async def)"
        if isgeneratorfunction(candidate) or isasyncgenfunction(candidate):
            return "a generator function (it has a yield)"
    return None


def _media_type(content_type: str | None) -> str | None:
    """``Application/JSON; charset=utf-8`` is ``application/json`` (RFC 9110, 8.3.1)."""
    return None if content_type is None else content_type.partition(";")[0].strip().lower()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _described(function: Callback) -> str:
    inner = _innermost(function)
    code = getattr(inner, "__code__", None) or getattr(inner.__call__, "__code__", None)
    known = inner if hasattr(inner, "__qualname__") else type(inner)
    name = f"{known.__module__}:{known.__qualname__}"
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


def _innermost(function: Callback) -> Any:
    """*function* without ``partial`` and decorators that say what they wrap."""
    return unwrap(_without_partial(function))


def _without_partial(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return function
