"""Work that other processes announce rings the bells of this one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final
from weakref import WeakKeyDictionary

from gevent import get_hub
from gevent.hub import Hub

from kombu_green.storage.bell import Bell, Bells
from kombu_green.storage.sqlalchemy.bulletin import Bulletin

__all__ = ["Newsroom"]

_WATCH: Final = 0.1  # seconds between looks at the file where the operating system does not report changes


class Newsroom:
    """The bulletin is watched while somebody listens, by each hub for itself."""

    def __init__(self, bells: Bells, bulletin: Bulletin) -> None:
        self._bells: Final = bells
        self._bulletin: Final = bulletin
        self._desks: WeakKeyDictionary[Hub, _Desk] = WeakKeyDictionary()

    @contextmanager
    def listening(self, bell: Bell, queues: Collection[str]) -> Iterator[None]:
        """While this is open, *bell* rings for what comes into *queues*, from whatever process."""
        hub = get_hub()
        desk = self._desks.get(hub)
        if desk is None:
            desk = self._desks[hub] = _Desk(hub, self._bells, self._bulletin)
        with self._bells.listening(bell, queues):
            desk.start(queues)
            try:
                yield
            finally:
                desk.stop(queues)


class _Desk:
    """One hub's watcher, and what was last read of each queue that somebody in that hub waits for."""

    def __init__(self, hub: Hub, bells: Bells, bulletin: Bulletin) -> None:
        self._bells: Final = bells
        self._bulletin: Final = bulletin
        self._waiting: Final[Counter[str]] = Counter()
        self._seen: Final[dict[str, int]] = {}
        self._watcher: Final[Any] = hub.loop.stat(str(bulletin.path), _WATCH)

    def start(self, queues: Collection[str]) -> None:
        if not self._waiting:
            self._watcher.start(self._compare)
        for queue in queues:
            self._waiting[queue] += 1
            # who waits already may not have heard yet of what came before now
            self._seen.setdefault(queue, self._bulletin.news(queue))

    def stop(self, queues: Collection[str]) -> None:
        for queue in queues:
            self._waiting[queue] -= 1
            if not self._waiting[queue]:
                del self._waiting[queue], self._seen[queue]
        if not self._waiting:
            self._watcher.stop()

    def _compare(self) -> None:
        news = {queue: self._bulletin.news(queue) for queue in self._seen}
        changed = [queue for queue, count in news.items() if count != self._seen[queue]]
        self._seen.update(news)
        self._bells.ring(changed)
