"""Which dead letters a verb acts on: conditions of the form ``field=pattern``, all of which have to hold.

============================ =======================================================================================
``reason=*memory*``          why it was dead-lettered
``exception=ValueError``     the class of the last exception, with its module but for builtins, where it may be left out
``message=*No such file*``   what that exception said
``id=…``                     the message id
``queue=…``                  the queue in which it died
``key=video.*``              the routing key that it was first published with
``type=…``                   the property of that name
``header.NAME=…``            a header of its own, or any other, as text
``older=2h``, ``newer=10m``  dead-lettered longer ago than that, or not so long
============================ =======================================================================================

Patterns are a shell's: ``*`` is anything, ``?`` one character, ``[ab]`` one of these (and ``[*]`` a star itself).  They
fit the whole text, and upper and lower case differ.  A field that a dead letter does not have fits no pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from fnmatch import translate
from typing import Final

from kombu_green.dead_letters.record import DeadLetterRecord

__all__ = ["AGES", "FIELDS", "Condition", "condition"]

Condition = Callable[[DeadLetterRecord, datetime], bool]
"""Whether a record fits at a time, which has a time zone."""

#: what may stand before the first ``=``; NAME stands for any
FIELDS: Final = ("reason", "exception", "message", "id", "queue", "key", "type", "header.NAME", "older", "newer")
#: those that have a duration instead of a pattern
AGES: Final = ("older", "newer")
_HEADER: Final = "header."
_BUILTIN: Final = "builtins."


def condition(text: str, duration: Callable[[str], float]) -> Condition:
    """The condition that *text* (``field=pattern``) is; *duration* reads ``2h`` as seconds.

    Raises ``ValueError`` that says what is wrong and which fields there are.
    """
    name, equals, pattern = text.partition("=")
    if not equals or not pattern:
        raise ValueError(f"{text!r} is not of the form FIELD=PATTERN, where FIELD is one of {', '.join(FIELDS)}")
    if name in AGES:
        return _aged(timedelta(seconds=duration(pattern)), older=name == "older")
    fits = re.compile(translate(pattern)).match
    if name.startswith(_HEADER) and name != _HEADER:
        header = name.removeprefix(_HEADER)
        return lambda letter, now: header in letter.headers and fits(_as_text(letter.headers[header])) is not None
    if name == "exception":
        return lambda letter, now: any(fits(one) for one in _names(letter.exception))
    if name not in FIELDS or name == "header.NAME":
        raise ValueError(f"{text!r}: there is no field {name!r}; there are {', '.join(FIELDS)}")
    return lambda letter, now: (told := getattr(letter, name)) is not None and fits(told) is not None


def _aged(age: timedelta, *, older: bool) -> Condition:
    return lambda letter, now: letter.dead_lettered is not None and (now - letter.dead_lettered > age) is older


def _names(exception: str | None) -> Iterable[str]:
    """As it is written down, where builtins bear no module, and with it."""
    if exception is None:
        return ()
    return (exception,) if "." in exception else (exception, _BUILTIN + exception)


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
