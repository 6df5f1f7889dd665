"""Every setting is declared, with a sentence, and its default is one that could stand in the file."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from kombu_green.config.declaration import Declaration, declarations
from kombu_green.config.loader import NAMED, SINGLE

CLASSES = [*SINGLE.values(), *NAMED.values()]
SETTINGS = [(cls, setting) for cls in CLASSES for setting in declarations(cls)]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_field_is_declared_but_the_name(cls: type) -> None:
    declared = {setting.field for setting in declarations(cls)}
    assert {field.name for field in fields(cls)} - declared <= {"name"}
    assert len({setting.key for setting in declarations(cls)}) == len(declared)


@pytest.mark.parametrize(("cls", "setting"), SETTINGS)
def test_it_has_one_sentence(cls: type, setting: Declaration) -> None:
    assert setting.sentence.endswith(".")
    assert setting.sentence[0].isupper()


@pytest.mark.parametrize(("cls", "setting"), SETTINGS)
def test_its_default_could_stand_in_the_file(cls: type, setting: Declaration) -> None:
    if setting.required or setting.is_open or setting.default is None:
        return
    assert setting.kind.read(setting.kind.show(setting.default), Path("/")) == setting.default
