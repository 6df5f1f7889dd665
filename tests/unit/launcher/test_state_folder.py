"""The folder for what outlives a restart: one for each file, and nobody else's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kombu_green.config.loader import read_settings
from kombu_green.config.problems import ConfigError
from kombu_green.config.settings import Settings
from kombu_green.launcher.state_folder import PARENT_VARIABLE, prepared, state_folder


def settings(folder: Path, *overrides: str, name: str = "shop.ini") -> Settings:
    file = folder / name
    file.write_text("[broker]\nurl = memory\n[consumer:a]\nqueue = a\ncallback = a:b\n")
    return read_settings(file, overrides)


def test_each_ini_file_has_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    first, second = settings(tmp_path), settings(tmp_path / "other")
    folders = {state_folder(first, {}), state_folder(second, {})}
    assert len(folders) == 2
    assert {folder.parent for folder in folders} == {Path(f"/var/tmp/kombu-worker-{os.getuid()}")}
    assert all(folder.name.startswith("shop-") for folder in folders)
    monkeypatch.chdir(tmp_path)
    assert state_folder(read_settings("shop.ini"), {}) == state_folder(first, {}), "however it is named"
    (tmp_path / "link.ini").symlink_to("shop.ini")
    assert state_folder(read_settings("link.ini"), {}) == state_folder(first, {})


def test_it_is_made_for_this_user_alone(tmp_path: Path) -> None:
    environ = {PARENT_VARIABLE: str(tmp_path / "home")}
    folder = prepared(settings(tmp_path), environ)
    assert folder == state_folder(settings(tmp_path), environ)
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]
    assert prepared(settings(tmp_path), environ) == folder


def test_a_folder_that_the_file_names(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "state"
    assert prepared(settings(tmp_path, f"worker.state={folder}")) == folder
    assert folder.stat().st_mode & 0o777 == 0o700


def refused(found: Settings, environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        prepared(found, environ)
    (problem,) = caught.value.problems
    return str(problem)


def test_a_folder_that_cannot_be_trusted_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(0o700)
    environ = {PARENT_VARIABLE: str(home)}
    folder = state_folder(settings(tmp_path), environ)
    assert f"the folder for what outlives a restart, {folder}, cannot be used" in refused(
        settings(tmp_path), {PARENT_VARIABLE: str(tmp_path / "shop.ini")}
    ).replace(str(tmp_path / "shop.ini") + "/", f"{home}/")
    folder.write_text("")
    assert f"{folder} is no folder; name another one here" in refused(settings(tmp_path), environ)
    folder.unlink()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    assert f"{folder} is no folder" in refused(settings(tmp_path), environ)
    home.chmod(0o777)
    assert f"others may write to {home}" in refused(settings(tmp_path), environ)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_the_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(0o700)
    os.chown(home, 12345, -1)
    assert f"{home} belongs to another user (number 12345)" in refused(settings(tmp_path), {PARENT_VARIABLE: str(home)})


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[worker\] state: .*shop.ini is no folder"):
        settings(tmp_path, f"worker.state={tmp_path / 'shop.ini'}")
