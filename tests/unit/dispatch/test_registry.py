from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial, wraps
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.dispatch.registry import Registry, Route


def handle(body: Any, message: Any) -> None: ...


def other(body: Any, message: Any) -> None: ...


@dataclass
class Delivered:
    properties: Mapping[str, Any] = field(default_factory=dict)
    content_type: str | None = None
    delivery_info: Mapping[str, Any] = field(default_factory=dict)


def chosen(registry: Registry, queue: str, key: str = "", type: str | None = None, content: str | None = None) -> Any:
    route = registry.match(queue, key, type, content)
    return None if route is None else route.function


def test_nothing_registered_matches_nothing() -> None:
    assert Registry().match("q", "k", None, None) is None


def test_queue_then_type_then_content_type_then_key() -> None:
    registry = Registry()
    functions = [partial(handle, number) for number in range(5)]
    registry.register(functions[4])
    registry.register(functions[3], key="video.mp4")
    registry.register(functions[2], content_type="application/json")
    registry.register(functions[1], type="resize")
    registry.register(functions[0], queue="video")
    assert registry.conflicts() == []
    assert chosen(registry, "video", "video.mp4", "resize", "application/json") is functions[0]
    assert chosen(registry, "audio", "video.mp4", "resize", "application/json") is functions[1]
    assert chosen(registry, "audio", "video.mp4", None, "application/json") is functions[2]
    assert chosen(registry, "audio", "video.mp4", None, None) is functions[3]
    assert chosen(registry, "audio", "x", None, None) is functions[4]


def test_content_types_are_compared_without_parameters_and_case() -> None:
    registry = Registry()
    registry.register(handle, content_type="application/JSON")
    assert chosen(registry, "q", content="Application/json; charset=utf-8") is handle
    assert chosen(registry, "q", content="text/plain") is None


def test_registering_clears_what_was_remembered() -> None:
    registry = Registry()
    assert chosen(registry, "q") is None
    registry.register(handle)
    assert chosen(registry, "q") is handle
    registry.register(other, queue="q")
    assert chosen(registry, "q") is other


def test_remembers_a_bounded_number_of_answers() -> None:
    registry = Registry()
    registry.register(handle, key="customer.*")
    for number in range(Registry.REMEMBERED + 100):
        assert chosen(registry, "q", f"customer.{number}") is handle
    assert registry._remembered.cache_info().currsize == Registry.REMEMBERED


def test_options_travel_with_the_route() -> None:
    policy = RetryPolicy(attempts=2)
    route = Registry().register(handle, policy=policy, time_limit=3.0, offload=True)
    assert (route.policy, route.time_limit, route.offload) == (policy, 3.0, True)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match=r"\(body, message\); 'nothing' cannot be called"):
        Registry().register("nothing")  # type: ignore[arg-type]


def test_covers() -> None:
    registry = Registry()
    registry.register(handle, queue="video", key="a.*")
    assert registry.covers("video")
    assert not registry.covers("audio")
    registry.register(handle, type="x")
    assert registry.covers("audio")


def test_a_tie_names_both_callbacks_with_file_and_line_and_an_example() -> None:
    registry = Registry()
    registry.register(handle, queue="video", key="a.*")
    registry.register(other, queue="video", key="*.b")
    (conflict,) = registry.conflicts()
    line, other_line = handle.__code__.co_firstlineno, other.__code__.co_firstlineno
    assert str(conflict) == (
        "two callbacks take the same messages and neither is more specific"
        " (queue 'video', keys 'a.*' and '*.b', for example 'a.b'):"
        f" {__name__}:handle ({__file__}:{line}) and {__name__}:other ({__file__}:{other_line});"
        " narrow one of them by queue, type, content type or key"
    )


def test_ties_with_and_without_conditions_are_readable() -> None:
    registry = Registry()
    registry.register(handle)
    registry.register(other, key="#")
    registry.register(handle, type="t", key="a")
    registry.register(other, type="t", key="a")
    texts = [str(conflict) for conflict in registry.conflicts()]
    assert ["(type 't', key 'a')" in texts[0], "(any message)" in texts[1]] == [True, True]


def test_equal_patterns_that_never_meet_do_not_tie() -> None:
    registry = Registry()
    registry.register(handle, key="video.*")
    registry.register(other, key="audio.*")
    registry.register(other, queue="a")
    registry.register(handle, queue="b")
    assert registry.conflicts() == []


def test_the_same_registration_again_is_no_tie_but_another_policy_is() -> None:
    registry = Registry()
    registry.register(handle, queue="q")
    registry.register(handle, queue="q")
    assert len(registry.routes) == 1
    assert registry.conflicts() == []
    registry.register(handle, queue="q", policy=RetryPolicy(attempts=1))
    assert len(registry.conflicts()) == 1


class Handler:
    def __call__(self, body: Any, message: Any) -> None: ...

    def method(self, body: Any, message: Any) -> None: ...


