"""Values that are valid alone but not together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dropexp.config.tasks import LINEAR_REGRESSION, LINREG_KEYS, LINREG_ROWS, LINREG_VARIANTS, NUM_TRAIN_IMAGES
from dropexp.plurals import counted

if TYPE_CHECKING:
    from dropexp.config.schema import Config


@dataclass(frozen=True)
class Conflict:
    """Keys whose values do not go together, and why."""

    keys: tuple[str, ...]
    message: str


def conflicts(config: Config) -> Iterator[Conflict]:
    """Yield each conflict between keys that the run uses."""
    yield from _noise_conflicts(config)
    yield from _optimizer_conflicts(config)
    yield from _training_conflicts(config)
    yield from _evaluation_conflicts(config)
    if config.task == LINEAR_REGRESSION:
        yield from _linear_regression_conflicts(config)


def _noise_conflicts(config: Config) -> Iterator[Conflict]:
    used = config.used()
    variant, mask, schedule = config.variant, config.mask, config.drop_schedule
    if "drop_probs" in used and len(config.drop_probs) != len(config.hidden):
        yield Conflict(
            ("drop_probs", "hidden"),
            f"drop_probs = {config.drop_probs} has {counted(len(config.drop_probs), 'entry')} for "
            f"{counted(len(config.hidden), 'hidden layer')}; give one per layer",
        )
    if variant == "nn" and mask != "rand":
        yield Conflict(
            ("mask", "variant"), f"mask = {mask} is not supported by nn, which samples its own mask; use scratch"
        )
    if variant in ("unscaled", "classic") and mask == "randn-2019":
        yield Conflict(
            ("mask", "variant"),
            f"mask = randn-2019 is a bug of scaled dropout and not supported by {variant}; use scratch",
        )
    if "mask" in used and mask == "randn-2019" and schedule != "constant":
        yield Conflict(
            ("mask", "drop_schedule"),
            f"mask = randn-2019 drops units even where p is 0, as in drop_schedule = {schedule}; use rand",
        )
    if variant == "gaussian" and 1 in [config.input_drop_prob, *config.drop_probs]:
        yield Conflict(
            ("drop_probs", "input_drop_prob", "variant"),
            "variant = gaussian needs drop probabilities under 1, because its variance is p / (1 − p)",
        )
    if variant == "classic" and schedule != "constant":
        yield Conflict(
            ("drop_schedule", "variant"),
            f"variant = classic scales by one keep probability at test time, and drop_schedule = {schedule} changes "
            "it during training; use scratch",
        )
    if "drop_epochs" in used and config.drop_epochs is not None and config.drop_epochs > config.epochs:
        yield Conflict(
            ("drop_epochs", "epochs"), f"drop_epochs = {config.drop_epochs} is more than epochs = {config.epochs}"
        )


def _optimizer_conflicts(config: Config) -> Iterator[Conflict]:
    if config.task == LINEAR_REGRESSION:
        return  # it uses none of these keys
    if config.optimizer == "sgd":
        if config.nesterov and not config.momentum:
            yield Conflict(("nesterov", "momentum"), "nesterov = true needs a momentum greater than 0, such as 0.9")
        return
    name = f"optimizer = {config.optimizer}"
    if "lr" not in config.model_fields_set:
        yield Conflict(("lr", "optimizer"), f"{name} needs lr, such as 0.001; its default is a rate for sgd")
    for key in ("sgd", "momentum", "nesterov"):
        value = getattr(config, key)
        if value != type(config).model_fields[key].default:
            what = f"{key} = {str(value).lower()} is not supported by {name}"
            yield Conflict((key, "optimizer"), f"{what}; remove it, or use optimizer: sgd")


def _training_conflicts(config: Config) -> Iterator[Conflict]:
    used = config.used()
    if "early_stopping" in used and config.early_stopping is not None and not config.validation_size:
        yield Conflict(
            ("early_stopping", "validation_size"),
            f"early_stopping = {config.early_stopping} needs validation images; set validation_size, such as 10000",
        )
    if "fused" in used and config.precision == "bf16" and not config.fused:
        yield Conflict(
            ("precision", "fused"),
            "precision = bf16 is not supported by the reference implementation, which computes in float32; "
            "use fused: true",
        )
    if config.variant == "dropconnect-per-example" and config.precision == "bf16":
        yield Conflict(
            ("precision", "variant"),
            "precision = bf16 is not supported by dropconnect-per-example, which masks float32 weights; use float32",
        )
    if (config.train_size or 0) + config.validation_size > NUM_TRAIN_IMAGES:
        yield Conflict(
            ("train_size", "validation_size"),
            f"train_size = {config.train_size} and validation_size = {config.validation_size} are together more than "
            f"the {NUM_TRAIN_IMAGES} training images",
        )


def _evaluation_conflicts(config: Config) -> Iterator[Conflict]:
    used = config.used()
    if "noise_at_eval" in used and config.noise_at_eval:
        for key, value, default in (("eval_every", config.eval_every, 1), ("eval_test", config.eval_test, True)):
            if value != default:
                yield Conflict(
                    (key, "noise_at_eval"),
                    f"{key} = {str(value).lower()} changes the weights with noise_at_eval = true, whose evaluations "
                    "sample from the generator of the training; remove one of them",
                )
    if config.eval_test:
        return
    names = [next(iter(probe)) if isinstance(probe, dict) else probe for probe in config.probes]
    on_images = [name for name in names if name != "weight_norms"]
    if "probes" in used and on_images:
        yield Conflict(
            ("probes", "eval_test"),
            f"probes = {', '.join(on_images)}: evaluated on the test images, which eval_test = false leaves out; "
            "weight_norms is the only probe without them",
        )


def _linear_regression_conflicts(config: Config) -> Iterator[Conflict]:
    if config.variant not in LINREG_VARIANTS:
        yield Conflict(
            ("variant", "task"),
            f"variant = {config.variant} is not supported by linear-regression; use {' or '.join(LINREG_VARIANTS)}",
        )
    fields = type(config).model_fields
    unused = [key for key in fields if key not in LINREG_KEYS and getattr(config, key) != fields[key].default]
    if unused:
        yield Conflict(
            (*unused, "task"),
            f"{' and '.join(unused)} cannot be set for linear-regression, which uses {', '.join(sorted(LINREG_KEYS))}",
        )
    rows = max(config.train_size or 0, config.validation_size)
    if rows > LINREG_ROWS:
        yield Conflict(
            ("train_size", "validation_size"), f"linear-regression has at most {LINREG_ROWS} rows, not {rows}"
        )
