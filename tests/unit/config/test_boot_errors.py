"""A broker's refusal gets the line of the file that it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from kombu_green.config.boot_errors import located
from kombu_green.config.loader import read_settings
from kombu_green.config.problems import ConfigError, Problem
from kombu_green.exceptions import AccessRefused, KombuError, NotFound, PreconditionFailed

INI = """\
[broker]
url = amqp://u:hunter2@h/v
[exchange:e]
[queue:own]
[consumer:c]
queue = own, other
callback = a:b
"""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AccessRefused("no"), ":2: [broker] url: amqp://u:**@h/v: no"),
        (PreconditionFailed("arg of queue 'own' in vhost"), ":4: [queue:own]: amqp://u:**@h/v: arg of queue 'own' in"),
        (PreconditionFailed("arg of queue 'other' in vhost"), ":6: [consumer:c] queue: amqp://u:**@h/v: arg of"),
        (PreconditionFailed("arg of exchange 'e' in vhost"), ":3: [exchange:e]: amqp://u:**@h/v: arg of"),
        (PreconditionFailed("arg of queue 'else'"), ":2: [broker] url: amqp://u:**@h/v: arg of"),
        (ConfigError([Problem("no", section="queue:other")]), ":6: [consumer:c] queue: no"),
        (ConfigError([Problem("no", section="exchange:e")]), ":3: [exchange:e]: no"),
    ],
)
def test_a_refusal_names_its_line(tmp_path: Path, error: KombuError, said: str) -> None:
    (tmp_path / "w.ini").write_text(INI)
    settings = read_settings(tmp_path / "w.ini")
    with pytest.raises(ConfigError) as caught, located(settings):
        raise error
    assert str(caught.value).startswith(f"{tmp_path}/w.ini{said}")


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "w.ini").write_text(INI)
    settings = read_settings(tmp_path / "w.ini")
    for error in (NotFound("no"), ConfigError([Problem("no", "w.ini:9")]), ConfigError([Problem("no")])):
        with pytest.raises(type(error)) as caught, located(settings):
            raise error
        assert str(caught.value) == str(error)
