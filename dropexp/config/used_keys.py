"""Which keys of a config can change the numbers of its run: the hash and the labels of arms use these alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from dropexp.config.tasks import LINEAR_REGRESSION, LINREG_KEYS
from dropexp.config.variant_table import VARIANTS


def used_keys(config: Mapping[str, Any]) -> list[str]:
    """Return the keys of a resolved config that can change its run's numbers, in their order.

    The config may be of another version, or of a variant that is not loaded: then keys count as used.
    """
    if config.get("task") == LINEAR_REGRESSION:
        return [key for key in config if key in LINREG_KEYS]
    variant = VARIANTS.get(config.get("variant", ""))
    unused = _unused(
        frozenset() if variant is None else variant.unused,
        bool(config.get("input_noise_std")),
        "normal" in (config.get("init", "normal"), config.get("init_bias")),
        config.get("drop_schedule") in ("early", "linear-decay", "late"),
    )
    return [key for key in config if key not in unused]


@cache  # there are few combinations, and up to 100,000 runs
def _unused(by_variant: frozenset[str], input_noise: bool, normal_init: bool, switches: bool) -> frozenset[str]:
    unused = set(by_variant)
    if input_noise:
        unused.discard("noise_at_eval")  # which keeps this noise active too
    if not normal_init:
        unused.add("init_std")
    if not switches:
        unused.add("drop_epochs")
    return frozenset(unused)
