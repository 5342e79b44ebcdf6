"""How the keys of a config are declared: the values that they allow, in types and in words."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from dropexp.config.variant_table import VARIANTS

PROBES = ("weight_norms", "activations", "correlation", "noise_at_test", "calibration")  # without mc: K

# What a key allows, in words that complete "… is not …" in an error message.
COUNT = "a whole number, 1 or more"
NOT_NEGATIVE = "a number, 0 or more"
POSITIVE = "a number greater than 0"
PROBABILITY = "a probability (0 ≤ p ≤ 1)"
FRACTION = "a number from 0 to under 1"
TRUE_OR_FALSE = "true or false"


def key_field(doc: str, allowed: str, default: Any = ..., *, item: str = "", **limits: Any) -> Any:
    """Return a field: `doc` is its text in the key table, `item` what an entry allows if the value is a list."""
    return Field(default=default, description=doc, json_schema_extra={"allowed": allowed, "item": item}, **limits)


def _known_variant(variant: str) -> str:
    if variant not in VARIANTS:
        raise PydanticCustomError("no_variant", "one of {names}", {"names": ", ".join(VARIANTS)})
    return variant


def _known_probe(probe: Any) -> Any:
    passes = probe.get("mc") if isinstance(probe, dict) and len(probe) == 1 else None
    if not (probe in PROBES if isinstance(probe, str) else type(passes) is int and passes > 0):
        raise PydanticCustomError("no_probe", "a probe")
    return probe


def _each_once(probes: list[Any]) -> list[Any]:
    names = [next(iter(probe)) if isinstance(probe, dict) else probe for probe in probes]
    if len(set(names)) < len(names):
        raise PydanticCustomError("probes_twice", "each once")
    return probes


Probability = Annotated[float, Field(ge=0, le=1)]
Width = Annotated[int, Field(ge=1, le=1_000_000)]
VariantName = Annotated[str, AfterValidator(_known_variant)]
Probes = Annotated[list[Annotated[Any, AfterValidator(_known_probe)]], AfterValidator(_each_once)]
