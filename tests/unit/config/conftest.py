"""Fixtures of the tests of configs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.configs import Load, Problems

from dropexp.config.study import Study, load_config
from dropexp.errors import ConfigError


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loaded(text: str, *settings: str, seeds: str | None = None) -> Study:
        file = tmp_path / "study.yaml"
        file.write_text(text, encoding="utf-8")
        return load_config(file, settings, seeds)

    return loaded


@pytest.fixture
def problems(load: Load, tmp_path: Path) -> Problems:
    """The problems of a config, without the folder of the file."""

    def found(text: str, *settings: str, seeds: str | None = None) -> list[str]:
        with pytest.raises(ConfigError) as error:
            load(text, *settings, seeds=seeds)
        return str(error.value).replace(f"{tmp_path}{os.sep}", "").splitlines()

    return found
