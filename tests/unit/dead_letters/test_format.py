"""The text of dead letters: line, page and JSON."""

from __future__ import annotations

import json
from typing import Any

from kombu_green.dead_letters.browser import DeadLetterMessage
from kombu_green.dead_letters.format import format_json, format_line, format_page
from kombu_green.dead_letters.record import DeadLetterRecord
from kombu_green.dispatch.history import MessageOrigin, headers_for_dead_letter, headers_for_return
from kombu_green.dispatch.outcome import Failure
from kombu_green.message import Content, Message

FAILURE = Failure("shop.Broken", "no \x1b[31mred\nsecond line", "Traceback ...\nshop.Broken: no")


def letter(
    body: bytes = b'{"n": 1}',
    content_type: str | None = "application/json",
    *,
    lives: int = 1,
    headers: dict[str, Any] | None = None,
    **properties: Any,
) -> DeadLetterMessage:
    told: dict[str, Any] = {"customer": 7, **(headers or {})}
    for life in range(lives):
        if life:
            told = headers_for_return(told, queue="video", now=20.0, by="ann@host")
        origin = MessageOrigin("video", "", "video.mp4")
        told = headers_for_dead_letter(told, origin=origin, attempt=5, now=10.0, reason="enough", failure=FAILURE)
    message = Message(Content(body, content_type, "utf-8", told, properties))
    return DeadLetterMessage(3, message, DeadLetterRecord.of(message.headers, message.properties))


def test_a_line() -> None:
    start = "3  1970-01-01T00:00:10Z  5 attempts  shop.Broken: no \\x1b[31mred  "
    assert format_line(letter()) == start + "key=video.mp4  8 B"
    assert format_line(letter(message_id="m1")) == start + "id=m1  8 B"
    assert format_line(letter(lives=2)).split("  ")[2] == "10 attempts"


def test_a_line_of_a_message_without_headers() -> None:
    message = Message(Content(b"x"), delivery_info={"routing_key": "video.dead"})
    assert (
        format_line(DeadLetterMessage(1, message, DeadLetterRecord.of({}, {})))
        == "1  ?  ? attempts  ?  key=video.dead  1 B"
    )


def test_a_page_has_everything() -> None:
    shown = format_page(letter(lives=2, message_id="m1"), "video.dead")
    for part in ("3 of video.dead", "customer: 7", "message_id: m1", "Traceback ...", '"n": 1', "by ann@host"):
        assert part in shown
    assert "\x1b" not in shown


def test_a_body_that_is_not_json_is_shown_escaped_and_cut() -> None:
    assert "    hello\n" in format_page(letter(b"hello", "text/plain"), "q")
    assert "    hel\\x1blo\n" in format_page(letter(b"hel\x1blo", "text/plain"), "q")
    assert r"b'\x80\x02'" in format_page(letter(b"\x80\x02", "application/x-python-serialize"), "q")
    assert "    {broken\n" in format_page(letter(b"{broken"), "q")
    long = format_page(letter(b"x" * 5000, None), "q")
    assert "… and 3976 bytes more" in long
    assert len(long) < 3000


def test_json() -> None:
    short = json.loads(format_json(letter(message_id="m1"), whole=False))
    assert (short["number"], short["id"], short["attempts"], short["exception"]) == (3, "m1", 5, "shop.Broken")
    assert "body" not in short
    whole = json.loads(format_json(letter(headers={"raw": b"\xff"}), whole=True))
    assert whole["body"] == {"n": 1}
    assert (whole["headers"]["customer"], whole["headers"]["raw"]) == (7, "\\xff")
    assert json.loads(format_json(letter(b"\xff", None), whole=True))["body_base64"] == "/w=="
