"""What a launcher runs: one immutable value, which a reload replaces as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from kombu_green.config.problems import ConfigError
from kombu_green.config.settings import LoggingSettings, Settings
from kombu_green.launcher.child_states import ChildTimeouts
from kombu_green.launcher.limits import SoftLimits, resident_memory
from kombu_green.launcher.state_folder import state_folder

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """*command* is the argument list of a worker process; the launcher adds the options for its descriptors."""

    command: Sequence[str]
    processes: int = 1
    timeouts: ChildTimeouts = field(default_factory=ChildTimeouts)
    soft_limits: SoftLimits = field(default_factory=SoftLimits)
    hard_memory: int = 0  # bytes at which a process is killed; 0 is never
    logging: LoggingSettings | None = None  # None leaves the logging as it is
    state: Path | None = None  # the state folder that the ini file names now

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        command: Sequence[str],
        memory_of: Callable[[int], int | None] = resident_memory,
    ) -> Self:
        """The plan for *settings*; :exc:`ConfigError` for limits of memory where *memory_of* a process is not known."""
        limits = [key for key in ("soft_memory", "hard_memory") if getattr(settings.worker, key)]
        if limits and memory_of(os.getpid()) is None:
            text = "has no effect here: the memory of a process is read from /proc/PID/statm, which is not there"
            raise ConfigError([settings.problem("worker", key, text) for key in limits])
        return cls(
            command=command,
            processes=settings.worker.processes,
            timeouts=ChildTimeouts.from_settings(settings.worker),
            soft_limits=SoftLimits.from_settings(settings.worker),
            hard_memory=settings.worker.hard_memory or 0,
            logging=settings.logging,
            state=state_folder(settings),
        )
