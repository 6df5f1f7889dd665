"""gevent's monkey patching, and a check that it came before all other imports.

A module that imported a name of the standard library before gevent replaced it keeps the blocking original: its sockets
block the hub, its locks the whole process.  So a patched program calls :func:`patch` in its first statement, and code
that needs the patches calls :func:`require_patched`.  That looks for the originals inside of the imported modules, so
it also works in programs that something else has patched, such as gunicorn's gevent worker.

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
from kombu_green.green.locks import fix_patched_locks

__all__ = ["early_imports", "patch", "require_patched"]

#: modules that have to be patched, in the order of the error message
REQUIRED: Final = ("socket", "ssl", "select", "time", "threading", "queue", "subprocess")

# Names that block, or create something that blocks.  Functions that look such a name up when they are called
# (threading.Thread, subprocess.run, queue.Queue) are patched with it, whenever they were imported.
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
# gevent, this package, and tools that keep the originals on purpose because they observe the program from outside
_EXEMPT: Final = frozenset(
    {"gevent", "greenlet", "zope", "kombu_green", "coverage", "debugpy", "pydevd", "_pydevd_bundle", "_pydev_bundle"}
)

_NATIVE_LOCK: Final = "a native lock"

_WHAT_TO_DO: Final = (
    "Start the program with kombu-worker, which patches first,"
    " or make `from gevent import monkey; monkey.patch_all()` its very first statement"
)


def patch() -> None:
    """Patch the standard library and fix the patched locks; calling it again does nothing."""
    if _unpatched():
        monkey.patch_all()
    fix_patched_locks()


def require_patched() -> None:
    """Raise :exc:`~kombu_green.exceptions.NotPatched` unless the standard library was patched before it was used.

    The error names what is not patched, or each module that was imported too early with one original that it holds,
    and says what to do.
    """
    missing = _unpatched()
    if missing:
        what = "is not patched by gevent" if len(missing) == len(REQUIRED) else f"is patched without {_listed(missing)}"
        raise NotPatched(f"the standard library {what}: {_WHAT_TO_DO}")
    early = [f"{module} ({why})" for module, why in early_imports().items()]
    if early:
        raise NotPatched(f"imported before gevent patched the standard library: {_listed(early)}. {_WHAT_TO_DO}")


def early_imports() -> dict[str, str]:
    """The modules that hold an original of the standard library, by name, each with what it holds.

    A module's own names, the bases of its classes and its locks are looked at.  Modules of the standard library are
    left out, because gevent patches those that matter; except ``ssl``, whose classes derive from the unpatched sockets
    if it was imported early.
    """
    originals = _originals()
    found = {}
    for name, module in list(sys.modules.items()):
        if type(module) is not ModuleType:
            continue  # a lazy module: reading its names would import it
        if name == "ssl" and _ssl_was_early():
            found[name] = f"imported by {importer}" if (importer := _importer_of_ssl(module)) else "with its sockets"
        elif name == "__main__" or not _exempt(name):
            held = _held(name, module.__dict__, originals)
            if held is not None:
                found[name] = f"holds {held}"
    return found


def _unpatched() -> list[str]:
    return [name for name in REQUIRED if not monkey.is_module_patched(name)]


def _exempt(module: str) -> bool:
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in _EXEMPT


def _originals() -> dict[int, str]:
    """The replaced objects and the types of native locks: their names by ``id``.

    From Python 3.13 on, ``threading.Lock`` is such a type; what is made of one is a native lock, see :func:`_held`.
    """
    found = {
        id(monkey.get_original(module, name)): f"{module}.{name}"
        for module, names in _BLOCKING.items()
        for name in names
        if monkey.is_object_patched(module, name)
    }
    lock: type = type(monkey.get_original("_thread", "allocate_lock")())
    rlock: type = monkey.get_original("_thread", "RLock")
    return {id(lock): _NATIVE_LOCK, id(rlock): _NATIVE_LOCK} | found


def _held(name: str, namespace: Mapping[str, Any], originals: Mapping[int, str]) -> str | None:
    """The name of one original that is in *namespace*, or is the base or the type of something there; or None.

    Only identities and types are compared: a module may hold proxies that act when an attribute of theirs is read.
    """
    for value in list(namespace.values()):
        kind = type(value)
        held = originals.get(id(value)) or _made_of(originals.get(id(kind)))
        if held is None and issubclass(kind, type) and value.__module__ == name:
            held = next((originals[id(base)] for base in value.__mro__ if id(base) in originals), None)
        if held is not None:
            return held
    return None


def _made_of(original: str | None) -> str | None:
    """What an object is called whose type is *original*."""
    return _NATIVE_LOCK if original in ("threading.Lock", "_thread.allocate_lock") else original


def _ssl_was_early() -> bool:
    if not monkey.is_object_patched("ssl", "SSLSocket"):
        return False
    return monkey.get_original("socket", "socket") in monkey.get_original("ssl", "SSLSocket").__mro__


def _importer_of_ssl(ssl: ModuleType) -> str | None:
    """The first module that holds *ssl* and was imported before the patches, which import ``gevent.ssl``.

    ``sys.modules`` is in the order in which imports were completed: an importer follows what it imports.
    """
    order = list(sys.modules)
    for name in order[order.index("ssl") : order.index("gevent.ssl")]:
        if not _exempt(name) and any(value is ssl for value in list(vars(sys.modules[name]).values())):
            return name
    return None


def _listed(names: Iterable[str], most: int = 10) -> str:
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
