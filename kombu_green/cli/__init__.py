"""``kombu-worker``: chooses the module of this package that runs the verb.

None of them imports gevent, a driver or an application.  What needs those runs in another process: a child
(``python -m kombu_green.child``) or ``python -m kombu_green.dead_letters``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from kombu_green.exit_codes import ExitCode
from kombu_green.plugins import load

__all__ = ["main"]

#: the function that runs each verb; only the one in use is imported, so that ``status`` starts fast
_VERBS: Final = {"dead": "kombu_green.cli.dead:dead", "status": "kombu_green.cli.status:status"}
_NO_VERB: Final = "kombu_green.cli.run:run"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (by default that of this process); returns the exit code, see ``--help``."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = _VERBS.get(arguments[0]) if arguments else None
    if verb is None and arguments and arguments[0][:1] not in ("", "-"):
        given = arguments[0]
        is_file = given.endswith((".ini", ".cfg", ".conf")) or "/" in given
        suggest = load("kombu_green.suggestions:did_you_mean")
        hint = f"; a file is given with -c: kombu-worker -c {given}" if is_file else suggest(given, _VERBS)
        sys.stderr.write(f"kombu-worker: there is no verb {arguments[0]!r}{hint}\n")
        return ExitCode.USAGE
    try:
        code: int = load(_NO_VERB)(arguments) if verb is None else load(verb)(arguments[1:])
    except SystemExit as end:  # raised by argparse, also for --help and --version
        return end.code if isinstance(end.code, int) else ExitCode.USAGE
    except KeyboardInterrupt:  # before the launcher handles SIGINT, or during --check
        return ExitCode.INTERRUPTED
    return code
