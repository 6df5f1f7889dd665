"""The state folder of a launcher: where it is, who may write to it, and the sockets in it.

It holds ``blames.json``, which outlives the launcher, and ``PID.sock``, the socket of each launcher that runs.  It is
``/var/tmp/kombu-worker-UID/STEM-DIGEST``, one for each ini file, unless ``[worker] state`` names another one.  Anybody
could have put files into a folder that everybody may write to, and whoever can open a file can lock it.  So the folder
has to belong to this user, and nobody else may look into it (mode 0700).  Its files have mode 0600.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from kombu_green.config.problems import ConfigError
from kombu_green.config.settings import Settings

__all__ = ["PARENT_VARIABLE", "prepared", "socket_address", "socket_path", "sockets", "state_folder"]

#: the environment variable that names the folder for default state folders
PARENT_VARIABLE: Final = "KOMBU_WORKER_STATE"

_SUFFIX: Final = ".sock"
_LONGEST_ADDRESS: Final = 100  # bytes; the kernel takes 108, and a dot is put before the name while a socket is made


def state_folder(settings: Settings, environ: Mapping[str, str] = os.environ) -> Path:
    """The path of the state folder for *settings*; the folder itself is neither made nor looked at."""
    if settings.worker.state is not None:
        return settings.worker.state
    file = settings.file.resolve()
    digest = sha256(os.fsencode(file)).hexdigest()[:12]
    return _default_parent(environ) / f"{file.stem[:40]}-{digest}"


def prepared(settings: Settings, environ: Mapping[str, str] = os.environ) -> Path:
    """The same folder, made if it is missing; :exc:`ConfigError` when it cannot be made or trusted."""
    folder = state_folder(settings, environ)
    try:
        if settings.worker.state is None:
            _make_own(_default_parent(environ))
        _make_own(folder)
        _make_private(folder)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        message = f"the folder for what outlives a restart, {folder}, cannot be used: {reason}; name another one here"
        raise ConfigError([settings.problem("worker", "state", message)]) from error
    return folder


def _default_parent(environ: Mapping[str, str]) -> Path:
    named = environ.get(PARENT_VARIABLE)
    return Path(named) if named else Path(f"/var/tmp/kombu-worker-{os.getuid()}")


def _make_own(folder: Path) -> None:
    """Make *folder* if it is missing; ``ValueError`` says why it cannot be trusted."""
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


def _make_private(folder: Path) -> None:
    """Take the files of *folder* from other users; ``ValueError`` says why the folder cannot be trusted."""
    mode = stat.S_IMODE(folder.lstat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError(f"others may look into {folder} (its mode is {mode:04o}: chmod 700 {folder})")
    for path in folder.glob("blames.*"):
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{path} is no regular file")
        if found.st_uid != os.getuid():
            raise ValueError(f"{path} belongs to another user (number {found.st_uid})")
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            path.chmod(0o600)


def socket_path(folder: Path, pid: int) -> Path:
    """The socket of the launcher *pid* in *folder*."""
    return folder / f"{pid}{_SUFFIX}"


def sockets(folder: Path) -> list[tuple[int, Path]]:
    """The pids and sockets of all launchers that have one in *folder*, by pid."""
    return sorted((int(path.stem), path) for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdecimal())


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """The address of the unix socket at *path*: a long path is shortened by ``/proc/self/fd``, see unix(7), proc(5)."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS or not Path("/proc/self/fd").is_dir():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
