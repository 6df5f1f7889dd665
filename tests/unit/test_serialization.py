from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from kombu_green import serialization
from kombu_green.exceptions import ContentDisallowed, DecodeError, EncodeError, SerializerNotInstalled
from kombu_green.message import Content, Message
from kombu_green.serialization import SerializerRegistry, decode, encode, raw_encode

JSON = frozenset(("application/json",))
PICKLE = "application/x-python-serialize"


@pytest.fixture
def registry() -> SerializerRegistry:
    """One of the test's own."""
    return SerializerRegistry()


class Trap:
    """Whoever reads its pickle has run code."""

    sprung = 0

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return spring, ()


def spring() -> None:
    Trap.sprung += 1


# -- writing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "serializer", "expected"),
    [
        ({"a": [1, None]}, None, ("application/json", "utf-8", b'{"a":[1,null]}')),
        ([], None, ("application/json", "utf-8", b"[]")),
        (None, None, ("application/json", "utf-8", b"null")),
        (0, None, ("application/json", "utf-8", b"0")),
        ("häß", None, ("text/plain", "utf-8", "häß".encode())),
        ("", None, ("text/plain", "utf-8", b"")),
        (b"\xff", None, ("application/data", "binary", b"\xff")),
        (bytearray(b"\xff"), None, ("application/data", "binary", b"\xff")),
        pytest.param(
            memoryview(b"abcd")[::2], None, ("application/data", "binary", b"ac"), id="memoryview of every second byte"
        ),
        ("x", "json", ("application/json", "utf-8", b'"x"')),
        (b"x", "json", ("application/json", "utf-8", b'{"__type__":"bytes","__value__":"x"}')),
        ("ä", "raw", ("application/data", "utf-8", "ä".encode())),
        (b"\xff", "raw", ("application/data", "binary", b"\xff")),
        ("ä", "text", ("text/plain", "utf-8", "ä".encode())),
        ([1], "pickle", (PICKLE, "binary", pickle.dumps([1], protocol=4))),
    ],
    ids=repr,
)
def test_what_a_body_is_written_as_and_read_back(
    body: Any, serializer: str | None, expected: tuple[str, str, bytes]
) -> None:
    written = encode(body, serializer)
    assert written == expected
    assert type(written[2]) is bytes
    content_type, content_encoding, payload = written
    assert decode(payload, content_type, content_encoding, accept=frozenset((content_type,))) == body


def test_kombus_names_for_both() -> None:
    assert serialization.dumps({"a": 1}) == encode({"a": 1})
    assert serialization.loads(b"[1]", "application/json", "utf-8") == [1]
    assert raw_encode("ä") == ("application/data", "utf-8", "ä".encode())


@pytest.mark.parametrize(
    ("body", "serializer", "message"),
    [
        ({"a": {1}}, None, r"json: builtins\.set cannot be written as JSON \(at body\['a'\]\)"),
        ("\ud800", None, "text: a lone surrogate at 0 cannot be written in UTF-8"),
        ({}, "raw", "raw: dict is neither bytes nor str"),
        (b"x", "text", "text: bytes is not str"),
        (lambda: 0, "pickle", "pickle: function: "),
    ],
)
def test_what_cannot_be_written_names_the_serializer_and_the_type(body: Any, serializer: str, message: str) -> None:
    with pytest.raises(EncodeError, match=message):
        encode(body, serializer)


def test_an_unknown_serializer_is_named_with_those_that_exist() -> None:
    with pytest.raises(
        SerializerNotInstalled, match="no serializer 'jsn': known are json, raw, text, pickle, yaml, msgpack"
    ):
        encode({}, "jsn")


