"""The reference page of the settings is the one that the declarations generate."""

from __future__ import annotations

from pathlib import Path

from kombu_green.config.declaration import declarations
from kombu_green.config.loader import NAMED, SINGLE
from kombu_green.config.reference import render

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "settings.rst"


def test_the_page_is_up_to_date() -> None:
    written = PAGE.read_text()
    assert written == render(), "write it again: python -m kombu_green.config.reference > docs/reference/settings.rst"


def test_every_setting_is_on_it() -> None:
    page = render()
    for cls in [*SINGLE.values(), *NAMED.values()]:
        for setting in declarations(cls):
            assert setting.sentence in page
            assert f"``{setting.prefix}" in page
