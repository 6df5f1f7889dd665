"""Which queues get a message: direct, fanout, topic and headers exchanges.

Pure: bindings in, names of queues out.  :func:`matches` judges one binding; a :class:`Router` is compiled once from the
bindings of an exchange and asked for each message.  After AMQP 0-9-1, section 3.1.3; where that leaves a corner open,
as RabbitMQ decides it:

* A topic is words split by ``.``; ``*`` takes exactly one word (an empty one too, as in ``a..b``), ``#`` zero or more.
  The empty routing key has *no* words: ``#`` and the empty pattern match it, ``*`` does not.
* ``x-match`` is ``all`` when it is missing.  For ``all`` and ``any``, arguments whose name begins with ``x-`` are not
  looked at; ``all-with-x`` and ``any-with-x`` look at all but ``x-match``.  ``all`` of nothing matches every message,
  ``any`` of nothing matches none.
* Header values are equal only when their types are: ``True`` is not 1, 1 is not 1.0 and ``"1"`` is not 1.  An argument
  without a value (None) matches whatever value the header has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kombu_green.exceptions import UnsupportedOption

__all__ = ["EXCHANGE_TYPES", "Binding", "Router", "check", "matches", "matches_headers", "matches_topic"]

EXCHANGE_TYPES = ("direct", "fanout", "headers", "topic")
"""The exchange types that exist."""

_MEMO_SIZE = 4096  # routing keys that a topic router remembers: keys with ids in them must not fill the memory
_X_MATCH = ("all", "any", "all-with-x", "any-with-x")

_Headers = Mapping[str, Any]
_Route = Callable[[str, _Headers], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Binding:
    """A queue bound to an exchange.  ``arguments`` matter to a headers exchange only; they count for ``==``."""

    queue: str
    routing_key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)


def check(exchange_type: str, binding: Binding | None = None) -> None:
    """Refuse an unknown exchange type, and a binding that it cannot understand.

    For whoever declares and binds, so that it is an error there and not at the next publish.  Raises
    :exc:`~kombu_green.exceptions.UnsupportedOption`, naming what is known.
    """
    if exchange_type not in EXCHANGE_TYPES:
        raise UnsupportedOption(f"unknown exchange type {exchange_type!r}: known are {', '.join(EXCHANGE_TYPES)}")
    if exchange_type == "headers" and binding is not None and _x_match(binding.arguments) not in _X_MATCH:
        raise UnsupportedOption(
            f"queue {binding.queue!r} is bound with x-match {_x_match(binding.arguments)!r}:"
            f" known are {', '.join(_X_MATCH)}"
        )


def matches(exchange_type: str, binding: Binding, routing_key: str, headers: Mapping[str, Any]) -> bool:
    """Whether a message goes through one binding."""
    return bool(Router(exchange_type, (binding,)).route(routing_key, headers))


def matches_topic(pattern: str, routing_key: str) -> bool:
    """Whether a routing key fits a topic exchange's pattern."""
    return _fits(_words(pattern), _words(routing_key))


def matches_headers(arguments: Mapping[str, Any], headers: Mapping[str, Any]) -> bool:
    """Whether a message's headers fit the arguments of a binding to a headers exchange."""
    return matches("headers", Binding("", "", arguments), "", headers)


class Router:
    """The bindings of one exchange, compiled.

    ``route(routing_key, headers)`` gives each queue once, in the order of their bindings.  A router never changes: when
    the bindings do, make another.  Raises :exc:`~kombu_green.exceptions.UnsupportedOption` as :func:`check` does.
    """

    __slots__ = ("route",)

    route: _Route  # a closure over the compiled bindings rather than a method: it is called for each message

    def __init__(self, exchange_type: str, bindings: Iterable[Binding]) -> None:
        bindings = tuple(bindings)
        check(exchange_type)
        for binding in bindings:
            check(exchange_type, binding)
        self.route = _COMPILERS[exchange_type](bindings)


def _compile_direct(bindings: Sequence[Binding]) -> _Route:
    table: dict[str, dict[str, None]] = {}
    for binding in bindings:
        table.setdefault(binding.routing_key, {})[binding.queue] = None
    routes = {key: tuple(queues) for key, queues in table.items()}

    def route(routing_key: str, headers: _Headers) -> tuple[str, ...]:
        return routes.get(routing_key, ())

    return route


def _compile_fanout(bindings: Sequence[Binding]) -> _Route:
    everybody = _once(binding.queue for binding in bindings)

    def route(routing_key: str, headers: _Headers) -> tuple[str, ...]:
        return everybody

    return route


def _compile_topic(bindings: Sequence[Binding]) -> _Route:
    patterns = [(binding.queue, _words(binding.routing_key)) for binding in bindings]
    memo: dict[str, tuple[str, ...]] = {}

    def route(routing_key: str, headers: _Headers) -> tuple[str, ...]:
        queues = memo.get(routing_key)
        if queues is None:
            words = _words(routing_key)
            queues = _once(queue for queue, pattern in patterns if _fits(pattern, words))
            if len(memo) >= _MEMO_SIZE:
                memo.clear()
            memo[routing_key] = queues
        return queues

    return route


def _compile_headers(bindings: Sequence[Binding]) -> _Route:
    conditions = [(binding.queue, *_conditions(binding.arguments)) for binding in bindings]

    def route(routing_key: str, headers: _Headers) -> tuple[str, ...]:
        return _once(
            queue
            for queue, decide, wanted in conditions
            if decide(name in headers and (value is None or _same(value, headers[name])) for name, value in wanted)
        )

    return route


_COMPILERS: Mapping[str, Callable[[Sequence[Binding]], _Route]] = {
    "direct": _compile_direct,
    "fanout": _compile_fanout,
    "headers": _compile_headers,
    "topic": _compile_topic,
}


def _once(queues: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(queues))


def _words(text: str) -> list[str]:
    return text.split(".") if text else []


def _fits(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """Match word by word; on a mismatch let the last ``#`` take one word more.

    To go back to the last ``#`` only is enough, since an earlier one could take nothing that the last cannot.  It keeps
    this at len(pattern) * len(words) steps; a regular expression can be made to take many more.
    """
    at = position = 0
    hash_at, hash_end = -1, 0  # the last # seen, and the first word that it does not take
    while position < len(words):
        if at < len(pattern) and pattern[at] == "#":
            hash_at, hash_end = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("*", words[position]):
            at += 1
            position += 1
        elif hash_at >= 0:
            hash_end += 1
            at, position = hash_at + 1, hash_end
        else:
            return False
    return all(word == "#" for word in pattern[at:])


def _x_match(arguments: Mapping[str, Any]) -> Any:
    return arguments.get("x-match", "all")


def _conditions(arguments: Mapping[str, Any]) -> tuple[Callable[[Iterable[bool]], bool], list[tuple[str, Any]]]:
    mode = _x_match(arguments)
    with_x = mode.endswith("-with-x")
    wanted = [(name, value) for name, value in arguments.items() if with_x or not name.startswith("x-")]
    wanted = [(name, value) for name, value in wanted if name != "x-match"]
    return (any if mode.startswith("any") else all), wanted


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