# -- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "content_type", "content_encoding", "expected"),
    [
        (b"[1]", "application/json", "utf-8", [1]),
        (b"[1]", "application/json", "UTF8", [1]),
        (b"[1]", "application/json", "BINARY", [1]),
        (b"[1]", "application/json", None, [1]),
        (b"[1]", "application/json", "", [1]),
        ("[1]", "application/json", "utf-8", [1]),
        (bytearray(b"[1]"), "application/json", "utf-8", [1]),
        (memoryview(b"[1]"), "application/json", "utf-8", [1]),
        ('["ä"]'.encode("latin-1"), "application/json", "ISO-8859-1", ["ä"]),
        ('["ä"]'.encode("utf-16"), "application/json", "utf-16", ["ä"]),
        (b"[1]", "Application/JSON; charset=utf-8", "utf-8", [1]),
        ("ä".encode(), "text/plain", "utf-8", "ä"),
        ("ä".encode(), "text/plain", None, "ä"),
        ("ä".encode("latin-1"), "text/plain", "latin-1", "ä"),
        (b"\xff", "text/plain", "binary", b"\xff"),
        ("ä", "text/plain", "utf-8", "ä"),
        (b"", "text/plain", "utf-8", ""),
        ("ä".encode(), "application/text", "utf-8", "ä"),
        (b"\xff", "application/data", "binary", b"\xff"),
        (b"\xff", "application/data", "ASCII-8BIT", b"\xff"),
        (b"\xff", "application/data", None, b"\xff"),
        (b"\xff", None, None, b"\xff"),
        (b"\xff", "", "", b"\xff"),
        (memoryview(b"\xff"), "application/data", "binary", b"\xff"),
        ("ä".encode(), "application/data", "utf-8", "ä"),
    ],
)
def test_what_is_read(data: Any, content_type: str | None, content_encoding: str | None, expected: Any) -> None:
    for accept in (None, JSON):
        found = decode(data, content_type, content_encoding, accept)
        assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("data", "content_type", "content_encoding", "message"),
    [
        (b"{", "application/json", "utf-8", "application/json: not JSON: .*line 1 column 2"),
        (b"", "application/json", "utf-8", "application/json: not JSON"),
        (b'"\xff"', "application/json", "utf-8", "application/json: not UTF-8: invalid start byte at byte 1"),
        (b"[" * 10_000, "application/json", "utf-8", "application/json: nested too deep"),
        (b"[1]", "application/json", "utf-99", "application/json: unknown charset 'utf-99' in content_encoding"),
        (b"[1]", "application/json", "a\0b", "application/json: unknown charset 'a.x00b'"),
        (b"[1]", "application/json", "zlib", "application/json: unknown charset 'zlib'"),
        (b"[1]", "application/json", "punycode", "application/json: unknown charset 'punycode'"),
        (b"[1]", "application/json", "raw-unicode-ESCAPE", "application/json: unknown charset 'raw-unicode-escape'"),
        (b"[1", "application/json", "utf-16", "application/json: (not utf-16|not JSON)"),
        (b"\xff", "text/plain", "utf-8", "text/plain: not utf-8: .*invalid start byte"),
        (b"\xff", "text/plain", None, "text/plain: not utf-8"),
        (b"\xff", "application/data", "gzip", "application/data: unknown charset 'gzip'"),
        (b"<a/>", "text/xml", "utf-8", "unknown content type 'text/xml': known are application/json, "),
        (b"", 7, "utf-8", "unknown content type 7"),
        (b"", "; charset=utf-8", "utf-8", "unknown content type '; charset=utf-8'"),
        (b"not a pickle", PICKLE, "binary", f"{PICKLE}: UnpicklingError"),
        (b"", PICKLE, "binary", f"{PICKLE}: EOFError"),
        (pickle.dumps(1) + b"end", PICKLE, "binary", f"{PICKLE}: 3 bytes follow its end"),
        (b"cno_such_module\nf\n.", PICKLE, "binary", f"{PICKLE}: ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_read_says_what_and_why(
    data: bytes, content_type: str, content_encoding: str | None, message: str
) -> None:
    with pytest.raises(DecodeError, match=message):
        decode(data, content_type, content_encoding, accept=frozenset(("application/json", PICKLE)))


def test_a_binary_format_has_no_charset() -> None:
    for content_encoding in ("binary", "utf-8", "latin-1", "utf-99", None):
        assert decode(pickle.dumps("ä", 4), PICKLE, content_encoding, frozenset((PICKLE,))) == "ä"


def test_json_with_kombus_types_goes_both_ways() -> None:
    body = {"when": date(2026, 1, 31), "raw": b"\xff", "n": 2**70, "nan": [None]}
    content_type, content_encoding, payload = encode(body)
    assert decode(payload, content_type, content_encoding) == body


def test_a_message_without_an_encoding_is_read_by_its_type() -> None:
    assert Message(Content("ä".encode(), "text/plain")).payload == "ä"
    assert Message(Content(b"[1]", "application/json")).payload == [1]
    assert Message(Content(b"\xff")).payload == b"\xff"


# -- what is accepted ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "listed"),
    [(None, "application/data, application/json, application/text, text/plain"), (JSON, "application/json"), ([], "")],
)
def test_pickle_is_refused_unread(accept: Any, listed: str) -> None:
    _, _, payload = encode(Trap(), "pickle")
    accept = accept if accept is None else frozenset(accept)
    for content_type in (PICKLE, PICKLE.upper(), f"{PICKLE};v=4"):
        with pytest.raises(
            ContentDisallowed, match=rf"{PICKLE} \(pickle\) is not accepted here; accepted are {listed}$"
        ):
            decode(payload, content_type, "binary", accept)
    assert Trap.sprung == 0
    decode(payload, PICKLE, "binary", frozenset((PICKLE,)))
    assert Trap.sprung == 1
    Trap.sprung = 0


