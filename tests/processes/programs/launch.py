"""Runs a launcher that is described by one JSON argument: ``command``, ``processes``, ``timing``, ``backoff``."""

from __future__ import annotations

import json
import sys

from kombu_green.config.logs import configure
from kombu_green.config.settings import LoggingSettings
from kombu_green.launcher.launcher import Launcher
from kombu_green.launcher.states import Timing
from kombu_green.retry import Backoff

given = json.loads(sys.argv[1])
configure(LoggingSettings(level="debug", format="json"))
launcher = Launcher(
    given["command"],
    processes=given["processes"],
    timing=Timing(**given["timing"]),
    backoff=Backoff(**given["backoff"]),
)
sys.exit(launcher.run())
