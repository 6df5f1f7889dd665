"""The example configuration says what the example application needs."""

from __future__ import annotations

from pathlib import Path

from kombu_green.config.loader import read_settings
from workers import media

ROOT = Path(__file__).parents[2]


def test_media_ini() -> None:
    settings = read_settings(ROOT / "conf" / "media.ini", environ={})
    assert settings.worker.path == ROOT
    assert settings.broker.url == f"sqla+sqlite:///{ROOT / 'var' / 'media.db'}"
    consumer = settings.consumers["media"]
    assert consumer.callback == f"{media.__name__}:{media.handle.__name__}"
    assert consumer.offload
    assert settings.retries[str(consumer.retry)].not_on == (f"{media.__name__}:{media.Unreadable.__name__}",)


def test_another_broker_comes_from_the_environment() -> None:
    url = "amqp://guest:s%40crt@127.0.0.1:5672/vhost"
    assert read_settings(ROOT / "conf" / "media.ini", environ={"KOMBU_GREEN_BROKER": url}).broker.url == url