def test_an_accept_list_shuts_out_json_too() -> None:
    with pytest.raises(ContentDisallowed, match="application/json"):
        decode(b"[1]", "application/json", "utf-8", frozenset((PICKLE,)))


def test_lists_of_names_and_types(registry: SerializerRegistry) -> None:
    prepare = registry.prepare_accept_content
    assert prepare(None) is None
    assert prepare([]) == frozenset()
    assert prepare(["json", "pickle", "x/own"]) == frozenset(("application/json", PICKLE, "x/own"))
    assert prepare(iter(("json", "text"))) == frozenset(("application/json", "text/plain"))
    assert prepare("json") == JSON
    with pytest.raises(SerializerNotInstalled, match="no serializer 'jsn'"):
        prepare(["jsn"])


def test_insecure_ones_can_be_let_in_and_shut_out(registry: SerializerRegistry) -> None:
    _, _, payload = registry.encode([1], "pickle")
    with pytest.raises(ContentDisallowed):
        registry.decode(payload, PICKLE, "binary")
    registry.enable_insecure_serializers()
    assert registry.decode(payload, PICKLE, "binary") == [1]
    registry.disable_insecure_serializers()
    with pytest.raises(ContentDisallowed):
        registry.decode(payload, PICKLE, "binary")
    registry.enable_insecure_serializers(["pickle"])
    assert registry.decode(payload, PICKLE, "binary") == [1]
    assert registry.decode(b"[1]", "application/json", "utf-8") == [1]
    registry.disable_insecure_serializers(allowed=None)
    with pytest.raises(ContentDisallowed):
        registry.decode(b"[1]", "application/json", "utf-8")
    assert registry.decode(b"text", "text/plain", "utf-8") == "text"
    registry.enable("application/json")
    assert registry.decode(b"[1]", "application/json", "utf-8") == [1]
    with pytest.raises(SerializerNotInstalled):
        registry.enable_insecure_serializers(["pikle"])


# -- registering -----------------------------------------------------------------------------------------------------


