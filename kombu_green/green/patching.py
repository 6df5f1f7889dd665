"""Patching first, and proof that it was first.

A module that took a name from the standard library before gevent replaced it keeps the one that blocks: its sockets
stop the hub, its locks stop the process.  So a patched program calls :func:`patch` in its very first statement, and
whoever needs it patched calls :func:`require_patched`.  That finds such modules by what they hold, so it does not
matter who did the patching (gunicorn's gevent worker, for one).

Importing this module, or any of the package, patches nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, Final

# Nothing more may be imported here: child and dead_letters call patch() before any other import.
from gevent import monkey

from kombu_green.exceptions import NotPatched
from kombu_green.green.locks import mend

__all__ = ["patch", "require_patched", "too_early"]

#: what has to be patched; the order is that of the error message
REQUIRED: Final = ("socket", "ssl", "select", "time", "threading", "queue", "subprocess")

# What blocks, or makes what blocks.  Functions that only look such a name up when they are called (threading.Thread,
# subprocess.run, queue.Queue) are as good as patched, whenever they were imported.
_BLOCKING: Final = {
    "socket": ("socket", "getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo"),
    "ssl": ("SSLContext", "SSLSocket"),
    "select": ("select", "poll", "epoll", "kqueue"),
    "time": ("sleep",),
    "_thread": ("allocate_lock", "start_new_thread"),
    "threading": ("Lock", "local"),
    "queue": ("SimpleQueue",),
    "subprocess": ("Popen",),
    "os": ("fork", "waitpid"),
}
# gevent's own house and ours, and tools that keep the originals on purpose because they watch from outside
_EXEMPT: Final = frozenset(
    {"gevent", "greenlet", "zope", "kombu_green", "coverage", "debugpy", "pydevd", "_pydevd_bundle", "_pydev_bundle"}
)

_WHAT_TO_DO: Final = (
    "Start the program with kombu-worker, which patches first,"
    " or make `from gevent import monkey; monkey.patch_all()` its very first statement"
)


def patch() -> None:
    """Patch the standard library, and mend the locks that this makes; calling it again does nothing."""
    if _unpatched():
        monkey.patch_all()
    mend()


def require_patched() -> None:
    """Return if the standard library is patched and nobody was early.

    Raises :exc:`~kombu_green.exceptions.NotPatched` that names what is not patched, or every module that came too early
    with one thing that it holds, and says what to do.
    """
    missing = _unpatched()
    if missing:
        what = "is not patched by gevent" if len(missing) == len(REQUIRED) else f"is patched without {_listed(missing)}"
        raise NotPatched(f"the standard library {what}: {_WHAT_TO_DO}")
    early = [f"{module} ({why})" for module, why in too_early().items()]
    if early:
        raise NotPatched(f"imported before gevent patched the standard library: {_listed(early)}. {_WHAT_TO_DO}")


def too_early() -> dict[str, str]:
    """The modules that hold something of the standard library as it was before the patches, and what, by name.

    Looked at are a module's own names, the bases of its classes and its locks.  Modules of the standard library are
    left out, as gevent sees to those that matter; but for ``ssl``, whose classes are made of the sockets that it found.
    """
    originals = _originals()
    found = {}
    for name, module in list(sys.modules.items()):
        if type(module) is not ModuleType:
            continue  # a lazy one: a look inside would import it
        if name == "ssl" and _ssl_was_early():
            found[name] = f"imported by {importer}" if (importer := _importer_of_ssl(module)) else "with its sockets"
        elif name == "__main__" or not _trusted(name):
            held = _held(name, module.__dict__, originals)
            if held is not None:
                found[name] = f"holds {held}"
    return found


def _unpatched() -> list[str]:
    return [name for name in REQUIRED if not monkey.is_module_patched(name)]


def _trusted(module: str) -> bool:
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in _EXEMPT


def _originals() -> dict[int, str]:
    """What was replaced and what locks are made of, by identity, with its name."""
    found = {
        id(monkey.get_original(module, name)): f"{module}.{name}"
        for module, names in _BLOCKING.items()
        for name in names
        if monkey.is_object_patched(module, name)
    }
    lock: type = type(monkey.get_original("_thread", "allocate_lock")())
    rlock: type = monkey.get_original("_thread", "RLock")
    return found | {id(lock): "a native lock", id(rlock): "a native lock"}


def _held(name: str, namespace: Mapping[str, Any], originals: Mapping[int, str]) -> str | None:
    """One thing out of *originals* that the module holds, is made of or has made, or None.

    Only identities and types are looked at: a module may hold proxies that do something when they are touched.
    """
    for value in list(namespace.values()):
        kind = type(value)
        held = originals.get(id(value)) or originals.get(id(kind))
        if held is None and issubclass(kind, type) and value.__module__ == name:
            held = next((originals[id(base)] for base in value.__mro__ if id(base) in originals), None)
        if held is not None:
            return held
    return None


def _ssl_was_early() -> bool:
    if not monkey.is_object_patched("ssl", "SSLSocket"):
        return False
    return monkey.get_original("socket", "socket") in monkey.get_original("ssl", "SSLSocket").__mro__


def _importer_of_ssl(ssl: ModuleType) -> str | None:
    """The first that has it and was imported before gevent's own, which comes with the patches.

    ``sys.modules`` is in the order in which imports were completed, so an importer stands behind what it imports.
    """
    order = list(sys.modules)
    for name in order[order.index("ssl") : order.index("gevent.ssl")]:
        if not _trusted(name) and any(value is ssl for value in list(vars(sys.modules[name]).values())):
            return name
    return None


def _listed(names: Iterable[str], most: int = 10) -> str:
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
