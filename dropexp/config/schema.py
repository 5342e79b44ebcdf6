"""The schema of a run, and what identifies one.

One flat set of keys; every default is the book's. A run's folder bears a hash of its `settings`: the keys that
differ from their defaults and that its variant uses. So a key that a later version adds renames no finished run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from dropexp.config.tasks import LINEAR_REGRESSION, LINREG_KEYS, LINREG_ROWS, LINREG_VARIANTS, NUM_TRAIN
from dropexp.config.variants import VARIANTS

# A field's description completes "… is not …" in an error; "item" does so for an entry of a list.
Probability = Annotated[float, Field(ge=0, le=1)]
Width = Annotated[int, Field(ge=1, le=1_000_000)]


PROBES = ("weight_norms", "activations", "noise_at_test", "calibration")  # those of `probes.py` that take no number


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


def _list_of(default: list[Any], item: str, whole: str) -> Any:
    return Field(default=default, min_length=1, description=whole, json_schema_extra={"item": item})


class Config(BaseModel):
    """One run, complete. Raises pydantic's ValidationError; `study.load_config` turns that into `ConfigError`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True)

    variant: Annotated[str, AfterValidator(_known_variant)] = Field(description="a variant")
    task: Literal["fashion-mnist", "linear-regression"] = Field(
        default="fashion-mnist", description="fashion-mnist or linear-regression"
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="a whole number, 0 or more")
    hidden: list[Width] = _list_of(
        [256, 256],
        "a whole number, 1 or more",
        "a list with the width of each hidden layer, such as [256, 256]",
    )
    drop_probs: list[Probability] = _list_of(
        [0.2, 0.5], "a probability (0 ≤ p ≤ 1)", "a list with the drop probability of each hidden layer"
    )
    input_drop_prob: Probability = Field(default=0.0, description="a probability (0 ≤ p ≤ 1)")
    input_noise_std: float = Field(default=0.0, ge=0, description="a number, 0 or more")
    placement: Literal["after", "before"] = Field(default="after", description="after or before (the ReLU)")
    drop_schedule: Literal["constant", "early", "late", "curriculum", "random"] = Field(
        default="constant", description="one of constant, early, late, curriculum, random"
    )
    drop_epochs: int | None = Field(default=None, ge=0, description="a whole number, 0 or more")
    lr: float = Field(default=0.5, gt=0, description="a number greater than 0")
    epochs: int = Field(default=5, ge=1, description="a whole number, 1 or more")
    batch_size: int = Field(default=256, ge=1, description="a whole number, 1 or more")
    sgd: Literal["mean", "book"] = Field(default="mean", description="mean (w − lr·g) or book (w − lr·g/batch_size)")
    momentum: float = Field(default=0.0, ge=0, lt=1, description="a number from 0 to under 1")
    weight_decay: float = Field(default=0.0, ge=0, description="a number, 0 or more")
    nesterov: bool = Field(default=False, description="true or false")
    l1: float = Field(default=0.0, ge=0, description="a number, 0 or more")
    max_norm: float | None = Field(default=None, gt=0, description="a number greater than 0")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="a number from 0 to under 1")
    lr_schedule: Literal["constant", "step", "cosine"] = Field(
        default="constant", description="one of constant, step, cosine"
    )
    early_stopping: int | None = Field(default=None, ge=1, description="a whole number of epochs, 1 or more")
    init: Literal["normal", "torch"] = Field(default="normal", description="normal or torch (nn.Linear's own)")
    init_std: float = Field(default=0.01, ge=0, description="a number, 0 or more")
    init_bias: Literal["zeros", "normal", "torch"] = Field(default="zeros", description="one of zeros, normal, torch")
    mask: Literal["rand", "randn-2019", "per-batch"] = Field(
        default="rand", description="one of rand, randn-2019, per-batch"
    )
    output_relu: bool = Field(default=False, description="true or false")
    noise_at_eval: bool = Field(default=False, description="true or false")
    fused: bool = Field(default=True, description="true or false")
    precision: Literal["float32", "bf16"] = Field(default="float32", description="float32 or bf16")
    probes: Annotated[list[Annotated[Any, AfterValidator(_known_probe)]], AfterValidator(_each_once)] = Field(
        default=[],
        description="a list of probes, each once, such as [weight_norms, mc: 50]",
        json_schema_extra={"item": f"a probe; there are {', '.join(PROBES)}, and mc: K for the mean of K passes"},
    )
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
        for wrong, what, *keys in self._disagreements(self.used()):
            if wrong:
                raise PydanticCustomError("keys_disagree", "{what}", {"what": what, "keys": keys})
        return self

    def _disagreements(self, used: list[str]) -> Iterator[tuple[Any, ...]]:
        """Whether keys disagree, how, and which."""
        yield (
            "drop_probs" in used and len(self.drop_probs) != len(self.hidden),
            f"drop_probs = {self.drop_probs} has {len(self.drop_probs)} entries for {len(self.hidden)} hidden "
            f"layers; give one per layer",
            "drop_probs",
            "hidden",
        )
        draws_its_own = self.variant == "nn" and self.mask != "rand"
        yield draws_its_own, f"mask = {self.mask} is not for nn, which draws its own; use scratch", "mask", "variant"
        yield (
            self.mask == "randn-2019" and self.variant in ("unscaled", "classic"),
            f"mask = randn-2019 is a slip of scaled dropout, not for {self.variant}; use scratch",
            "mask",
            "variant",
        )
        yield (
            self.mask == "randn-2019" and self.drop_schedule != "constant" and "mask" in used,
            f"mask = randn-2019 drops where p = 0 is asked for too, as drop_schedule = {self.drop_schedule} does; "
            f"use rand",
            "mask",
            "drop_schedule",
        )
        yield (
            self.variant == "gaussian" and 1 in [self.input_drop_prob, *self.drop_probs],
            "variant = gaussian takes drop probabilities under 1, since its variance is p / (1 − p)",
            "drop_probs",
            "input_drop_prob",
            "variant",
        )
        yield (
            self.variant == "classic" and self.drop_schedule != "constant",
            f"variant = classic scales by one keep probability at test time, and drop_schedule = {self.drop_schedule} "
            f"changes it in training; use scratch",
            "drop_schedule",
            "variant",
        )
        yield (
            (self.drop_epochs or 0) > self.epochs and "drop_epochs" in used,
            f"drop_epochs = {self.drop_epochs} are more than epochs = {self.epochs}",
            "drop_epochs",
            "epochs",
        )
        yield (
            self.nesterov and not self.momentum and "nesterov" in used,
            "nesterov = true takes a momentum over 0, such as 0.9",
            "nesterov",
            "momentum",
        )
        yield (
            self.early_stopping is not None and not self.validation_size and "early_stopping" in used,
            f"early_stopping = {self.early_stopping} takes validation rows; set validation_size, to 10000 say",
            "early_stopping",
            "validation_size",
        )
        yield (
            self.precision == "bf16" and not self.fused and "fused" in used,
            "precision = bf16 is not for the textbook page, which computes in float32; use fused: true",
            "precision",
            "fused",
        )
        yield (
            (self.train_size or 0) + self.validation_size > NUM_TRAIN,
            f"train_size = {self.train_size} and validation_size = {self.validation_size} are more than the "
            f"{NUM_TRAIN} training images",
            "train_size",
            "validation_size",
        )
        yield (
            self.task == LINEAR_REGRESSION and self.variant not in LINREG_VARIANTS,
            f"variant = {self.variant} is not for linear-regression; use {' or '.join(LINREG_VARIANTS)}",
            "variant",
            "task",
        )
        fields = type(self).model_fields
        foreign = [key for key in fields if key not in LINREG_KEYS and getattr(self, key) != fields[key].default]
        yield (
            self.task == LINEAR_REGRESSION and bool(foreign),
            f"{' and '.join(foreign)} {'are' if len(foreign) > 1 else 'is'} not for linear-regression, which has "
            f"{', '.join(sorted(LINREG_KEYS))}",
            *foreign,
            "task",
        )
        rows = max(self.train_size or 0, self.validation_size)
        yield (
            self.task == LINEAR_REGRESSION and rows > LINREG_ROWS,
            f"{rows} rows are more than linear-regression draws ({LINREG_ROWS})",
            "train_size",
            "validation_size",
        )

    def used(self) -> list[str]:
        """The keys that can change this run's numbers."""
        if self.task == LINEAR_REGRESSION:
            return [key for key in type(self).model_fields if key in LINREG_KEYS]
        unused = set(VARIANTS[self.variant].unused)
        if self.input_noise_std:
            unused.discard("noise_at_eval")  # which leaves this noise on too
        if "normal" not in (self.init, self.init_bias):
            unused.add("init_std")
        if self.drop_schedule not in ("early", "late"):
            unused.add("drop_epochs")
        return [key for key in type(self).model_fields if key not in unused]

    def settings(self, device_kind: str) -> dict[str, Any]:
        """What the hash covers: used keys that differ from their defaults, a plugin's text, and the kind of device."""
        fields = type(self).model_fields
        differing = {key: getattr(self, key) for key in self.used() if getattr(self, key) != fields[key].default}
        plugin = VARIANTS[self.variant].plugin
        device = "cpu" if self.task == LINEAR_REGRESSION else device_kind
        return differing | ({"plugin": plugin} if plugin else {}) | {"device": device}


def canonical(settings: dict[str, Any]) -> str:
    """One text for these settings, in whatever order they are."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"))


def digest(settings: dict[str, Any]) -> str:
    """Eight hexadecimal digits that name these settings; two of a hundred thousand runs may well share theirs."""
    return hashlib.sha256(canonical(settings).encode()).hexdigest()[:8]
