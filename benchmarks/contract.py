"""What a peer and a workload are to the runner.

A workload says what is measured, how much of it, and with whom; a peer says in which environment its module runs, and
the module how each thing is done with that library.  Neither knows the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Case", "Peer", "Server", "Workload", "no_server"]

#: started once for a run, in a folder of its own; gives its URL, and ends with the ``with`` block
Server = Callable[[Path], AbstractContextManager[str]]


@contextmanager
def no_server(folder: Path) -> Iterator[str]:
    """For what runs within the process, or on files that each round has for itself."""
    yield ""


@dataclass(frozen=True)
class Peer:
    """*module* has ``MEASURES``; *lock* is the file in ``benchmarks/peers`` that its environment is made from."""

    name: str
    module: str
    patched: bool = False  # gevent patches before the module is imported
    lock: str | None = None  # None: the interpreter that the runner runs in
    distributions: tuple[str, ...] = ()  # whose versions are worth a mention


@dataclass(frozen=True)
class Case:
    """One row of figures a peer: *warm_up* messages go before the *messages* that count."""

    what: str
    peers: tuple[str, ...]
    messages: int
    name: str = ""  # empty when the workload has one case only
    warm_up: int = 0
    seconds: float = 60.0  # a round ends by itself after these, and is ended soon after


@dataclass(frozen=True)
class Workload:
    name: str
    cases: tuple[Case, ...]
    server: Server = no_server
