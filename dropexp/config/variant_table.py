"""The table of variants, as data: what each one draws and which config keys it ignores.

`training/build.py` makes networks from it; `config/plugins.py` adds rows for a user's own noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    builder: Literal["from_scratch", "torch_nn", "dropconnect"] = "from_scratch"
    noise: str | None = None  # the name of a class in nets/noise.py
    on_weights: bool = False  # the noise multiplies weights instead of units
    unused: frozenset[str] = frozenset()  # config keys that cannot change this variant's numbers
    factory: Callable[[float], Any] | None = None  # of a plugin: makes its noise from a drop probability
    plugin: str = ""  # of a plugin: the digest of its file's text


_UNIT_KEYS = frozenset({"mask", "placement"})
_NOISE_KEYS = frozenset(
    {"drop_probs", "input_drop_prob", "mask", "placement", "drop_schedule", "drop_epochs", "noise_at_eval"}
)
VARIANTS = {
    "none": Variant(unused=_NOISE_KEYS),
    "nn": Variant("torch_nn", unused=frozenset({"mask", "fused"})),
    "scratch": Variant(noise="Inverted"),
    "unscaled": Variant(noise="Unscaled"),
    "classic": Variant(noise="Classic"),
    "gaussian": Variant(noise="Gaussian", unused=frozenset({"mask"})),
    "three-point": Variant(noise="ThreePoint", unused=frozenset({"mask"})),
    # one mask per batch; DropConnect has one for each example
    "dropconnect": Variant(noise="Inverted", on_weights=True, unused=_UNIT_KEYS),
    "dropconnect-unscaled": Variant(noise="Unscaled", on_weights=True, unused=_UNIT_KEYS),
    "dropconnect-per-example": Variant("dropconnect", noise="Inverted", on_weights=True, unused=_UNIT_KEYS | {"fused"}),
}
