"""``kombu-worker`` without a verb: runs what the file describes, or checks it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from kombu_green.cli.arguments import Arguments, parse
from kombu_green.config.logs import configure
from kombu_green.config.problems import ConfigError
from kombu_green.config.reading import read
from kombu_green.config.settings import Settings
from kombu_green.exit_codes import ExitCode
from kombu_green.launcher.child_process import child_command, child_environment
from kombu_green.launcher.launcher import Launcher
from kombu_green.launcher.plan import Plan
from kombu_green.launcher.state_folder import prepared

__all__ = ["run"]


def run(argv: Sequence[str]) -> int:
    """Run ``kombu-worker`` with *argv*; returns the exit code, which ``--help`` explains."""
    parent = os.getppid()
    arguments = parse(argv)

    def plan(settings: Settings | None = None) -> Plan:
        settings = settings or read(arguments.file, arguments.overrides)
        return Plan.from_settings(settings, child_command("run", arguments.file, arguments.overrides))

    try:
        settings = read(arguments.file, arguments.overrides)
        state = None if arguments.check else prepared(settings)
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"kombu-worker: {problem}\n")
        return ExitCode.CANNOT_BOOT
    if arguments.check:
        return _check(arguments)
    configure(settings.logging)
    guardian = parent if arguments.stop_with_parent else None
    return Launcher(plan(settings), reread=plan, state=state, file=arguments.file, guardian=guardian).run()


def _check(arguments: Arguments) -> int:
    """The file itself is good: a child looks at the callbacks and the transport, and prints everything."""
    command = child_command("check", arguments.file, arguments.overrides)
    # in a group of its own, a Ctrl-C does not reach it: it is killed without a traceback
    done = subprocess.run(command, stdin=subprocess.DEVNULL, env=child_environment(), process_group=0, check=False)
    return done.returncode
