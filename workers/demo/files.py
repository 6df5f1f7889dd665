"""The files that a run handles, and the folder for its state."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path

PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic")
VIDEOS = (".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".mpg", ".mpeg")


def media_files(folder: Path) -> list[Path]:
    """The files of *folder* with the suffix of a media file, sorted by name; subfolders are skipped."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in PICTURES + VIDEOS and not path.is_dir())
    return sorted(path.absolute() for path in found)


def fresh_folder(parent: Path) -> Path:
    """Make a folder named by the current time.  If it exists, because two runs start in one second, append a number."""
    parent.mkdir(parents=True, exist_ok=True)
    name = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    for number in itertools.count(1):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("there is always a next number")
