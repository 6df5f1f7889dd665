"""What a launcher runs, as a value that a reload replaces as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from kombu_green.config.settings import LoggingSettings, Settings
from kombu_green.launcher.recycling import Limits
from kombu_green.launcher.statefolder import state_folder
from kombu_green.launcher.states import Timing

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """*command* is the argument list of a worker process, to which its descriptors are added."""

    command: Sequence[str]
    processes: int = 1
    timing: Timing = field(default_factory=Timing)
    limits: Limits = field(default_factory=Limits)
    hard_memory: int = 0  # bytes at which a process is killed; 0 is never
    logging: LoggingSettings | None = None  # None leaves it as it is
    state: Path | None = None  # the folder for what outlives a restart, as the file has it now

    @classmethod
    def of(cls, settings: Settings, command: Sequence[str]) -> Self:
        return cls(
            command=command,
            processes=settings.worker.processes,
            timing=Timing.of(settings.worker),
            limits=Limits.of(settings.worker),
            hard_memory=settings.worker.hard_memory or 0,
            logging=settings.logging,
            state=state_folder(settings),
        )
