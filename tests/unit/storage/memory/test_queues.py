from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.exceptions import EncodeError
from kombu_green.message import Content
from kombu_green.storage.memory.queues import ReadyMessages, private_copy


@dataclass
class Item:
    id: int
    priority: int


def place(item: Item) -> tuple[int, int]:
    return -item.priority, item.id


@given(st.lists(st.one_of(st.integers(0, 3), st.just("pop"), st.lists(st.integers(0, 20), max_size=6)), max_size=60))
def test_ready_messages_are_a_sorted_list(steps: list[int | str | list[int]]) -> None:
    """A number puts one of that priority, a list gives back some of those that were popped."""
    ready: ReadyMessages[Item] = ReadyMessages()
    model: list[Item] = []
    popped: list[Item] = []
    for number, step in enumerate(steps):
        if isinstance(step, int):
            item = Item(number, step)
            ready.append(item)
            model.append(item)
        elif isinstance(step, str):
            if model:
                expected = min(model, key=place)
                assert ready.pop() is expected
                model.remove(expected)
                popped.append(expected)
        else:
            back = [popped[at] for at in dict.fromkeys(step) if at < len(popped)]
            ready.put_back(back)
            model += back
            popped = [item for item in popped if item not in back]
        assert ready.count == len(model)
        assert list(ready) == sorted(model, key=place)


def test_nothing_can_be_popped_when_nothing_is_ready() -> None:
    ready: ReadyMessages[Item] = ReadyMessages()
    with pytest.raises(IndexError):
        ready.pop()
    ready.append(Item(1, 0))
    ready.clear()
    assert ready.count == 0
    with pytest.raises(IndexError):
        ready.pop()


def test_a_copy_is_equal_and_shares_nothing_that_can_change() -> None:
    headers: dict[str, Any] = {"list": [1, {"deep": bytearray(b"x")}], "text": "t"}
    content = Content(b"b", "application/json", "utf-8", headers, {"priority": 1})
    copy = private_copy(content)
    assert copy == content
    headers["list"][1]["deep"].append(1)
    headers["new"] = 1
    content.properties["priority"] = 2
    assert copy.headers == {"list": [1, {"deep": bytearray(b"x")}], "text": "t"}
    assert copy.properties == {"priority": 1}


def test_what_cannot_be_copied_is_refused() -> None:
    with pytest.raises(EncodeError, match=r"header that cannot be copied.*generator"):
        private_copy(Content(b"", headers={"generator": (n for n in [1])}))
