"""The keys of a run, and what identifies a run.

One flat set of keys. Every default is the book's (*Dive into Deep Learning*). A run's folder name contains a hash
of its `settings`: the keys that differ from their defaults and that its variant uses. So a key that a later version
adds does not rename finished runs.
"""

from __future__ import annotations

from typing import Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from dropexp.config.conflicts import conflicts
from dropexp.config.fields import (
    COUNT,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    PROBABILITY,
    PROBES,
    TRUE_OR_FALSE,
    Probability,
    Probes,
    VariantName,
    Width,
    key_field,
)
from dropexp.config.tasks import LINEAR_REGRESSION, NUM_TRAIN_IMAGES
from dropexp.config.used_keys import used_keys
from dropexp.config.variant_table import VARIANTS

STUDY_KEYS = ("name", "matrix", "arms", "labels", "tune", "published")  # the keys of a file that are not keys of a run
GROUPS: dict[str, tuple[str, ...]] = {
    "dropout": (
        *("variant", "drop_probs", "input_drop_prob", "input_noise_std", "placement", "drop_schedule", "drop_epochs"),
        *("mask", "noise_at_eval"),
    ),
    "network": ("hidden", "init", "init_std", "init_bias", "output_relu", "fused", "precision"),
    "training": (
        *("epochs", "batch_size", "lr", "lr_schedule", "optimizer", "sgd", "momentum", "nesterov", "early_stopping"),
        "seed",
    ),
    "regularisers": ("weight_decay", "l1", "max_norm", "label_smoothing"),
    "data": ("task", "train_size", "validation_size", "label_noise"),
    "evaluation": ("probes", "eval_train", "eval_every", "eval_test"),
    "study": STUDY_KEYS,
}


