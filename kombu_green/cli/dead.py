"""``kombu-worker dead``: needs a broker, so this process becomes one of those that may have one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from kombu_green.launcher.child_process import child_environment, module_command

__all__ = ["dead"]


def dead(argv: Sequence[str]) -> NoReturn:
    """Run the verb with what follows it in the place of this process: signals and the terminal are its own then."""
    command = module_command("kombu_green.dead_letters", argv)
    os.execve(command[0], command, child_environment())
