"""Where the process meets the worker."""

from __future__ import annotations

from kombu_green.boot.work import Work
from kombu_green.config.settings import Settings
from kombu_green.exceptions import UnsupportedOption

__all__ = ["build"]


def build(settings: Settings) -> Work:
    """The worker that *settings* describe, built and not started."""
    raise UnsupportedOption(f"{settings.file}: this version has no worker yet")
