"""The schema of a run, and what identifies one.

One flat set of keys; every default is the book's. A run's folder bears a hash of its `settings`: the keys that
differ from their defaults and that its variant uses. So a key that a later version adds renames no finished run.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from dropexp.variants import NUM_TRAIN, VARIANTS

# A field's description completes "… is not …" in an error; "item" does so for an entry of a list.
Probability = Annotated[float, Field(ge=0, le=1)]
Width = Annotated[int, Field(ge=1, le=1_000_000)]


def _disagreement(what: str, *keys: str) -> PydanticCustomError:
    """An error that knows which keys disagree."""
    return PydanticCustomError("keys_disagree", "{what}", {"what": what, "keys": keys})


def _list_of(default: list[Any], item: str, whole: str) -> Any:
    return Field(default=default, min_length=1, description=whole, json_schema_extra={"item": item})


class Config(BaseModel):
    """One run, complete. Raises pydantic's ValidationError; `study.load_config` turns that into `ConfigError`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True)

    variant: Literal["none", "nn", "scratch"] = Field(description=f"one of {', '.join(VARIANTS)}")
    seed: int = Field(default=0, ge=0, lt=2**63, description="a whole number, 0 or more")
    hidden: list[Width] = _list_of(
        [256, 256],
        "a whole number, 1 or more",
        "a list with the width of each hidden layer, such as [256, 256]",
    )
    drop_probs: list[Probability] = _list_of(
        [0.2, 0.5], "a probability (0 ≤ p ≤ 1)", "a list with the drop probability of each hidden layer"
    )
    lr: float = Field(default=0.5, gt=0, description="a number greater than 0")
    epochs: int = Field(default=5, ge=1, description="a whole number, 1 or more")
    batch_size: int = Field(default=256, ge=1, description="a whole number, 1 or more")
    sgd: Literal["mean", "book"] = Field(default="mean", description="mean (w − lr·g) or book (w − lr·g/batch_size)")
    momentum: float = Field(default=0.0, ge=0, lt=1, description="a number from 0 to under 1")
    weight_decay: float = Field(default=0.0, ge=0, description="a number, 0 or more")
    init: Literal["normal", "torch"] = Field(default="normal", description="normal or torch (nn.Linear's own)")
    init_std: float = Field(default=0.01, ge=0, description="a number, 0 or more")
    init_bias: Literal["zeros", "normal", "torch"] = Field(default="zeros", description="one of zeros, normal, torch")
    mask: Literal["rand", "randn-2019"] = Field(default="rand", description="one of rand, randn-2019")
    output_relu: bool = Field(default=False, description="true or false")
    noise_at_eval: bool = Field(default=False, description="true or false")
    fused: bool = Field(default=True, description="true or false")
    precision: Literal["float32", "bf16"] = Field(default="float32", description="float32 or bf16")
    eval_train: bool = Field(default=True, description="true or false")
    train_size: int | None = Field(default=None, ge=10, le=NUM_TRAIN, description=f"a whole number, 10 to {NUM_TRAIN}")
    validation_size: int = Field(
        default=0, ge=0, le=NUM_TRAIN - 10, description=f"a whole number, 0 to {NUM_TRAIN - 10}"
    )

    @model_validator(mode="before")
    @classmethod
    def _bias_follows_init(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("init") == "torch":
            return {"init_bias": "torch", **given}
        return given

    @model_validator(mode="after")
    def _keys_agree(self) -> Self:
        if "drop_probs" in self.used() and len(self.drop_probs) != len(self.hidden):
            raise _disagreement(
                f"drop_probs = {self.drop_probs} has {len(self.drop_probs)} entries for {len(self.hidden)} hidden "
                f"layers; give one per layer",
                "drop_probs",
                "hidden",
            )
        if self.variant == "nn" and self.mask != "rand":
            raise _disagreement(
                f"mask = {self.mask} is not for nn, which draws its own; use scratch", "mask", "variant"
            )
        if self.precision == "bf16" and not self.fused and "fused" in self.used():
            raise _disagreement(
                "precision = bf16 is not for the textbook page, which computes in float32; use fused: true",
                "precision",
                "fused",
            )
        if (self.train_size or 0) + self.validation_size > NUM_TRAIN:
            raise _disagreement(
                f"train_size = {self.train_size} and validation_size = {self.validation_size} are more than the "
                f"{NUM_TRAIN} training images",
                "train_size",
                "validation_size",
            )
        return self

    def used(self) -> list[str]:
        """The keys that can change this run's numbers."""
        unused = VARIANTS[self.variant].unused | (set() if "normal" in (self.init, self.init_bias) else {"init_std"})
        return [key for key in type(self).model_fields if key not in unused]

    def settings(self, device_kind: str) -> dict[str, Any]:
        """What the hash covers: used keys that differ from their defaults, and the kind of device."""
        fields = type(self).model_fields
        differing = {key: getattr(self, key) for key in self.used() if getattr(self, key) != fields[key].default}
        return differing | {"device": device_kind}


def digest(settings: dict[str, Any]) -> str:
    """Eight hexadecimal digits that name these settings."""
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]
