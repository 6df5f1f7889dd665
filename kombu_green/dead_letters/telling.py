"""How dead letters are shown: a line, a page, or JSON.

Whoever can publish could put into a header what moves a terminal's cursor, so what is not printable is written out.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kombu_green.dead_letters.browsing import Letter
from kombu_green.dispatch.history import PREFIX
from kombu_green.exceptions import DecodeError, KombuError
from kombu_green.message import Message
from kombu_green.serialization import prepare_accept_content

__all__ = ["as_json", "line", "page"]

_WIDEST: Final = 100  # characters of a reason in a line
_EXCERPT: Final = 1024  # bytes of a body that is not JSON
_UNKNOWN: Final = "?"


def line(letter: Letter) -> str:
    """``3  2031-05-06T07:08:09Z  5 attempts  ValueError: bad  id=ab12  417 B``."""
    account, message = letter.account, letter.message
    tries = _UNKNOWN if account.attempts is None else str(account.attempts + account.earlier_attempts)
    named = f"id={account.id}" if account.id else f"key={account.key or message.delivery_info.get('routing_key', '')}"
    parts = (
        str(letter.number),
        f"{account.buried:%Y-%m-%dT%H:%M:%SZ}" if account.buried else _UNKNOWN,
        f"{tries} attempt{'' if tries == '1' else 's'}",
        _cut(_why(letter)),
        _cut(named),
        f"{len(message.body)} B",
    )
    return "  ".join(map(_plain, parts))


def page(letter: Letter, queue: str) -> str:
    """Everything of it, in lines; an empty one at the end."""
    return "".join(f"{text}\n" for text in [f"{letter.number} of {queue}", *_lines(letter), ""])


def as_json(letter: Letter, *, whole: bool) -> str:
    """One object in one line; *whole* with headers and body."""
    account, message = letter.account, letter.message
    told: dict[str, Any] = {
        "number": letter.number,
        "queue": account.queue,
        "buried": account.buried.isoformat() if account.buried else None,
        "attempts": account.attempts,
        "earlier_attempts": account.earlier_attempts,
        "revived": account.revived,
        "reason": account.reason,
        "exception": account.exception,
        "message": account.message,
        "id": account.id,
        "type": account.type,
        "exchange": account.exchange,
        "key": account.key,
        "size": len(message.body),
    }
    if whole:
        told |= {"content_type": message.content_type, "content_encoding": message.content_encoding}
        told |= {"properties": message.properties, "headers": message.headers} | _body_fields(message)
    return json.dumps(told, default=_other)


def _lines(letter: Letter) -> Iterator[str]:
    account, message = letter.account, letter.message
    yield _field("died in", account.queue)
    yield _field("buried", account.buried.isoformat() if account.buried else None)
    yield _field("attempts", None if account.attempts is None else str(account.attempts))
    yield _field("reason", account.reason)
    if account.exception:
        yield _field("exception", f"{account.exception}: {account.message or ''}")
    yield _field("published", f"exchange {account.exchange or ''!r}, key {account.key or ''!r}")
    kind = " ".join(filter(None, [message.content_type, message.content_encoding]))
    yield _field("content", f"{kind or _UNKNOWN}, {len(message.body)} bytes")
    yield from _mapping("properties", message.properties)
    yield from _mapping("headers", {name: value for name, value in message.headers.items() if _foreign(name)})
    if account.revived:
        yield _field("earlier", f"{account.earlier_attempts} attempts, brought back {account.revived} times:")
        yield from _block(account.earlier or _UNKNOWN)
    if account.traceback:
        yield "  traceback"
        yield from _block(account.traceback.rstrip("\n"))
    yield "  body"
    yield from _block(_shown_body(message))


def _field(name: str, value: str | None) -> str:
    return f"  {name:<12}{_plain(value or _UNKNOWN)}"


def _mapping(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    if values:
        yield f"  {name}"
        yield from (f"    {_plain(str(key))}: {_plain(str(value))}" for key, value in values.items())


def _block(text: str) -> Iterator[str]:
    return (f"    {_plain(part)}" for part in text.split("\n"))


def _foreign(header: str) -> bool:
    return not str(header).startswith(PREFIX)


def _why(letter: Letter) -> str:
    account = letter.account
    if account.exception:
        return f"{account.exception}: {account.message or ''}"
    return account.reason or _UNKNOWN


def _cut(text: str) -> str:
    first = text.strip().split("\n", 1)[0]
    return first if len(first) <= _WIDEST else first[: _WIDEST - 1] + "…"


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _decoded(message: Message) -> Any:
    """The body of a JSON message, unpacked where it was compressed; raises :exc:`KombuError` for any other."""
    if "json" not in (message.content_type or ""):
        raise DecodeError("text and bytes are what they are")
    message.accept = prepare_accept_content(["json"])
    return message.decode()


def _shown_body(message: Message) -> str:
    try:
        return json.dumps(_decoded(message), indent=2, ensure_ascii=False, default=str)
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


def _body_fields(message: Message) -> dict[str, Any]:
    try:
        return {"body": _decoded(message)}
    except (KombuError, RecursionError):
        return {"body_base64": base64.b64encode(message.body).decode()}


def _other(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes | bytearray) else str(value)
