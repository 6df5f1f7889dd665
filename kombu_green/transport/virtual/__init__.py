"""AMQP's verbs over any store: routing, prefetch limits, dead letters, time to live.

A :class:`VirtualTransport` opens a store.  Its channels and it share one :mod:`.store_connection`, which routes and
dead-letters.  :mod:`.deliveries` takes messages for the consumers, :mod:`.unacked` keeps those that are not settled.
"""

from kombu_green.transport.virtual.transport import DEFAULT_LEASE, VirtualTransport

__all__ = ["DEFAULT_LEASE", "VirtualTransport"]
