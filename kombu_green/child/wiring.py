"""Where the process meets the worker."""

from __future__ import annotations

from kombu_green.child.work import Work
from kombu_green.config.settings import Settings
from kombu_green.worker.app import Worker

__all__ = ["build"]


def build(settings: Settings) -> Work:
    """The worker that *settings* describe, built and not started."""
    return Worker.from_settings(settings)
