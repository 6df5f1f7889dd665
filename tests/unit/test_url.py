"""Broker URLs: read once, written back for drivers, and never shown with a password."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.config.kinds import urls
from kombu_green.url import BrokerURL, mask, mask_url, split_urls

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
    [
        ("", "no '://'"),
        ("u:p@h", "no '://'"),
        ("amqp:/u:p@h", "no '://'"),
        ("amqp://h:x/", "port is not"),
        ("amqp://h:99999/", "port"),
        ("amqp:///u:p@h", "written %40"),
        ("amqp://u:5/p@h", "written %40"),
        ("amqp://u:p@ss/wo?rd@h/v", "written %40"),
        ("amqp://u:p@h#s@h", "written %40"),
    ],
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
        ("amqp://h:5672/v@w", "amqp://h:**@w"),  # it may as well be a password 5672/v
        ("amqp://u:p@h/v, says me@here", "amqp://u:**@h/v, says me@here"),
        ("amqp://[::1]:5672/v", "amqp://[::1]:5672/v"),
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
        ("amqp://u:5/q@h/v", "amqp://u:**@h/v"),
        ("amqp://u:p@ss/wo?rd@h/v", "amqp://u:**@h/v"),
        # and URLs that are none
        ("u:p@h", "u:**@h"),
        ("'u:p@h' is no URL, says me@here", "'u:**@h' is no URL, says me@here"),
        ("amqp:/u:p@h", "amqp:**@h"),
        ("amqp:///u:p@h", "amqp:///u:**@h"),
        # and those that are options
        ("redis://h?password=p&db=1", "redis://h?password=**&db=1"),
        ("sqla+mysql://u:p@h/d?ssl_Password=p", "sqla+mysql://u:**@h/d?ssl_Password=**"),
        ("redis://h?password=p;q&db=1;memory://", "redis://h?password=**&db=1;memory://"),
        ("redis://h?password=p;redis://i", "redis://h?password=**;redis://i"),
    ],
)
def test_masking(text: str, masked: str) -> None:
    assert mask(text) == masked
    assert mask(masked) == masked


passwords = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12).filter(
    lambda text: "://" not in text
)
#: what a URL looks like, and what people write instead; the password goes in as it is
forms = st.sampled_from(
    [
        "amqp://user:{}@host/v",
        "amqp://user:{}@host:5672/v?heartbeat=5",
        "amqp://:{}@host",
        "user:{}@host",
        "user:{}@host/v",
        "amqp:/user:{}@host",
        "amqp:user:{}@host",
        "amqp//user:{}@host",
        "amqp:///user:{}@host",
        "://user:{}@host",
        "sqla+mysql://user:{}@host/d",
        "redis://host?password={}",
        "redis://host?password={}&db=1",
    ]
)


def in_words(password: str) -> str:
    """*password* between two words that occur nowhere else."""
    return f"hunter{password}twosome"


def hidden(shown: str) -> bool:
    return "hunter" not in shown and "twosome" not in shown


def said_of(text: str) -> str:
    """How *text* is shown as a URL, or what is said to be wrong with it."""
    try:
        url = BrokerURL.parse(text)
    except ValueError as error:
        return str(error)
    return f"{url} {url!r}"


@given(forms, passwords)
def test_a_password_is_in_neither_the_error_nor_the_url(form: str, password: str) -> None:
    """Neither one that is encoded as it should be, nor one that is written as it is."""
    for written in (quote(in_words(password), safe=""), in_words(password)):
        text = form.format(written.replace("&", ""))
        assert hidden(mask_url(text)), text
        assert hidden(said_of(text)), text


@given(forms, passwords, st.sampled_from(["{}", "cannot reach {}: refused", "'{}', says me@here", "{};memory://"]))
def test_a_password_without_blanks_is_in_no_sentence(form: str, password: str, sentence: str) -> None:
    written = in_words("".join(password.split()).replace("'", "").replace('"', ""))
    assert hidden(mask(sentence.format(form.format(written))))


@given(passwords.map(lambda text: "".join(text.split())))
def test_what_is_around_a_password_is_shown(password: str) -> None:
    for written in (quote(in_words(password), safe=""), in_words(password)):
        assert mask(f"amqp://user:{written}@host/v") == "amqp://user:**@host/v"


@given(forms, passwords, st.sampled_from(["{}", "memory://;{}", "{};memory://"]))
def test_a_password_is_in_no_problem_of_a_setting(form: str, password: str, value: str) -> None:
    """In a list of URLs a ``;`` in a password divides it: none of its parts is shown."""
    text = value.format(form.format(in_words(password)))
    try:
        shown = urls().show(urls().read(text, Path()))
    except ValueError as error:
        shown = str(error)
    assert hidden(shown), text


def test_lists() -> None:
    assert split_urls(" amqp://a ;; amqp://b; ") == ["amqp://a", "amqp://b"]
    assert split_urls(" ") == []
