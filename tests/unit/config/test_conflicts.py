"""Values that are valid alone but not together."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from dropexp.config.schema import Config


def config(**keys: Any) -> Config:
    return Config(**keys)


def test_unused_probabilities_need_not_match_the_layers() -> None:
    assert config(variant="none", hidden=[64]).drop_probs == [0.2, 0.5]
    with pytest.raises(ValidationError, match="2 entries for 1 hidden layer;"):
        config(variant="scratch", hidden=[64])


def test_sizes_cannot_exceed_the_training_images() -> None:
    assert config(variant="nn", train_size=50_000, validation_size=10_000)
    with pytest.raises(ValidationError, match="together more than the 60000 training images"):
        config(variant="nn", train_size=50_001, validation_size=10_000)


@pytest.mark.parametrize("mask", ["per-batch", "randn-2019"])
def test_nn_supports_no_other_mask(mask: str) -> None:
    assert config(variant="none", mask=mask) and config(variant="scratch", mask=mask)
    with pytest.raises(ValidationError, match="not supported by nn"):
        config(variant="nn", mask=mask)


@pytest.mark.parametrize("variant", ["unscaled", "classic"])
def test_unscaled_variants_do_not_support_the_mask_of_2019(variant: str) -> None:
    assert config(variant=variant, mask="per-batch")
    with pytest.raises(ValidationError, match="a bug of scaled dropout"):
        config(variant=variant, mask="randn-2019")


@pytest.mark.parametrize("keys", [{"drop_probs": [0.5, 1]}, {"input_drop_prob": 1}])
def test_gaussian_noise_needs_probabilities_under_1(keys: dict[str, Any]) -> None:
    assert config(variant="scratch", **keys)
    with pytest.raises(ValidationError, match="under 1, because its variance"):
        config(variant="gaussian", **keys)


@pytest.mark.parametrize("schedule", ["early", "linear-decay", "late", "curriculum", "random"])
def test_classic_dropout_supports_no_schedule(schedule: str) -> None:
    assert config(variant="unscaled", drop_schedule=schedule)
    with pytest.raises(ValidationError, match="one keep probability at test time"):
        config(variant="classic", drop_schedule=schedule)


def test_the_mask_of_2019_supports_no_schedule() -> None:
    with pytest.raises(ValidationError, match="drops units even where p is 0"):
        config(variant="scratch", mask="randn-2019", drop_schedule="early")


def test_a_schedule_cannot_switch_after_the_last_epoch() -> None:
    assert config(variant="nn", drop_schedule="early", drop_epochs=5)
    assert config(variant="nn", drop_epochs=6)  # not used
    for schedule in ("early", "linear-decay", "late"):
        with pytest.raises(ValidationError, match="drop_epochs = 6 is more than epochs = 5"):
            config(variant="nn", drop_schedule=schedule, drop_epochs=6)


@pytest.mark.parametrize("variant", ["none", "nn", "scratch"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_has_no_default_lr_and_no_keys_of_sgd(optimizer: str, variant: str) -> None:
    chosen: dict[str, Any] = {"variant": variant, "optimizer": optimizer}
    with pytest.raises(ValidationError, match=f"optimizer = {optimizer} needs lr, such as 0.001"):
        config(**chosen)
    chosen["lr"] = 0.5  # SGD's default is valid if it is given
    regularised: dict[str, Any] = {"weight_decay": 0.01, "l1": 1e-5, "max_norm": 3.0, "lr_schedule": "cosine"}
    assert config(**chosen, **regularised, momentum=0.0, nesterov=False, sgd="mean").optimizer == optimizer
    wrong = {"sgd": "book", "momentum": 0.9, "nesterov": True}
    with pytest.raises(ValidationError) as error:
        config(**chosen, **wrong)
    assert [one["msg"].partition(" is not")[0] for one in error.value.errors()] == [
        *("sgd = book", "momentum = 0.9", "nesterov = true")
    ]


def test_nesterov_needs_momentum_and_early_stopping_needs_validation_images() -> None:
    assert config(variant="nn", nesterov=True, momentum=0.9, early_stopping=1, validation_size=1)
    with pytest.raises(ValidationError, match="needs a momentum greater than 0"):
        config(variant="nn", nesterov=True)
    with pytest.raises(ValidationError, match="needs validation images"):
        config(variant="nn", early_stopping=1)


def test_linear_regression_supports_two_variants() -> None:
    assert config(variant="nn", task="linear-regression").drop_probs == [0.2, 0.5]
    with pytest.raises(ValidationError, match="use scratch or nn"):
        config(variant="none", task="linear-regression")


def test_the_reference_implementation_does_not_support_bfloat16() -> None:
    assert config(variant="scratch", precision="bf16")
    with pytest.raises(ValidationError, match="use fused: true"):
        config(variant="scratch", precision="bf16", fused=False)


def test_masks_for_each_example_do_not_support_bf16() -> None:
    assert config(variant="dropconnect", precision="bf16")
    with pytest.raises(ValidationError, match="bf16 is not supported by dropconnect-per-example"):
        config(variant="dropconnect-per-example", precision="bf16")


def test_dropout_in_evaluations_requires_every_evaluation() -> None:
    """Each evaluation then draws from the generator of the training."""
    assert config(variant="none", noise_at_eval=True, eval_every=2, eval_test=False)  # it has no noise
    with pytest.raises(ValidationError, match="eval_every = 2 changes the weights with noise_at_eval = true"):
        config(variant="scratch", noise_at_eval=True, eval_every=2)
    with pytest.raises(ValidationError, match="eval_test = false changes the weights with noise_at_eval = true"):
        config(variant="scratch", noise_at_eval=True, eval_test=False)


@pytest.mark.parametrize("probes", [["activations", "calibration"], ["weight_norms", "noise_at_test"], [{"mc": 5}]])
def test_probes_of_images_need_the_test_set(probes: list[Any]) -> None:
    assert config(variant="scratch", probes=["weight_norms"], eval_test=False)
    on_images = ", ".join(str(probe) for probe in probes if probe != "weight_norms").replace("{'mc': 5}", "mc")
    with pytest.raises(ValidationError, match=f"probes = {on_images}: evaluated on the test images"):
        config(variant="scratch", probes=probes, eval_test=False)
