"""Texts of configs, and what parsing them returns or reports."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dropexp.config.file import ConfigFile, Options, parse_config
from dropexp.config.study import Study
from dropexp.errors import ConfigError

Load = Callable[..., Study]
Problems = Callable[..., list[str]]

TINY = """\
name: tiny
hidden: [32, 16]
init: torch
train_size: 500
epochs: 1
matrix:
  variant: [none, scratch]
"""
WRONG_IN_EVERY_SECTION = """\
published: {loss: 3}
arms:
  -a: {}
  b: 5
  c:
    epochs: x
    sead: 1
matrix:
  momentum: [0, 1]
  weight_decay: 0
variant: nn
lr: 0
epoch: 5
drop_probs: [0.2, 1.5]
name: a/b
"""


def parsed(text: str, *settings: str, seeds: str | None = None, sweeps: tuple[str, ...] = ()) -> ConfigFile:
    return parse_config(text, "study.yaml", "study", Options(settings, sweeps, seeds))


def problems(text: str, *settings: str, seeds: str | None = None, sweeps: tuple[str, ...] = ()) -> list[str]:
    """Return the lines of the error that the text must raise."""
    with pytest.raises(ConfigError) as error:
        parsed(text, *settings, seeds=seeds, sweeps=sweeps)
    return str(error.value).splitlines()
