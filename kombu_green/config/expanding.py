"""What a value may refer to: the environment (``${NAME}``, ``${NAME:default}``) and files with secrets (``file:``).

``$${`` is a plain ``${``; every other character stands for itself, ``%`` too.  What the environment holds is not
expanded again, but a value that starts with ``file:`` after that is read from that file, without the blanks around
it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["expand", "read_secret"]

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}|\$\{")
_LARGEST_SECRET: Final = 1 << 16  # bytes


def expand(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with its references replaced, and the variables that were set; ``ValueError`` names one that is not."""
    used = []

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, default = match[1], match[2]
        if name is None:
            raise ValueError("'${' starts no ${NAME} or ${NAME:default}; for a plain one write '$${'")
        if name in environ:
            used.append(name)
            return environ[name]
        if default is None:
            raise ValueError(f"the environment has no {name}, and ${{{name}}} gives no default: ${{{name}:default}}")
        return default

    return _REFERENCE.sub(replaced, text), used


def read_secret(text: str, folder: Path) -> str | None:
    """What the file that ``file:PATH`` names holds; None when *text* is none such; ``ValueError`` names the file."""
    if not text.startswith("file:"):
        return None
    path = folder / text.removeprefix("file:").removeprefix("//").strip()
    try:
        if not path.is_file():  # a pipe would be waited for, a device read for ever
            raise ValueError(f"there is no file {path}")
        with open(path, "rb") as stream:
            content = stream.read(_LARGEST_SECRET + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > _LARGEST_SECRET:
        raise ValueError(f"{path} is too large for a secret: more than 64 KiB")
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
