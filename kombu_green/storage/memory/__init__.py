"""Queues in this process: an object with a name, shared by all connections that say that name."""

from kombu_green.storage.memory.brokers import MemoryStore, broker, forget

__all__ = ["MemoryStore", "broker", "forget"]
