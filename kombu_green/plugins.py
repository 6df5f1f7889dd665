"""Loading objects by name.  Only this module and the package root import modules late."""

from __future__ import annotations

import importlib
from typing import Any

from kombu_green.exceptions import PluginError

__all__ = ["entry_point", "load"]


def load(path: str) -> Any:
    """The object with the name *path*: ``module:attribute`` or ``module.attribute``.

    Raises :exc:`~kombu_green.exceptions.PluginError`, which says whether the name is malformed, the module or one of
    its imports is missing, the import failed, or the module has no such attribute.
    """
    module_name, colon, attribute = path.partition(":")
    if not colon:
        module_name, _, attribute = path.rpartition(".")
    if not module_name or not attribute:
        raise PluginError(f"{path!r} does not name a thing in a module: write module:name")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise PluginError(f"{path!r}: there is no module {error.name!r}") from error
        raise PluginError(f"{path!r}: {module_name} imports {error.name!r}, which is not installed") from error
    except Exception as error:
        raise PluginError(f"{path!r}: importing {module_name} failed: {type(error).__name__}: {error}") from error
    for step in attribute.split("."):
        try:
            found = getattr(found, step)
        except AttributeError:
            raise PluginError(f"{path!r}: {module_name} has no {attribute!r}") from None
    return found


def entry_point(group: str, name: str) -> Any | None:
    """The object of the entry point *name* in *group* of an installed distribution; None if there is none."""
    from importlib.metadata import entry_points  # takes 20 ms, so only when it is needed

    for candidate in entry_points(group=group, name=name):
        try:
            return candidate.load()
        except Exception as error:
            raise PluginError(f"entry point {name!r} of {group}: {type(error).__name__}: {error}") from error
    return None
