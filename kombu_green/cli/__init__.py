"""``kombu-worker``: reads the command line and the file, then launches; never imports gevent, a driver or an
application.

What needs an application or a broker runs in a child, ``python -m kombu_green.child``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from kombu_green.exit_codes import ExitCode
from kombu_green.plugins import load

__all__ = ["main"]

#: by its first word, what runs; one of them is imported, since whoever asks for a status shall not wait for the others
_VERBS: Final = {"dead": "kombu_green.cli.dead:dead", "status": "kombu_green.cli.status:status"}
_NO_VERB: Final = "kombu_green.cli.running:run"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with *argv* (the process's own by default); returns the exit code, which ``--help`` explains."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = _VERBS.get(arguments[0]) if arguments else None
    if verb is None and arguments and arguments[0][:1] not in ("", "-"):
        hint = load("kombu_green.suggestions:did_you_mean")(arguments[0], _VERBS)
        sys.stderr.write(f"kombu-worker: there is no verb {arguments[0]!r}{hint}\n")
        return ExitCode.USAGE
    try:
        code: int = load(_NO_VERB)(arguments) if verb is None else load(verb)(arguments[1:])
    except SystemExit as over:  # of the command line; --help and --version are, too
        return over.code if isinstance(over.code, int) else ExitCode.USAGE
    except KeyboardInterrupt:  # before the launcher takes signals, or in --check
        return ExitCode.INTERRUPTED
    return code
