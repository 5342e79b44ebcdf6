"""The benchmark of noises, but for the timing: its table, and that every noise by hand is in it."""

from __future__ import annotations

import noises

from dropexp.config.schema import Config
from dropexp.config.variants import VARIANTS


def test_every_shipped_noise_is_timed() -> None:
    timed = {Config.model_validate({"variant": "scratch", **keys}).variant for keys in noises.NOISES.values()}
    assert timed >= {name for name in VARIANTS if name not in ("nn", "dropconnect-unscaled")}


def test_a_noise_is_compared_in_the_same_round_not_over_rounds() -> None:
    seconds = {noises.BASE: [1.0, 2.0, 4.0], "other": [1.5, 2.0, 6.0]}
    lines = noises.table(seconds).splitlines()
    assert lines[2] == "| inverted dropout | 2.000 | 1.00 | 1.00 – 1.00 |"
    assert lines[3] == "| other | 2.000 | 1.50 | 1.00 – 1.50 |"
