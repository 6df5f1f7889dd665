"""Which queues get a message: direct, fanout, topic and headers, as AMQP 0-9-1 says (section 3.1.3 and RabbitMQ's notes).

Pure: bindings in, names of queues out.  :func:`matches` judges one binding; :class:`Router` is compiled once from the
bindings of an exchange and asked for each message.

Corners, all as RabbitMQ decides them:

* A topic is words split by ``.``; ``*`` takes exactly one word (an empty one too, as in ``a..b``), ``#`` zero or more.
  The empty routing key has *no* words: ``#`` and the empty pattern match it, ``*`` does not.
* ``x-match`` is ``all`` when it is missing.  For ``all`` and ``any`` arguments whose name begins with ``x-`` are not
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

_MEMO_SIZE = 4096  # routing keys remembered by a topic router; keys with ids in them must not fill the memory
_X_MATCH = ("all", "any", "all-with-x", "any-with-x")

_Headers = Mapping[str, Any]
_Route = Callable[[str, _Headers], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Binding:
    """A queue bound to an exchange.  ``arguments`` count for a headers exchange only (and for equality, not the hash)."""

    queue: str
    routing_key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)


def check(exchange_type: str, binding: Binding | None = None) -> None:
    """Raise :exc:`~kombu_green.exceptions.UnsupportedOption` for an unknown exchange type, or a binding that it refuses.

    For whoever declares and binds, so that a wrong one is an error there and not at the next publish.
    """
    if exchange_type not in EXCHANGE_TYPES:
        raise UnsupportedOption(f"unknown exchange type {exchange_type!r}: known are {', '.join(EXCHANGE_TYPES)}")
    if exchange_type == "headers" and binding is not None and binding.arguments.get("x-match", "all") not in _X_MATCH:
        raise UnsupportedOption(
            f"queue {binding.queue!r} is bound with x-match {binding.arguments['x-match']!r}:"
            f" known are {', '.join(_X_MATCH)}"
        )


def matches(exchange_type: str, binding: Binding, routing_key: str, headers: Mapping[str, Any]) -> bool:
    """Whether a message goes through one binding."""
    check(exchange_type, binding)
    if exchange_type == "direct":
        return binding.routing_key == routing_key
    if exchange_type == "topic":
        return matches_topic(binding.routing_key, routing_key)
    return exchange_type == "fanout" or matches_headers(binding.arguments, headers)


def matches_topic(pattern: str, routing_key: str) -> bool:
    """Whether the routing key fits the pattern."""
    return _fits(_words(pattern), _words(routing_key))


def matches_headers(arguments: Mapping[str, Any], headers: Mapping[str, Any]) -> bool:
    """Whether a message's headers fit the arguments of a binding."""
    return _compile_headers(arguments)(headers)


class Router:
    """The bindings of one exchange, compiled.

    ``route`` gives each queue once, in the order of their bindings.  Not changed by later bindings: make a new one.
    """

    __slots__ = ("route",)

    route: _Route  # (routing key, headers) -> names of queues; a closure, since it is asked for each message

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
        known = memo.get(routing_key)
        if known is None:
            words = _words(routing_key)
            known = _once(queue for queue, pattern in patterns if _fits(pattern, words))
            if len(memo) >= _MEMO_SIZE:
                memo.clear()
            memo[routing_key] = known
        return known

    return route


def _compile_headers_exchange(bindings: Sequence[Binding]) -> _Route:
    conditions = [(binding.queue, _compile_headers(binding.arguments)) for binding in bindings]

    def route(routing_key: str, headers: _Headers) -> tuple[str, ...]:
        return _once(queue for queue, fits in conditions if fits(headers))

    return route


_COMPILERS: Mapping[str, Callable[[Sequence[Binding]], _Route]] = {
    "direct": _compile_direct,
    "fanout": _compile_fanout,
    "headers": _compile_headers_exchange,
    "topic": _compile_topic,
}


def _once(queues: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(queues))


def _words(text: str) -> list[str]:
    return text.split(".") if text else []


def _fits(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """Match word by word; on a mismatch let the last ``#`` take one word more.

    Going back to the last ``#`` only is enough (an earlier one could take nothing that the last cannot), and keeps it at
    len(pattern) * len(words) steps, where a regular expression can be made to take exponentially many.
    """
    at = position = 0
    hash_at, hash_end = -1, 0  # the last # seen, and the word after those it takes
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


def _compile_headers(arguments: Mapping[str, Any]) -> Callable[[_Headers], bool]:
    mode = arguments.get("x-match", "all")
    with_x = mode.endswith("-with-x")
    wanted = [
        (name, value)
        for name, value in arguments.items()
        if name != "x-match" and (with_x or not name.startswith("x-"))
    ]
    decide = any if mode.startswith("any") else all

    def fits(headers: _Headers) -> bool:
        return decide(name in headers and (value is None or _same(value, headers[name])) for name, value in wanted)

    return fits


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
