from __future__ import annotations

from typing import Any

import pytest

from kombu_green.exceptions import EncodeError
from kombu_green.message import Content
from kombu_green.storage.copying import private_copy


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
