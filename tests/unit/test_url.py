"""Broker URLs: read once, written back for drivers, and never shown with a password."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.url import BrokerURL, mask, split_urls

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("memory", BrokerURL("memory")),
        ("memory://", BrokerURL("memory")),
        ("AMQP://Host", BrokerURL("amqp", "host")),
        ("amqp://u:p@h:5672/v", BrokerURL("amqp", "h", 5672, "u", "p", "v")),
        ("amqp://u%40:p%2F%40%3A@h/%2F", BrokerURL("amqp", "h", None, "u@", "p/@:", "/")),
        ("redis://:p@h/1?a=b&c=", BrokerURL("redis", "h", None, "", "p", "1", {"a": "b", "c": ""})),
        ("amqp://[::1]:5672/", BrokerURL("amqp", "::1", 5672)),
        ("sqla+sqlite:///x.db", BrokerURL("sqla", rest="sqlite:///x.db")),
        ("sqla+mysql+pymysql://u:p@h/d", BrokerURL("sqla", rest="mysql+pymysql://u:p@h/d")),
    ],
)
def test_reading(text: str, url: BrokerURL) -> None:
    assert BrokerURL.parse(text) == url


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "no '://'"), ("u:p@h", "no '://'"), ("amqp://h:x/", "port is not"), ("amqp://h:99999/", "port")],
)
def test_what_is_no_url(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BrokerURL.parse(text)


@given(texts, texts, texts)
def test_what_is_written_reads_back(user: str, password: str, virtual_host: str) -> None:
    url = BrokerURL("amqp", "h", 1, user, password, virtual_host)
    assert BrokerURL.parse(url.unmasked()) == url


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("", ""),
        ("memory", "memory"),
        ("amqp://h:5672/v", "amqp://h:5672/v"),
        ("amqp://u@h", "amqp://u@h"),
        ("amqp://u:p@h:5672/v", "amqp://u:**@h:5672/v"),
        ("amqp://:p@h", "amqp://:**@h"),
        ("amqp://u:p@h;amqp://v:q@i", "amqp://u:**@h;amqp://v:**@i"),
        ("sqla+mysql://u:p@h/d", "sqla+mysql://u:**@h/d"),
        ("cannot reach amqp://u:p@h/v (refused)", "cannot reach amqp://u:**@h/v (refused)"),
        ("amqp://h:5672/v@w", "amqp://h:5672/v@w"),
        ("amqp://u:p@h/v, says me@here", "amqp://u:**@h/v, says me@here"),
        ("amqp://[::1]:5672/v@w", "amqp://[::1]:5672/v@w"),
        ("cannot reach amqp://h:5672: refused by me@here", "cannot reach amqp://h:5672: refused by me@here"),
        ("'amqp://h:5672'", "'amqp://h:5672'"),
        ("amqp://u:half", "amqp://u:**"),
        ("'amqp://u:5half': no", "'amqp://u:**': no"),
        # passwords that should have been percent-encoded
        ("amqp://u:p/q@h/v", "amqp://u:**@h/v"),
        ("amqp://u:p?q@h/v", "amqp://u:**@h/v"),
        ("amqp://u:p#q@h/v", "amqp://u:**@h/v"),
        ("amqp://u:p;q@h/v", "amqp://u:**@h/v"),
        ("amqp://u:p:q@r@h/v", "amqp://u:**@h/v"),
        # and those that are options
        ("redis://h?password=p&db=1", "redis://h?password=**&db=1"),
        ("sqla+mysql://u:p@h/d?ssl_Password=p", "sqla+mysql://u:**@h/d?ssl_Password=**"),
    ],
)
def test_masking(text: str, masked: str) -> None:
    assert mask(text) == masked
    assert mask(masked) == masked


@given(texts.filter(lambda text: "://" not in text and text.split() == [text]))
def test_no_password_is_ever_shown(password: str) -> None:
    """Neither one that is encoded as it should be, nor one that is written as it is."""
    marked = f"hunter{password}two"
    for written in (quote(marked, safe=""), marked):
        shown = mask(f"amqp://user:{written}@host/v")
        assert shown == "amqp://user:**@host/v"
    url = BrokerURL.parse(f"amqp://user:{quote(marked, safe='')}@host/v")
    assert "hunter" not in f"{url} {url!r}"


def test_lists() -> None:
    assert split_urls(" amqp://a ;; amqp://b; ") == ["amqp://a", "amqp://b"]
    assert split_urls(" ") == []
