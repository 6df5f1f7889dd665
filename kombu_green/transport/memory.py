"""``memory://NAME``: queues in this process; connections with one name share them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from kombu_green.storage import memory
from kombu_green.transport.schemes import check_options
from kombu_green.transport.virtual import DEFAULT_LEASE, VirtualTransport
from kombu_green.url import BrokerURL

__all__ = ["open_memory"]


def open_memory(url: BrokerURL, options: Mapping[str, Any]) -> VirtualTransport:
    """Option: ``lease`` (seconds)."""
    found = check_options("memory", options, {"lease": float})
    return VirtualTransport(partial(memory.broker, _name(url)), found.get("lease", DEFAULT_LEASE))


def _name(url: BrokerURL) -> str:
    # kombu's defaults name the same broker as no name at all
    host = "" if url.hostname in (None, "localhost") else url.hostname
    path = "" if url.virtual_host in (None, "/") else url.virtual_host
    return f"{host}/{path}"
