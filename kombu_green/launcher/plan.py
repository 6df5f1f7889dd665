"""What a launcher runs: one immutable value, which a reload replaces as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from kombu_green.config.settings import LoggingSettings, Settings
from kombu_green.launcher.child_states import ChildTimeouts
from kombu_green.launcher.limits import SoftLimits
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
    def from_settings(cls, settings: Settings, command: Sequence[str]) -> Self:
        return cls(
            command=command,
            processes=settings.worker.processes,
            timeouts=ChildTimeouts.from_settings(settings.worker),
            soft_limits=SoftLimits.from_settings(settings.worker),
            hard_memory=settings.worker.hard_memory or 0,
            logging=settings.logging,
            state=state_folder(settings),
        )
