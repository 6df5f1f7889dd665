"""What a launcher makes of an ini file."""

from __future__ import annotations

from pathlib import Path

import pytest

from kombu_green.config.loader import read_settings
from kombu_green.config.problems import ConfigError
from kombu_green.launcher.plan import Plan

INI = """\
[worker]
processes = 3
soft_memory = 200MiB
hard_memory = 300MiB
max_messages = 50
graceful_timeout = 7s
state = kept
[broker]
url = memory
[consumer:a]
queue = a
callback = a:b
"""


def test_a_plan_has_what_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "w.ini").write_text(INI)
    settings = read_settings(tmp_path / "w.ini", [])
    plan = Plan.from_settings(settings, ["run"])
    assert (plan.command, plan.processes, plan.state) == (["run"], 3, tmp_path / "kept")
    assert (plan.soft_limits.messages, plan.soft_limits.memory) == (50, settings.worker.soft_memory)
    assert (plan.timeouts.graceful, plan.hard_memory) == (7.0, settings.worker.hard_memory)
    assert plan.logging == settings.logging


def test_limits_of_memory_are_refused_where_memory_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "w.ini").write_text(INI)
    with pytest.raises(ConfigError) as caught:
        Plan.from_settings(read_settings(tmp_path / "w.ini", []), ["run"], memory_of=lambda pid: None)
    assert [(problem.key, problem.where) for problem in caught.value.problems] == [
        ("soft_memory", f"{tmp_path / 'w.ini'}:3"),
        ("hard_memory", f"{tmp_path / 'w.ini'}:4"),
    ]
    (tmp_path / "w.ini").write_text(INI.replace("soft_memory", "# soft").replace("hard_memory", "# hard"))
    assert Plan.from_settings(read_settings(tmp_path / "w.ini", []), ["run"], memory_of=lambda pid: None).processes == 3
