"""``memory://NAME``: queues in this process, shared by all connections with that name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from kombu_green.storage import memory
from kombu_green.transport.schemes import check_options, positive_seconds
from kombu_green.transport.virtual import DEFAULT_LEASE, VirtualTransport
from kombu_green.url import BrokerURL

__all__ = ["open_memory"]


def open_memory(url: BrokerURL, options: Mapping[str, Any]) -> VirtualTransport:
    """A transport to the memory store of that name.  Option: ``lease`` (seconds)."""
    found = check_options("memory", options, {"lease": positive_seconds})
    return VirtualTransport(partial(memory.broker, _name(url)), found.get("lease", DEFAULT_LEASE))


def _name(url: BrokerURL) -> str:
    # in kombu, localhost and / are the defaults: they name the same broker as no name
    host = "" if url.hostname in (None, "localhost") else url.hostname
    path = "" if url.virtual_host in (None, "/") else url.virtual_host
    return f"{host}/{path}"
