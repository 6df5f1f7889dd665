"""Dead letters as text for ``kombu-worker dead``: a line, a page, or JSON.

Every publisher can put control characters of a terminal into a header.  So characters that are not printable are
written as escapes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kombu_green.dead_letters.browser import DeadLetterMessage
from kombu_green.dispatch.history import PREFIX
from kombu_green.exceptions import DecodeError, KombuError
from kombu_green.message import Message
from kombu_green.printable import printable
from kombu_green.serialization import prepare_accept_content

__all__ = ["format_json", "format_line", "format_page"]

_LONGEST_CELL: Final = 100  # characters of a reason, an id or a key in a line
_EXCERPT: Final = 1024  # bytes of a body that is not JSON
_UNKNOWN: Final = "?"


def format_line(letter: DeadLetterMessage) -> str:
    """Number, time, attempts, error, id or routing key, and size of the body, in one line::

    3  2031-05-06T07:08:09Z  5 attempts  ValueError: bad  id=ab12  417 B
    """
    record, message = letter.record, letter.message
    attempts = _UNKNOWN if record.attempts is None else str(record.attempts + record.earlier_attempts)
    name = f"id={record.id}" if record.id else f"key={record.key or message.delivery_info.get('routing_key', '')}"
    parts = (
        str(letter.number),
        f"{record.dead_lettered:%Y-%m-%dT%H:%M:%SZ}" if record.dead_lettered else _UNKNOWN,
        f"{attempts} attempt{'' if attempts == '1' else 's'}",
        _cut(_error(letter)),
        _cut(name),
        f"{len(message.body)} B",
    )
    return "  ".join(map(printable, parts))


def format_page(letter: DeadLetterMessage, queue: str) -> str:
    """Everything that is known of *letter*, a dead letter in *queue*, in lines; the last one is empty."""
    return "".join(f"{text}\n" for text in [f"{letter.number} of {queue}", *_page_lines(letter), ""])


def format_json(letter: DeadLetterMessage, *, whole: bool) -> str:
    """One JSON object in one line; with properties, headers and body if *whole*."""
    record, message = letter.record, letter.message
    fields: dict[str, Any] = {
        "number": letter.number,
        "queue": record.queue,
        "dead_lettered": record.dead_lettered.isoformat() if record.dead_lettered else None,
        "attempts": record.attempts,
        "earlier_attempts": record.earlier_attempts,
        "returned": record.returned,
        "reason": record.reason,
        "exception": record.exception,
        "message": record.message,
        "id": record.id,
        "type": record.type,
        "exchange": record.exchange,
        "key": record.key,
        "size": len(message.body),
    }
    if whole:
        fields |= {"content_type": message.content_type, "content_encoding": message.content_encoding}
        fields |= {"properties": message.properties, "headers": message.headers} | _json_body(message)
    return json.dumps(fields, default=_json_default)


def _page_lines(letter: DeadLetterMessage) -> Iterator[str]:
    record, message = letter.record, letter.message
    yield _field("died in", record.queue)
    yield _field("dead-lettered", record.dead_lettered.isoformat() if record.dead_lettered else None)
    yield _field("attempts", None if record.attempts is None else str(record.attempts))
    yield _field("reason", record.reason)
    if record.exception:
        yield _field("exception", f"{record.exception}: {record.message or ''}")
    yield _field("published", f"exchange {record.exchange or ''!r}, key {record.key or ''!r}")
    kind = " ".join(filter(None, [message.content_type, message.content_encoding]))
    yield _field("content", f"{kind or _UNKNOWN}, {len(message.body)} bytes")
    yield from _mapping("properties", message.properties)
    others = {name: value for name, value in message.headers.items() if not str(name).startswith(PREFIX)}
    yield from _mapping("headers", others)
    if record.returned:
        yield _field("earlier", f"{record.earlier_attempts} attempts, returned {record.returned} times:")
        yield from _block(record.earlier or _UNKNOWN)
    if record.traceback:
        yield "  traceback"
        yield from _block(record.traceback.rstrip("\n"))
    yield "  body"
    yield from _block(_body_text(message))


def _field(name: str, value: str | None) -> str:
    return f"  {name:<15}{printable(value or _UNKNOWN)}"


def _mapping(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    if values:
        yield f"  {name}"
        yield from (f"    {printable(str(key))}: {printable(str(value))}" for key, value in values.items())


def _block(text: str) -> Iterator[str]:
    return (f"    {printable(part)}" for part in text.split("\n"))


def _error(letter: DeadLetterMessage) -> str:
    record = letter.record
    if record.exception:
        return f"{record.exception}: {record.message or ''}"
    return record.reason or _UNKNOWN


def _cut(text: str) -> str:
    first = text.strip().split("\n", 1)[0]
    return first if len(first) <= _LONGEST_CELL else first[: _LONGEST_CELL - 1] + "…"


def _decoded_json(message: Message) -> Any:
    """The body of a JSON message, decompressed and decoded; raises :exc:`KombuError` for other content types."""
    if "json" not in (message.content_type or ""):
        raise DecodeError(f"content type {message.content_type!r} is not JSON")
    message.accept = prepare_accept_content(["json"])
    return message.decode()


def _body_text(message: Message) -> str:
    try:
        return json.dumps(_decoded_json(message), indent=2, ensure_ascii=False, default=str)
    except (KombuError, RecursionError):
        pass
    excerpt, more = message.body[:_EXCERPT], len(message.body) - _EXCERPT
    try:
        shown = excerpt.decode("utf-8") if more <= 0 else excerpt.decode("utf-8", "ignore")
        if "\0" in shown:
            shown = repr(excerpt)
    except UnicodeDecodeError:
        shown = repr(excerpt)
    return f"{shown}\n… and {more} bytes more" if more > 0 else shown


def _json_body(message: Message) -> dict[str, Any]:
    try:
        return {"body": _decoded_json(message)}
    except (KombuError, RecursionError):
        return {"body_base64": base64.b64encode(message.body).decode()}


def _json_default(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes | bytearray) else str(value)
