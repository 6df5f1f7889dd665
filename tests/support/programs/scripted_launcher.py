"""Runs a launcher with the settings in its one argument, a JSON object.

Its keys are ``command``, ``processes``, ``timeouts``, ``backoff``, ``limits`` and ``hard_memory``. The launcher keeps
its state in the current folder. SIGHUP reads the changed settings from the file ``plan`` there, if there is one. A file
``vmstat`` is read in place of ``/proc/vmstat``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kombu_green.config.logs import configure
from kombu_green.config.problems import ConfigError, Problem
from kombu_green.config.settings import LoggingSettings
from kombu_green.launcher.child_states import ChildTimeouts
from kombu_green.launcher.launcher import Launcher
from kombu_green.launcher.limits import OomKills, SoftLimits
from kombu_green.launcher.plan import Plan
from kombu_green.retry import Backoff

given = json.loads(sys.argv[1])


def plan() -> Plan:
    changed = Path("plan")
    now = given | (json.loads(changed.read_text()) if changed.exists() else {})
    if "problems" in now:
        raise ConfigError([Problem(text, "w.ini:3") for text in now["problems"]])
    return Plan(
        command=now["command"],
        processes=now["processes"],
        timeouts=ChildTimeouts(**now["timeouts"]),
        soft_limits=SoftLimits(**now["limits"]),
        hard_memory=now["hard_memory"],
        state=Path(now.get("state", ".")),
    )


configure(LoggingSettings(level="debug", format="json"))
vmstat = Path("vmstat")
oom_kills = OomKills(vmstat if vmstat.exists() else Path("/proc/vmstat"))
sys.exit(
    Launcher(plan(), reread=plan, backoff=Backoff(**given["backoff"]), oom_kills=oom_kills, state=Path.cwd()).run()
)
