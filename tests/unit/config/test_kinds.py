"""Values: what is read, what is refused with which message, and that a shown value can be read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.config import kinds
from kombu_green.config.kinds import show_duration

HERE = Path("/srv/app/conf")


def read(kind: kinds.Kind[Any], text: str) -> Any:
    return kind.read(text, HERE)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("10m", 600),
        ("2h", 7200),
        ("1d", 86400),
        ("1.5s", 1.5),
        ("0", 0),
        ("0s", 0),
        ("2 s", 2),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert read(kinds.duration(), text) == seconds


@pytest.mark.parametrize(
    "text", ["", "-1s", "1", "30", "1.5", "s", "1w", "1M", "1s 2m", "inf", "nan", "1e3s", "٣s", "1s\n"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        read(kinds.duration(), text)


def test_a_duration_without_a_unit_gets_a_suggestion() -> None:
    with pytest.raises(ValueError, match=r"did you mean 30s\?"):
        read(kinds.duration(), "30")


def test_durations_have_bounds() -> None:
    with pytest.raises(ValueError, match="too long: 366d or less"):
        read(kinds.duration(), "999999999999d")
    with pytest.raises(ValueError, match="too short: 1s or more"):
        read(kinds.duration(1.0), "0")


@given(st.integers(0, 366 * 86400 * 1000).map(lambda ms: ms / 1000))
def test_durations_read_back(seconds: float) -> None:
    assert read(kinds.duration(), show_duration(seconds)) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "value"),
    [("65536", 65536), ("64KiB", 65536), ("1mib", 1 << 20), ("2GiB", 2 << 30), ("5 MB", 5_000_000), ("7b", 7)],
)
def test_sizes(text: str, value: int) -> None:
    assert read(kinds.size(), text) == value


@pytest.mark.parametrize("text", ["", "-1", "1.5MiB", "MiB", "64 apples", "1MiBB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        read(kinds.size(), text)


@given(st.integers(0, 2**45))
def test_sizes_read_back(value: int) -> None:
    kind = kinds.size()
    assert read(kind, kind.show(value)) == value


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("No", False), ("TRUE", True), ("off", False)])
def test_flags(text: str, value: bool) -> None:
    assert read(kinds.flag(), text) is value


@pytest.mark.parametrize("text", ["", "1", "ja", "yess"])
def test_what_is_no_flag(text: str) -> None:
    with pytest.raises(ValueError, match="neither yes nor no"):
        read(kinds.flag(), text)


def test_whole_numbers_have_bounds() -> None:
    kind = kinds.integer(1, 10)
    assert read(kind, "10") == 10
    for text in ("0", "11", "-1"):
        with pytest.raises(ValueError, match="out of range: from 1 to 10"):
            read(kind, text)
    for text in ("", "1.0", "1_0", "x", "٣", "9" * 5000):
        with pytest.raises(ValueError, match="is not a whole number"):
            read(kind, text)


@pytest.mark.parametrize(
    ("text", "value"), [("1s..10m", (1, 600)), ("1s .. 10m", (1, 600)), ("5s", (5, 5)), ("0..1s", (0, 1))]
)
def test_backoffs(text: str, value: tuple[float, float]) -> None:
    kind = kinds.backoff()
    assert read(kind, text) == value
    assert read(kind, kind.show(value)) == value


@pytest.mark.parametrize("text", ["10m..1s", "1s..", "..1s", "1..5", "1s...2s"])
def test_what_is_no_backoff(text: str) -> None:
    with pytest.raises(ValueError, match=r"longer than|not a duration"):
        read(kinds.backoff(), text)


def test_lists() -> None:
    kind = kinds.names()
    assert read(kind, "a, b,c,") == ("a", "b", "c")
    assert read(kind, "a,\nb\nc") == ("a", "b", "c")
    assert read(kind, "") == ()
    with pytest.raises(ValueError, match="empty place"):
        read(kind, "a,,b")
    with pytest.raises(ValueError, match="twice"):
        read(kind, "a, a")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("yes", True),
        ("false", False),
        ("quorum", "quorum"),
        ('"5"', "5"),
        ('""', ""),
        ("1.5", "1.5"),
    ],
)
def test_arguments_are_typed_as_they_look(text: str, value: Any) -> None:
    found = read(kinds.argument(), text)
    assert (found, type(found)) == (value, type(value))


@given(st.one_of(st.integers(-(10**17), 10**17), st.booleans(), st.text(st.characters(exclude_categories=("C", "Z")))))
def test_arguments_read_back(value: Any) -> None:
    kind = kinds.argument()
    found = read(kind, kind.show(value))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sqla+sqlite:///var/x.db", "sqla+sqlite:////srv/app/conf/var/x.db"),
        ("sqla+sqlite:///../x.db?timeout=5", "sqla+sqlite:////srv/app/x.db?timeout=5"),
        ("sqlalchemy+sqlite+pysqlite:///x.db", "sqlalchemy+sqlite+pysqlite:////srv/app/conf/x.db"),
        ("sqla+sqlite:////abs/x.db", "sqla+sqlite:////abs/x.db"),
        ("sqla+sqlite:///:memory:", "sqla+sqlite:///:memory:"),
        ("sqla+sqlite://", "sqla+sqlite://"),
        ("sqla+sqlite:///file:x.db?uri=true", "sqla+sqlite:///file:x.db?uri=true"),
        ("sqla+postgresql://u:p%40@h/db", "sqla+postgresql://u:p%40@h/db"),
        ("amqp://a ; amqp://b;", "amqp://a;amqp://b"),
        ("memory", "memory"),
    ],
)
def test_urls_and_where_a_sqlite_file_is(text: str, value: str) -> None:
    assert read(kinds.urls(), text) == value


def test_a_bad_url_never_shows_its_password() -> None:
    with pytest.raises(ValueError, match="port is not a number") as caught:
        read(kinds.urls(), "amqp://user:secret@host:port/v")
    assert "secret" not in str(caught.value)
    for password in ("one#two", "one;two", "one/two", "one?two"):
        with pytest.raises(ValueError, match="are written %2F") as caught:
            read(kinds.urls(), f"amqp://user:{password}@host/v")
        assert "one" not in str(caught.value)
        assert "two" not in str(caught.value)
    with pytest.raises(ValueError, match="is empty"):
        read(kinds.urls(), " ; ")
    assert kinds.urls().show("amqp://u:secret@h/v;amqp://u:secret@i") == "amqp://u:**@h/v;amqp://u:**@i"


def test_a_sqlite_folder_that_no_url_can_name() -> None:
    with pytest.raises(ValueError, match="no URL can say"):
        kinds.urls().read("sqla+sqlite:///x.db", Path("/srv/what?"))


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    assert kinds.folder().read("..", tmp_path / "conf") == tmp_path
    with pytest.raises(ValueError, match="there is no folder"):
        kinds.folder().read("nowhere", tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for text in ("~nobody-of-this-name/x", "x" * 5000, "loop"):
        with pytest.raises(ValueError, match=r"cannot be looked at|there is no folder"):
            kinds.folder().read(text, tmp_path)


def test_a_comment_behind_a_name_is_not_a_part_of_it() -> None:
    for text in ("video # the big ones", "video ; old", "a#b", "two words"):
        for kind in (kinds.single_name(), kinds.names()):
            with pytest.raises(ValueError, match="a comment is a line of its own"):
                kind.read(text, Path())
        assert kinds.single_name().read(f'"{text}"', Path()) == text
        assert kinds.names().read(f'a, "{text}"', Path()) == ("a", text)
        assert kinds.names().read(kinds.names().show(("a", text)), Path()) == ("a", text)
    with pytest.raises(ValueError, match="a comment is a line of its own"):
        kinds.pattern().read("video.* # all", Path())
    for text in ("video.#", "#", "a b", "a # b"):
        assert kinds.pattern().read(kinds.pattern().show(text), Path()) == text


def test_choices() -> None:
    kind = kinds.choice("direct", "topic", prefix="x-")
    assert read(kind, "topic") == "topic"
    assert read(kind, "x-delayed-message") == "x-delayed-message"
    with pytest.raises(ValueError, match="'topci' is not one of direct, topic"):
        read(kind, "topci")