class Config(BaseModel):
    """All keys of one run. Raises pydantic's ValidationError, which `study.load_config` turns into ConfigError."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True)

    variant: VariantName = key_field(
        "Kind of dropout. `none`; `nn` (`nn.Dropout`); from scratch: `scratch` (inverted dropout), `unscaled`, "
        "`classic` (scaled at test time), `gaussian`, `three-point`; on weights, with one mask per batch, "
        "`dropconnect` and `dropconnect-unscaled`; on weights and biases, with a mask per image, "
        "`dropconnect-per-example` (DropConnect, Wan et al., 2013). `dropexp/nets/noise.py` and `dropconnect.py` "
        "have the equations.",
        "one of the variants",
    )
    task: Literal["fashion-mnist", "linear-regression"] = key_field(
        "`linear-regression` is the book's weight decay study (3.12), with the variants `scratch` and `nn`.",
        "fashion-mnist or linear-regression",
        "fashion-mnist",
    )
    seed: int = key_field(
        "Split, initialisation, batch order and noise have random streams of their own, all derived from the seed. "
        "The first three are equal for every variant.",
        "a whole number, 0 or more",
        0,
        ge=0,
        lt=2**63,
    )
    hidden: list[Width] = key_field(
        "Width of each hidden layer (3.13.2).",
        "a list with the width of each hidden layer, such as [256, 256]",
        [256, 256],
        item=COUNT,
        min_length=1,
    )
    drop_probs: list[Probability] = key_field(
        "Probability of dropping a unit, for each hidden layer (3.13.2); with noise on weights, of dropping a weight "
        "that reads it.",
        "a list with the drop probability of each hidden layer, such as [0.2, 0.5]",
        [0.2, 0.5],
        item=PROBABILITY,
        min_length=1,
    )
    input_drop_prob: Probability = key_field(
        "Drop probability of the pixels; with noise on weights, of the first layer's weights.", PROBABILITY, 0.0
    )
    input_noise_std: float = key_field(
        "Standard deviation of normal noise that is added to the pixels.", NOT_NEGATIVE, 0.0, ge=0
    )
    placement: Literal["after", "before"] = key_field(
        "`before`: the noise is applied before the ReLU.", "after or before (the ReLU)", "after"
    )
    drop_schedule: Literal["constant", "early", "linear-decay", "late", "curriculum", "random"] = key_field(
        "How drop probabilities change during training. `early`: dropout in the first `drop_epochs` epochs only; "
        "`linear-decay`: the same, falling linearly from p to 0, as in the code of Liu et al. (2023); `late`: only "
        "after them (Liu et al., 2023); `curriculum`: rises from 0 to p (Morerio et al., 2017); `random`: another p "
        "for each batch.",
        "one of constant, early, linear-decay, late, curriculum, random",
        "constant",
    )
    drop_epochs: int | None = key_field(
        "Epochs after which an `early`, `linear-decay` or `late` schedule switches; `half` is half of `epochs`.",
        "a whole number, 0 or more",
        None,
        ge=0,
    )
    lr: float = key_field("Learning rate; `adam` and `adamw` have no default.", POSITIVE, 0.5, gt=0)
    epochs: int = key_field("Passes over the training set.", COUNT, 5, ge=1)
    batch_size: int = key_field("Training images per step.", COUNT, 256, ge=1)
    optimizer: Literal["sgd", "adam", "adamw"] = key_field(
        "`adam` (Kingma and Ba, 2015) and `adamw` (Loshchilov and Hutter, 2019) have β₁ = 0.9, β₂ = 0.999 and "
        "ε = 1e-8, and differ in `weight_decay`; the keys of SGD, `sgd`, `momentum` and `nesterov`, are errors there.",
        "one of sgd, adam, adamw",
        "sgd",
    )
    sgd: Literal["mean", "book"] = key_field(
        "`mean`: w ← w − lr·g, with g the gradient of the batch's mean loss; `book`: w ← w − lr·g/batch_size, the "
        "update of 3.13.2, where lr is 100.",
        "mean (w − lr·g) or book (w − lr·g/batch_size)",
        "mean",
    )
    momentum: float = key_field("Momentum of SGD.", FRACTION, 0.0, ge=0, lt=1)
    weight_decay: float = key_field(
        "λ of the penalty λ/2·‖w‖² on weights, not on biases (3.12). With `adamw` it is not a penalty but a step of "
        "its own, w ← w − lr·λ·w.",
        NOT_NEGATIVE,
        0.0,
        ge=0,
    )
    nesterov: bool = key_field("Nesterov momentum (Sutskever et al., 2013).", TRUE_OR_FALSE, False)
    l1: float = key_field("λ of the penalty λ·‖w‖₁ on weights, not on biases.", NOT_NEGATIVE, 0.0, ge=0)
    max_norm: float | None = key_field(
        "Upper bound for the norm of each hidden unit's incoming weights (Srivastava et al., 2014, section 5.1).",
        POSITIVE,
        None,
        gt=0,
    )
    label_smoothing: float = key_field(
        "Share of each label that is spread over all classes (Szegedy et al., 2016). Losses in tables use hard "
        "(one-hot) labels.",
        FRACTION,
        0.0,
        ge=0,
        lt=1,
    )
    lr_schedule: Literal["constant", "step", "cosine"] = key_field(
        "`step`: lr/10 after half of the epochs, lr/100 after three quarters; `cosine`: cosine annealing from lr, "
        "epoch by epoch (Loshchilov and Hutter, 2017).",
        "one of constant, step, cosine",
        "constant",
    )
    early_stopping: int | None = key_field(
        "Patience, in epochs, checked after each evaluation: the run ends when validation accuracy has not improved "
        "for this many epochs. `compare --at best-val` uses the best epoch.",
        "a whole number of epochs, 1 or more",
        None,
        ge=1,
    )
    label_noise: Probability = key_field(
        "Probability that a training label is replaced by another class, drawn uniformly. An image's label depends on "
        "the seed alone, and a larger probability replaces further labels. Training figures use these labels, "
        "validation and test figures the true ones.",
        PROBABILITY,
        0.0,
    )
    init: Literal["normal", "torch"] = key_field(
        "Initial weights: `normal` (3.13.2), or `torch`, the default of `nn.Linear`.",
        "normal or torch (the default of nn.Linear)",
        "normal",
    )
    init_std: float = key_field("Standard deviation of a `normal` initialisation.", NOT_NEGATIVE, 0.01, ge=0)
    init_bias: Literal["zeros", "normal", "torch"] = key_field(
        "Initial biases. The default is `torch` with `init: torch`.", "one of zeros, normal, torch", "zeros"
    )
    mask: Literal["rand", "randn-2019", "per-batch"] = key_field(
        "How the dropout mask is sampled. `rand`: `rand < keep`, for each unit and image; `per-batch`: one mask for "
        "all rows of a batch; `randn-2019`: a bug in the book's code until October 2019 (normal numbers).",
        "one of rand, randn-2019, per-batch",
        "rand",
    )
    output_relu: bool = key_field(
        "Also apply a ReLU to the outputs, which reproduces a bug in published code.", TRUE_OR_FALSE, False
    )
    noise_at_eval: bool = key_field(
        "Keep dropout active in evaluation mode, which reproduces a bug in published code.", TRUE_OR_FALSE, False
    )
    fused: bool = key_field(
        "`false` trains `scratch` and `none` with the reference implementation, `dropexp/nets/from_scratch.py`.",
        TRUE_OR_FALSE,
        True,
    )
    precision: Literal["float32", "bf16"] = key_field(
        "`bf16`: matrix products in bfloat16 (with `nn`, activations too); parameters and updates stay float32. A "
        "run fails if torch detects no bfloat16 instructions; on a CPU this needs a recent torch, such as 2.15.",
        "float32 or bf16",
        "float32",
    )
    probes: Probes = key_field(
        "Additional columns of `epochs.csv`, measured on the test images: `weight_norms`; `activations` (mean, "
        "variance and zeros of each hidden layer); `correlation` (of the units of a hidden layer, a measure of "
        "co-adaptation); `noise_at_test` (accuracy with dropout active, and the share of predictions that change); "
        "`calibration`; `mc: 50` (mean of 50 stochastic passes). They change no other "
        "figure. `dropexp/training/probes.py` defines each column.",
        "a list of probes, each once, such as [weight_norms, mc: 50]",
        [],
        item=f"one of {', '.join(PROBES)}, or mc: K (the mean of K stochastic passes)",
    )
    eval_train: bool = key_field(
        "Evaluate the training set after each epoch, which the generalisation gap needs.", TRUE_OR_FALSE, True
    )
    eval_every: int = key_field(
        "Evaluate and measure `probes` every k epochs, and after the last one. In `epochs.csv`, figures of the "
        "epochs between are empty; weights and running figures stay the same.",
        COUNT,
        1,
        ge=1,
    )
    eval_test: bool = key_field(
        "Evaluate the test set after each epoch. With `false` the run has no test figures, and no probes except "
        "`weight_norms`; `compare` uses `val_acc`.",
        TRUE_OR_FALSE,
        True,
    )
    train_size: int | None = key_field(
        "Training images, balanced over the classes.",
        f"a whole number, 10 to {NUM_TRAIN_IMAGES}",
        None,
        ge=10,
        le=NUM_TRAIN_IMAGES,
    )
    validation_size: int = key_field(
        "Training images held out for validation, balanced over the classes.",
        f"a whole number, 0 to {NUM_TRAIN_IMAGES - 10}",
        0,
        ge=0,
        le=NUM_TRAIN_IMAGES - 10,
    )

    @model_validator(mode="before")
    @classmethod
    def _bias_follows_init(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("init") == "torch":
            return {"init_bias": "torch", **given}
        return given

    @model_validator(mode="after")
    def _raise_conflicts(self) -> Self:
        found = [
            InitErrorDetails(
                type=PydanticCustomError("conflict", "{message}", {"message": one.message, "keys": one.keys}),
                input=self,
            )
            for one in conflicts(self)
        ]
        if found:
            raise ValidationError.from_exception_data(type(self).__name__, found)
        return self

    def used(self) -> list[str]:
        """Return the keys that can change this run's numbers."""
        return used_keys({key: getattr(self, key) for key in type(self).model_fields})

    def settings(self, device_kind: str) -> dict[str, Any]:
        """Return what the hash covers: used keys that differ from their defaults, plugin text and kind of device."""
        fields = type(self).model_fields
        settings = {key: getattr(self, key) for key in self.used() if getattr(self, key) != fields[key].default}
        if plugin := VARIANTS[self.variant].plugin:
            settings["plugin"] = plugin
        settings["device"] = "cpu" if self.task == LINEAR_REGRESSION else device_kind
        return settings


def allowed(model: type[BaseModel], key: str, *, item: bool = False) -> str:
    """Return which values a key (`item`: an entry of its list) can have, in words that complete "… is not …"."""
    if key == "variant" and not item:
        return f"one of {', '.join(VARIANTS)}"  # plugins add variants
    texts = cast(dict[str, str], model.model_fields[key].json_schema_extra)
    return texts["item" if item else "allowed"]
