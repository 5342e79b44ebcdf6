"""The benchmark of noises without its timings: its table, and that it covers every shipped noise."""

from __future__ import annotations

import noises
from pages.noises import table

from dropexp.config.schema import Config
from dropexp.config.variant_table import VARIANTS


def test_every_shipped_noise_is_timed() -> None:
    timed = {Config.model_validate({"variant": "scratch", **keys}).variant for keys in noises.NOISES.values()}
    assert timed >= {name for name in VARIANTS if name not in ("nn", "dropconnect-unscaled")}


def test_ratios_are_taken_within_a_round() -> None:
    lines = table({"base": "inverted", "seconds": {"inverted": [1.0, 2.0, 4.0], "other": [1.5, 2.0, 6.0]}}).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[2] == ["inverted", "2.000", "1.00", "1.00–1.00"]
    assert cells[3] == ["other", "2.000", "1.50", "1.00–1.50"]
