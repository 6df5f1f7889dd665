"""``kombu-worker``: reads the command line and the file, then launches; never imports gevent, a driver or an
application.

What needs an application or a broker runs in a child, ``python -m kombu_green.boot``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

from kombu_green.cli.arguments import Arguments, parse
from kombu_green.cli.status import status
from kombu_green.config.logs import configure
from kombu_green.config.problems import ConfigError
from kombu_green.config.reading import read
from kombu_green.config.settings import Settings
from kombu_green.launcher.children import boot_command, boot_verb, child_environment
from kombu_green.launcher.ending import ExitCode
from kombu_green.launcher.launcher import Launcher
from kombu_green.launcher.plan import Plan
from kombu_green.launcher.statefolder import prepared

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with *argv* (the process's own by default); returns the exit code, which ``--help`` explains."""
    try:
        return _main(argv)
    except SystemExit as over:  # of the command line; --help and --version are, too
        return over.code if isinstance(over.code, int) else ExitCode.USAGE
    except KeyboardInterrupt:  # before the launcher takes signals, or in --check
        return ExitCode.INTERRUPTED


def _main(argv: Sequence[str] | None) -> int:
    verb, *rest = (sys.argv[1:] if argv is None else argv) or [""]
    if verb == "dead":
        return _become(boot_verb("dead", rest))
    if verb == "status":
        return status(rest)
    arguments = parse(argv)

    def plan(settings: Settings | None = None) -> Plan:
        settings = settings or read(arguments.file, arguments.overrides)
        return Plan.of(settings, boot_command("run", arguments.file, arguments.overrides))

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
    return Launcher(plan(settings), reread=plan, state=state, file=arguments.file).run()


def _become(command: list[str]) -> NoReturn:
    """Run *command* in the place of this process: signals and the terminal are its own then."""
    os.execve(command[0], command, child_environment())


def _check(arguments: Arguments) -> int:
    """The file itself is good: a child looks at the callbacks and the transport, and prints everything."""
    command = boot_command("check", arguments.file, arguments.overrides)
    # in a group of its own, a Ctrl-C does not reach it: it is killed without a traceback
    done = subprocess.run(command, stdin=subprocess.DEVNULL, env=child_environment(), process_group=0, check=False)
    return done.returncode
