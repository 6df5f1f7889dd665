"""Which dead letters a condition fits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kombu_green.config.kinds import read_duration
from kombu_green.dead_letters.conditions import FIELDS, condition
from kombu_green.dead_letters.record import DeadLetterRecord

NOW = datetime(2031, 5, 6, 12, 0, 0, 0, UTC)
LETTER = DeadLetterRecord(
    queue="video",
    dead_lettered=NOW - timedelta(hours=3),
    reason="failed in 5 attempts, the last time with MemoryError: out of memory\nreally",
    exception="MemoryError",
    message="out of [memory]",
    key="video.mp4",
    id="m1",
    type="job",
    headers={"customer": 7, "raw": b"bytes", "name": "x=y"},
)


def fits(text: str, letter: DeadLetterRecord = LETTER) -> bool:
    return condition(text, read_duration)(letter, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "reason=*memory*",
        "reason=failed in ? attempts*",
        "exception=MemoryError",
        "exception=builtins.MemoryError",
        "exception=Memory*",
        "message=out of [[]memory]",
        "id=m1",
        "queue=video",
        "key=video.*",
        "type=job",
        "header.customer=7",
        "header.raw=bytes",
        "header.name=x=y",
        "older=2h",
        "newer=4h",
    ],
)
def test_fits(text: str) -> None:
    assert fits(text)
    assert text.partition("=")[0] in FIELDS or text.startswith("header.")


@pytest.mark.parametrize(
    "text",
    [
        "reason=memory",
        "reason=*Memory",  # the whole text has to fit
        "exception=memoryerror",
        "exception=*.ValueError",
        "id=m",
        "header.customer=8",
        "header.nobody=*",
        "older=4h",
        "newer=2h",
    ],
)
def test_does_not_fit(text: str) -> None:
    assert not fits(text)


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "header.NAME"])
def test_what_a_letter_does_not_tell_fits_nothing(name: str) -> None:
    assert not fits(f"{name}=1h" if name in ("older", "newer") else f"{name}=*", DeadLetterRecord())


def test_an_exception_of_a_module_has_its_module() -> None:
    letter = DeadLetterRecord(exception="shop.Broken")
    assert fits("exception=shop.Broken", letter)
    assert fits("exception=*Broken", letter)
    assert not fits("exception=Broken", letter)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("reason", "not of the form FIELD=PATTERN, where FIELD is one of reason, exception"),
        ("id=", "not of the form"),
        ("colour=red", "there is no field 'colour'; there are reason, exception, message, id"),
        ("header.=x", "there is no field 'header.'"),
        ("header.NAME", "not of the form"),
        ("older=2", "did you mean 2s?"),
        ("older=soon", "'soon' is not a duration"),
    ],
)
def test_what_nobody_understands(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        condition(text, read_duration)
    assert said in str(caught.value)
