"""Which transport belongs to a URL scheme or to a ``transport=`` name.

Others register an entry point in the group ``kombu_green.transports``, or are given to ``transport=`` by a dotted path.
A URL never names a module: it may come from outside the program, and to import a module runs it.

Each of them is a function of a parsed URL and options, which checks both and returns a transport that is not connected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from kombu_green import plugins
from kombu_green.exceptions import PluginError, UnsupportedOption
from kombu_green.suggestions import did_you_mean
from kombu_green.transport.contract import Transport
from kombu_green.url import BrokerURL

__all__ = ["GROUP", "Opener", "check_options", "opener", "opener_by_name", "positive_seconds"]

Opener = Callable[[BrokerURL, Mapping[str, Any]], Transport]

GROUP: Final = "kombu_green.transports"

_BUILTIN: Final[Mapping[str, str]] = {
    "amqp": "kombu_green.transport.amqp.amqp_transport:open_amqp",
    "amqplib": "kombu_green.transport.amqp.amqp_transport:open_amqp",
    "memory": "kombu_green.transport.memory:open_memory",
    "pyamqp": "kombu_green.transport.amqp.amqp_transport:open_amqp",
    "sqla": "kombu_green.transport.sqlalchemy:open_sqlalchemy",
    "sqlalchemy": "kombu_green.transport.sqlalchemy:open_sqlalchemy",
}

#: the extra that installs what a transport imports
_EXTRAS: Final[Mapping[str, str]] = {"sqla": "sqlalchemy", "sqlalchemy": "sqlalchemy"}


def opener(scheme: str) -> Opener:
    """The function that opens URLs of *scheme*: a transport of this package, or one with an entry point.

    Raises :exc:`~kombu_green.exceptions.PluginError` for an unknown one, with a suggestion.
    """
    path = _BUILTIN.get(scheme)
    if path is not None:
        try:
            return cast("Opener", plugins.load(path))
        except PluginError as error:
            missing = error.__cause__
            if scheme not in _EXTRAS or not isinstance(missing, ModuleNotFoundError):
                raise
            extra = _EXTRAS[scheme]
            raise PluginError(
                f"transport {scheme!r} needs {missing.name!r}: pip install 'kombu_green[{extra}]'"
            ) from error
    found = plugins.entry_point(GROUP, scheme)
    if found is not None:
        return cast("Opener", found)
    if ":" in scheme or "." in scheme:
        raise PluginError(
            f"there is no transport {scheme!r}: a URL cannot name a module; a program can:"
            " Connection(hostname, transport='module:function')"
        )
    if scheme.removesuffix("s") in _BUILTIN:  # suggesting that one would lead to a connection that is not encrypted
        raise PluginError(
            f"there is no transport {scheme!r}, and no other one encrypts:"
            " connect through a local proxy that speaks TLS"
        )
    raise PluginError(f"there is no transport {scheme!r}{did_you_mean(scheme, _BUILTIN)}")


def opener_by_name(transport: str) -> Opener:
    """The function that *transport* names, as a program gives it to ``transport=``: a scheme or a dotted path."""
    if ":" in transport or "." in transport:
        return cast("Opener", plugins.load(transport))
    return opener(transport)


#: options that connections and workers pass to every transport; one that does not know them ignores them
PASSED_TO_ALL: Final = frozenset(("answer_timeout", "heartbeat", "lease"))


def positive_seconds(value: Any) -> float:
    """An option in seconds; ``ValueError`` unless it is more than 0."""
    seconds = float(value)
    if not seconds > 0:
        raise ValueError("seconds, and more than 0")
    return seconds


def check_options(scheme: str, given: Mapping[str, Any], known: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """The *given* options, each converted by the function that *known* has for it.

    Raises :exc:`~kombu_green.exceptions.UnsupportedOption`, which names the option, for an unknown or malformed one.
    """
    found = {}
    for name, value in given.items():
        convert = known.get(name)
        if convert is None:
            if name in PASSED_TO_ALL:
                continue
            raise UnsupportedOption(f"transport {scheme!r} has no option {name!r}{did_you_mean(name, known)}", name)
        try:
            found[name] = convert(value)
        except (TypeError, ValueError) as error:
            raise UnsupportedOption(f"transport {scheme!r}, option {name!r}: {value!r}: {error}", option=name) from None
    return found
