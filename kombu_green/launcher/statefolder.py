"""The folder in which a launcher keeps what shall outlive it: whom it blamed for what, and its socket.

``/var/tmp/kombu-worker-UID/STEM-DIGEST``, one for each ini file, unless ``[worker] state`` names another.  What lies in
a folder that everybody may write to could have been put there by anybody: it has to be this user's, and nobody else's
to write in.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from kombu_green.config.problems import ConfigError
from kombu_green.config.settings import Settings

__all__ = ["HOME", "prepared", "state_folder"]

#: in the environment: the folder that default state folders are made in
HOME: Final = "KOMBU_WORKER_STATE"


def state_folder(settings: Settings, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the launcher of *settings* keeps its state; nothing is made or looked at."""
    if settings.worker.state is not None:
        return settings.worker.state
    file = settings.file.resolve()
    digest = sha256(os.fsencode(file)).hexdigest()[:12]
    return _home(environ) / f"{file.stem[:40]}-{digest}"


def prepared(settings: Settings, environ: Mapping[str, str] = os.environ) -> Path:
    """The same folder, made when it is missing; :exc:`ConfigError` when it cannot be made or trusted."""
    folder = state_folder(settings, environ)
    try:
        if settings.worker.state is None:
            _own(_home(environ))
        _own(folder)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else error
        message = f"the folder for what outlives a restart, {folder}, cannot be used: {said}; name another one here"
        raise ConfigError([settings.problem("worker", "state", message)]) from error
    return folder


def _home(environ: Mapping[str, str]) -> Path:
    named = environ.get(HOME)
    return Path(named) if named else Path(f"/var/tmp/kombu-worker-{os.getuid()}")


def _own(folder: Path) -> None:
    """Make *folder*, or see that it is ours alone; ``ValueError`` says what is wrong with it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise ValueError(f"{folder} is no folder")
    if found.st_uid != os.getuid():
        raise ValueError(f"{folder} belongs to another user (number {found.st_uid})")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError(f"others may write to {folder}")
