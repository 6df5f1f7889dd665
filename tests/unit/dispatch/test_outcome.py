from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.dispatch.outcome import LONGEST_MESSAGE, LONGEST_TRACEBACK, Failure, shortened
from kombu_green.exceptions import DecodeError


class HostileError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def caught(function: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as info:  # noqa: PT011  any will do
        function()
    return info.value


def test_a_failure_names_the_class_and_keeps_the_causes() -> None:
    def outer() -> None:
        try:
            raise KeyError("inner one")
        except KeyError as error:
            raise DecodeError("outer one") from error

    failure = Failure.of(caught(outer))
    assert failure.exception == "kombu_green.exceptions.DecodeError"
    assert failure.message == "outer one"
    assert failure.traceback.index("inner one") < failure.traceback.index("outer one")
    assert "in outer" in failure.traceback
    assert Failure.of(ValueError("x")).exception == "ValueError"


def test_the_innermost_frames_of_a_long_traceback_are_kept() -> None:
    def one(depth: int) -> None:
        two(depth - 1)

    def two(depth: int) -> None:
        if depth <= 0:
            raise ValueError("at the bottom")
        one(depth - 1)

    failure = Failure.of(caught(lambda: one(400)))
    assert len(failure.traceback.encode()) <= LONGEST_TRACEBACK
    assert failure.traceback.startswith("…")
    assert failure.traceback.endswith("ValueError: at the bottom\n")


def test_whatever_an_exception_says_can_travel() -> None:
    assert Failure.of(HostileError()).message == "(its __str__ raised RuntimeError)"
    huge = Failure.of(ValueError("ü" * 100_000))
    assert len(huge.message.encode()) <= LONGEST_MESSAGE
    undecodable = Failure.of(FileNotFoundError(b"caf\xe9".decode("utf-8", "surrogateescape")))
    assert undecodable.message.encode() == b"caf\\udce9"
    assert undecodable.traceback.encode()


@given(st.text(st.characters(codec=None, exclude_categories=())), st.integers(3, 40), st.booleans())
def test_shortened_keeps_to_the_limit_and_to_one_end(text: str, limit: int, keep_end: bool) -> None:
    short = shortened(text, limit, keep_end=keep_end)
    whole = text.encode("utf-8", "backslashreplace").decode()
    assert len(short.encode()) <= limit
    if len(whole.encode()) <= limit:
        assert short == whole
    elif keep_end:
        assert short[0] == "…"
        assert whole.endswith(short[1:])
    else:
        assert short[-1] == "…"
        assert whole.startswith(short[:-1])
