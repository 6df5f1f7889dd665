"""Which URL scheme, or transport name, is which transport.

Third parties register an entry point in the group ``kombu_green.transports`` or give a dotted path.  Each entry names a
function ``open(url, options) -> Transport`` that parses and checks, and leaves connecting to the transport.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from kombu_green import plugins
from kombu_green.exceptions import PluginError, UnsupportedOption
from kombu_green.suggestions import did_you_mean
from kombu_green.transport.contract import Transport
from kombu_green.url import BrokerURL

__all__ = ["GROUP", "Opener", "check_options", "opener"]

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


def opener(scheme: str) -> Opener:
    """The function that opens *scheme*; :exc:`PluginError` that says what may be meant."""
    path = _BUILTIN.get(scheme)
    if path is not None:
        return cast("Opener", plugins.load(path))
    if ":" in scheme or "." in scheme:
        return cast("Opener", plugins.load(scheme))
    found = plugins.entry_point(GROUP, scheme)
    if found is not None:
        return cast("Opener", found)
    raise PluginError(f"there is no transport {scheme!r}{did_you_mean(scheme, _BUILTIN)}")


#: what a connection and a worker pass on to every transport; one that has no use for it leaves it alone
OF_SOME: Final = frozenset(("heartbeat", "lease"))


def check_options(scheme: str, given: Mapping[str, Any], known: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """The options converted by *known*'s functions; an unknown or malformed one is an error that names it."""
    found = {}
    for name, value in given.items():
        convert = known.get(name)
        if convert is None:
            if name in OF_SOME:
                continue
            raise UnsupportedOption(f"transport {scheme!r} has no option {name!r}{did_you_mean(name, known)}", name)
        try:
            found[name] = convert(value)
        except (TypeError, ValueError) as error:
            raise UnsupportedOption(f"transport {scheme!r}, option {name!r}: {value!r}: {error}", option=name) from None
    return found