def test_names_of_every_kind_of_callable() -> None:
    @wraps(handle)
    def wrapped(body: Any, message: Any) -> None: ...

    here = f"({__file__}:"
    assert Route(partial(handle)).name == Route(wrapped).name == Route(handle).name
    assert Route(handle).name.startswith(f"{__name__}:handle {here}")
    assert Route(Handler()).name.startswith(f"{__name__}:Handler {here}")
    assert Route(Handler().method).name.startswith(f"{__name__}:Handler.method {here}")
    assert Route(print).name == "builtins:print"


def test_route_reads_a_delivery() -> None:
    registry = Registry()
    registry.register(handle, type="resize", content_type="text/plain", key="video.*")
    message = Delivered({"type": "resize"}, "text/plain", {"exchange": "media", "routing_key": "video.mp4"})
    assert registry.route("q", message) is registry.routes[0]


@pytest.mark.parametrize("rubbish", [[], {}, 3, b"x", None, float("nan")])
def test_properties_of_the_wrong_kind_count_as_absent(rubbish: Any) -> None:
    registry = Registry()
    registry.register(handle)
    message = Delivered({"type": rubbish}, rubbish, {"exchange": rubbish, "routing_key": rubbish})
    assert registry.route("q", message) is registry.routes[0]


# -- against a reference that does it the slow way


def hits(pattern: list[str], key: list[str]) -> bool:
    if not pattern:
        return not key
    if pattern[0] == "#":
        return hits(pattern[1:], key) or (bool(key) and hits(pattern, key[1:]))
    return bool(key) and pattern[0] in ("*", key[0]) and hits(pattern[1:], key[1:])


def more_specific(left: Route, right: Route) -> bool:
    """The order as the documentation tells it, condition after condition."""
    for mine, theirs in ((left.queue, right.queue), (left.type, right.type), (left.content_type, right.content_type)):
        if (mine is None) != (theirs is None):
            return mine is not None
    literal = [sum(word not in "*#" for word in route.key.text.split(".")) for route in (left, right)]
    if literal[0] != literal[1]:
        return literal[0] > literal[1]
    return ("#" in left.key.text) < ("#" in right.key.text)


key_texts = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3).map(".".join) | st.sampled_from(
    ["#", "a.#", "b.#", "a.b.#"]
)
conditions = st.fixed_dictionaries(
    {
        "queue": st.none() | st.sampled_from(["q", "r"]),
        "type": st.none() | st.sampled_from(["t", "u"]),
        "content_type": st.none() | st.sampled_from(["c/c", "d/d"]),
        "key": st.none() | key_texts,
    }
)
messages = st.tuples(
    st.sampled_from(["q", "r", "s"]),
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3).map(".".join),
    st.sampled_from([None, "t", "u", "v"]),
    st.sampled_from([None, "c/c", "d/d", "e/e"]),
)


@given(st.lists(conditions, max_size=8), st.lists(messages, min_size=1, max_size=5))
def test_the_most_specific_wins_whatever_the_order_of_registration(
    wanted: list[dict[str, Any]], arrivals: list[tuple[str, str, str | None, str | None]]
) -> None:
    registry = Registry()
    for number, condition in enumerate(wanted):
        registry.register(partial(handle, number), **condition)
    for queue, key, type_, content_type in arrivals:
        candidates = [
            route
            for route in registry.routes
            if route.queue in (None, queue)
            and route.type in (None, type_)
            and route.content_type in (None, content_type)
            and hits(route.key.text.split("."), key.split("."))
        ]
        best = [r for r in candidates if not any(more_specific(rival, r) for rival in candidates)]
        found = registry.match(queue, key, type_, content_type)
        assert (found is None) == (not candidates)
        if len(best) == 1:
            assert found is best[0]
        elif best:
            tied = {frozenset((id(c.first), id(c.second))) for c in registry.conflicts()}
            assert found in best
            assert all(frozenset((id(a), id(b))) in tied for a, b in combinations(best, 2))


async def coroutine(body: Any, message: Any) -> None: ...


def generator(body: Any, message: Any) -> Any:
    yield body


async def asynchronous_generator(body: Any, message: Any) -> Any:
    yield body


class CoroutineObject:
    async def __call__(self, body: Any, message: Any) -> None: ...

    async def method(self, body: Any, message: Any) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        *(coroutine, generator, asynchronous_generator, CoroutineObject(), CoroutineObject().method),
        *(partial(coroutine), partial(partial(generator))),
    ],
)
def test_a_function_that_only_makes_an_object_when_it_is_called_is_refused(function: Any) -> None:
    with pytest.raises(TypeError, match=r"calling it runs nothing.*write a plain function"):
        Registry().register(function)


def test_a_decorator_that_runs_a_coroutine_function_is_a_callback() -> None:
    @wraps(coroutine)
    def run(body: Any, message: Any) -> None: ...

    assert Registry().register(run)