def test_a_registered_serializer(registry: SerializerRegistry) -> None:
    registry.register("csv", ",".join, lambda data: str(data, "utf-8").split(","), "text/csv")
    assert registry.encode(["a", "b"], "csv") == ("text/csv", "utf-8", b"a,b")
    assert registry.decode(b"a,b", "text/csv", "utf-8") == ["a", "b"]
    assert registry.name_to_type["csv"] == "text/csv"
    assert registry.type_to_name["text/csv"] == "csv"
    with pytest.raises(ContentDisallowed):
        registry.decode(b"a,b", "text/csv", "utf-8", JSON)
    registry.unregister("csv")
    with pytest.raises(SerializerNotInstalled, match="no serializer 'csv'"):
        registry.encode([], "csv")
    with pytest.raises(DecodeError, match="unknown content type 'text/csv'"):
        registry.decode(b"a,b", "text/csv", "utf-8")
    with pytest.raises(SerializerNotInstalled):
        registry.unregister("csv")


def test_whatever_a_registered_serializer_does_is_one_of_our_errors(registry: SerializerRegistry) -> None:
    def broken(value: Any) -> Any:
        raise LookupError("no table")

    registry.register("broken", broken, broken, "application/x-broken")
    registry.register("odd", lambda body: body, None, "application/x-odd")
    registry.register("mute", None, bytes, "application/x-mute")
    for serializer, message in [
        ("broken", "broken: list: LookupError: no table"),
        ("odd", "list is neither bytes nor str"),
        ("mute", "the serializer 'mute' can read but not write"),
    ]:
        with pytest.raises(EncodeError, match=message):
            registry.encode([1], serializer)
    with pytest.raises(DecodeError, match="application/x-broken: LookupError: no table"):
        registry.decode(b"", "application/x-broken", "utf-8")
    with pytest.raises(DecodeError, match="application/x-odd: the serializer 'odd' can write but not read"):
        registry.decode(b"", "application/x-odd", "utf-8")
    assert registry.decode(b"x", "application/x-mute", "binary") == b"x"


def test_a_serializer_may_take_over_a_plain_type_and_is_then_not_trusted(registry: SerializerRegistry) -> None:
    registry.register("signed", lambda body: b"signed " + body, lambda data: data[7:], "application/data", "binary")
    assert registry.decode(b"signed x", "application/data", "binary", frozenset(("application/data",))) == b"x"
    with pytest.raises(ContentDisallowed):
        registry.decode(b"signed x", "application/data", "binary", JSON)


# -- serializers that need a library ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content_type", "content_encoding"),
    [("yaml", "application/x-yaml", "utf-8"), ("msgpack", "application/x-msgpack", "binary")],
)
def test_yaml_and_msgpack(name: str, content_type: str, content_encoding: str) -> None:
    body = {"a": [1, None, "ä", 2.5, True], "b": {"c": []}}
    written = encode(body, name)
    assert written[:2] == (content_type, content_encoding)
    accept = serialization.prepare_accept_content([name])
    assert accept == frozenset((content_type,))
    assert decode(written[2], content_type, content_encoding, accept) == body
    with pytest.raises(ContentDisallowed, match=f"{content_type} .{name}. is not accepted here"):
        decode(written[2], content_type, content_encoding)
    with pytest.raises(DecodeError, match=f"{content_type}: "):
        decode(b"\xc1[", content_type, content_encoding, accept)
    with pytest.raises(EncodeError, match=f"{name}: dict: "):
        encode({"a": object()}, name)


@pytest.mark.parametrize(
    ("name", "distribution", "content_type"),
    [("yaml", "PyYAML", "application/x-yaml"), ("msgpack", "msgpack", "application/x-msgpack")],
)
def test_a_library_that_is_not_installed_is_named(
    name: str, distribution: str, content_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # Python's way to say that there is no such module
    message = f"{name} needs {distribution}: pip install {distribution}"
    with pytest.raises(SerializerNotInstalled, match=message):
        encode({}, name)
    with pytest.raises(SerializerNotInstalled, match=message):
        serialization.prepare_accept_content(["json", name])
    with pytest.raises(ContentDisallowed):
        decode(b"", content_type, "binary")
    with pytest.raises(DecodeError, match=f"{content_type}: {message}"):
        decode(b"", content_type, "binary", frozenset((content_type,)))
    SerializerRegistry().enable_insecure_serializers()  # asks for nothing yet
