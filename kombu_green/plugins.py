"""Loading objects by name.  Only this module and the package root import modules late."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any, Final

from kombu_green.exceptions import PluginError

__all__ = ["entry_point", "importing", "load"]

_MOST_PLACES: Final = 5  # files and lines of a traceback that a message names


def load(path: str) -> Any:
    """The object with the name *path*: ``module:attribute`` or ``module.attribute``.

    Raises :exc:`~kombu_green.exceptions.PluginError`, which says whether the name is malformed, the module or one of
    its imports is missing (and where it was looked for), the import failed or called ``sys.exit`` (with file and line),
    or the module has no such attribute.
    """
    module_name, colon, attribute = path.partition(":")
    if not colon:
        module_name, _, attribute = path.rpartition(".")
    if not module_name or not attribute:
        raise PluginError(f"{path!r} does not name a thing in a module: write module:name")
    try:
        found: Any = _import(module_name)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise PluginError(f"{path!r}: there is no module {error.name!r} in {_searched(error.name)}") from error
        raise PluginError(
            f"{path!r}: {module_name} imports {error.name!r}, which is not installed{_places(error)}"
        ) from error
    except SystemExit as error:
        raise PluginError(
            f"{path!r}: importing {module_name} ended with sys.exit({error.code!r}){_places(error)}"
        ) from error
    except BaseException as error:
        raise PluginError(
            f"{path!r}: importing {module_name} failed: {type(error).__name__}: {error}{_places(error)}"
        ) from error
    for step in attribute.split("."):
        try:
            found = getattr(found, step)
        except AttributeError:
            raise PluginError(f"{path!r}: {module_name} has no {attribute!r}") from None
    return found


def importing() -> str | None:
    """The module that :func:`load` imports at this moment, for a watchdog in another thread; None if there is none."""
    return _importing[-1] if _importing else None


_importing: Final[list[str]] = []


def _import(name: str) -> Any:
    _importing.append(name)
    try:
        return importlib.import_module(name)
    finally:
        _importing.pop()


def _searched(name: str) -> str:
    """The folders in which the module *name* was looked for, without those of Python and of installed packages."""
    package, _, _ = name.rpartition(".")
    if package:
        folders = list(getattr(sys.modules.get(package), "__path__", []))
    else:
        installed = tuple({os.path.realpath(folder) for folder in (sys.prefix, sys.base_prefix)})
        folders = [os.path.realpath(folder) for folder in sys.path if not _is_in(os.path.realpath(folder), installed)]
    return f"{', '.join(folders) or 'any folder of your own'}{'' if package else ', and none is installed'}"


def _is_in(folder: str, roots: tuple[str, ...]) -> bool:
    inside = any(folder.startswith((root + os.sep + "lib", root + os.sep + "Lib")) for root in roots)
    return inside or folder.endswith((".zip", "site-packages", "dist-packages"))


def _places(error: BaseException) -> str:
    """The files and lines of *error*, the one that raised it last, without the import system and compiled modules."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        f"{frame.filename}:{frame.lineno}"
        for frame in frames
        if os.path.isabs(frame.filename) and frame.filename not in (__file__, importlib.__file__)
    ]
    if isinstance(error, SyntaxError) and error.filename is not None:
        places.append(f"{error.filename}:{error.lineno}")
    return f" ({' → '.join(places[-_MOST_PLACES:])})" if places else ""


def entry_point(group: str, name: str) -> Any | None:
    """The object of the entry point *name* in *group* of an installed distribution; None if there is none."""
    from importlib.metadata import entry_points  # takes 20 ms, so only when it is needed

    for candidate in entry_points(group=group, name=name):
        try:
            return candidate.load()
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"entry point {name!r} of {group}: {type(error).__name__}: {error}{_places(error)}"
            ) from error
    return None
