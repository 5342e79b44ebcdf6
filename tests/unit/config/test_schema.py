"""The schema of a run: the book's defaults, what each key allows, and what identifies a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import Field, ValidationError

from dropexp.config.schema import Config, allowed, digest
from dropexp.config.study import load_config
from dropexp.config.tasks import LINREG_KEYS
from dropexp.config.variants import VARIANTS


def config(**keys: Any) -> Config:
    return Config(**keys)


def name_of(one: Config, device_kind: str = "cpu") -> str:
    return digest(one.settings(device_kind))


def test_the_defaults_are_the_books() -> None:
    assert config(variant="nn").model_dump() == {
        "variant": "nn",
        "task": "fashion-mnist",
        "seed": 0,
        "hidden": [256, 256],
        "drop_probs": [0.2, 0.5],
        "input_drop_prob": 0.0,
        "input_noise_std": 0.0,
        "placement": "after",
        "drop_schedule": "constant",
        "drop_epochs": None,
        "lr": 0.5,
        "epochs": 5,
        "batch_size": 256,
        "sgd": "mean",
        "momentum": 0.0,
        "weight_decay": 0.0,
        "nesterov": False,
        "l1": 0.0,
        "max_norm": None,
        "label_smoothing": 0.0,
        "lr_schedule": "constant",
        "early_stopping": None,
        "init": "normal",
        "init_std": 0.01,
        "init_bias": "zeros",
        "mask": "rand",
        "output_relu": False,
        "noise_at_eval": False,
        "fused": True,
        "precision": "float32",
        "probes": [],
        "eval_train": True,
        "train_size": None,
        "validation_size": 0,
    }


def test_torchs_initial_weights_bring_torchs_biases_unless_others_are_asked_for() -> None:
    assert config(variant="nn", init="torch").init_bias == "torch"
    assert config(variant="nn", init="torch", init_bias="zeros").init_bias == "zeros"
    assert config(variant="nn", init="normal").init_bias == "zeros"


WRONG: list[tuple[str, Any]] = [
    ("variant", "dropout"),
    ("variant", None),
    ("seed", -1),
    ("seed", 2**63),
    ("seed", True),
    ("seed", 1.0),
    ("hidden", []),
    ("hidden", 256),
    ("hidden", [256, 0]),
    ("hidden", [256, 10**7]),
    ("hidden", [256, True]),
    ("drop_probs", [0.2, 1.1]),
    ("drop_probs", [-0.1, 0.5]),
    ("drop_probs", [0.2, float("nan")]),
    ("drop_probs", [0.2]),
    ("task", "mnist"),
    ("input_drop_prob", 1.1),
    ("input_noise_std", -0.1),
    ("placement", "around"),
    ("drop_schedule", "never"),
    ("drop_epochs", -1),
    ("drop_epochs", 2.5),
    ("lr", 0),
    ("lr", float("inf")),
    ("lr", float("nan")),
    ("lr", "0.5"),
    ("epochs", 0),
    ("epochs", 5.0),
    ("batch_size", 0),
    ("sgd", "adam"),
    ("momentum", 1),
    ("momentum", -0.1),
    ("weight_decay", -1e-4),
    ("nesterov", 1),
    ("nesterov", True),  # without momentum
    ("l1", -1e-5),
    ("max_norm", 0),
    ("label_smoothing", 1),
    ("label_smoothing", -0.1),
    ("lr_schedule", "linear"),
    ("early_stopping", 0),
    ("early_stopping", 3),  # without validation rows
    ("init", "zeros"),
    ("init_std", -0.01),
    ("init_bias", "ones"),
    ("mask", "randn"),
    ("output_relu", 1),
    ("noise_at_eval", "yes"),
    ("fused", None),
    ("probes", "weight_norms"),
    ("probes", ["weights"]),
    ("probes", [{"mc": 0}]),
    ("probes", [{"mc": True}]),
    ("probes", [{"mc": 50, "k": 1}]),
    ("eval_train", 0),
    ("train_size", 9),
    ("train_size", 60_001),
    ("validation_size", -1),
    ("validation_size", 59_991),
    ("precision", "half"),
    ("epoch", 3),
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_the_schema_refuses(key: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        config(**{"variant": "nn", key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 2**63 - 1),
        ("hidden", [1]),
        ("drop_probs", [0, 1]),
        ("input_drop_prob", 1),
        ("input_noise_std", 0),
        ("drop_epochs", 0),
        ("lr", 100),
        ("momentum", 0.999),
        ("l1", 0),
        ("max_norm", 1e-9),
        ("label_smoothing", 0.999),
        ("init_std", 0),
        ("train_size", 10),
        ("train_size", 60_000),
        ("validation_size", 59_990),
    ],
)
def test_the_schema_takes_the_ends_of_its_ranges(key: str, value: Any) -> None:
    drop_probs = {"drop_probs": [0.5]} if key == "hidden" else {}
    assert getattr(config(**{"variant": "nn", key: value, **drop_probs}), key) == value


def test_every_key_is_documented_with_its_allowed_values() -> None:
    for key, field in Config.model_fields.items():
        assert field.description and field.description.endswith(".")
        assert allowed(Config, key)


def test_probabilities_that_are_not_used_need_not_fit_the_layers() -> None:
    assert config(variant="none", hidden=[64]).drop_probs == [0.2, 0.5]
    with pytest.raises(ValidationError, match="2 entries for 1 hidden layers"):
        config(variant="scratch", hidden=[64])


def test_no_more_images_can_be_asked_for_than_there_are() -> None:
    assert config(variant="nn", train_size=50_000, validation_size=10_000)
    with pytest.raises(ValidationError, match="together more than the 60000 training images"):
        config(variant="nn", train_size=50_001, validation_size=10_000)


@pytest.mark.parametrize("variant", ["none", "scratch"])
def test_the_mask_of_2019_is_not_for_nn(variant: str) -> None:
    assert config(variant=variant, mask="randn-2019")
    with pytest.raises(ValidationError, match="not supported by nn"):
        config(variant="nn", mask="randn-2019")


@pytest.mark.parametrize("mask", ["per-batch", "randn-2019"])
def test_nn_draws_masks_of_its_own(mask: str) -> None:
    with pytest.raises(ValidationError, match="not supported by nn"):
        config(variant="nn", mask=mask)


@pytest.mark.parametrize("variant", ["unscaled", "classic"])
def test_the_slip_of_2019_is_one_of_scaled_dropout(variant: str) -> None:
    assert config(variant=variant, mask="per-batch")
    with pytest.raises(ValidationError, match="a bug of scaled dropout"):
        config(variant=variant, mask="randn-2019")


@pytest.mark.parametrize("keys", [{"drop_probs": [0.5, 1]}, {"input_drop_prob": 1}])
def test_gaussian_noise_takes_no_probability_of_1(keys: dict[str, Any]) -> None:
    assert config(variant="scratch", **keys)
    with pytest.raises(ValidationError, match="under 1, because its variance"):
        config(variant="gaussian", **keys)


@pytest.mark.parametrize("schedule", ["early", "late", "curriculum", "random"])
def test_classic_dropout_has_one_probability_to_make_up_for(schedule: str) -> None:
    assert config(variant="unscaled", drop_schedule=schedule)
    with pytest.raises(ValidationError, match="one keep probability at test time"):
        config(variant="classic", drop_schedule=schedule)


def test_the_mask_of_2019_cannot_be_turned_off_by_a_schedule() -> None:
    with pytest.raises(ValidationError, match="drops units even where p is 0"):
        config(variant="scratch", mask="randn-2019", drop_schedule="early")


def test_a_schedule_cannot_turn_after_the_last_epoch() -> None:
    assert config(variant="nn", drop_schedule="early", drop_epochs=5)
    assert config(variant="nn", drop_epochs=6)  # not used
    with pytest.raises(ValidationError, match="drop_epochs = 6 is more than epochs = 5"):
        config(variant="nn", drop_schedule="early", drop_epochs=6)


def test_nesterov_takes_momentum_and_early_stopping_validation_rows() -> None:
    assert config(variant="nn", nesterov=True, momentum=0.9, early_stopping=1, validation_size=1)
    with pytest.raises(ValidationError, match="needs a momentum greater than 0"):
        config(variant="nn", nesterov=True)
    with pytest.raises(ValidationError, match="needs validation images"):
        config(variant="nn", early_stopping=1)


def test_linear_regression_is_for_two_variants() -> None:
    assert config(variant="nn", task="linear-regression").drop_probs == [0.2, 0.5]
    with pytest.raises(ValidationError, match="use scratch or nn"):
        config(variant="none", task="linear-regression")


def test_the_textbook_page_knows_no_bfloat16() -> None:
    assert config(variant="scratch", precision="bf16")
    with pytest.raises(ValidationError, match="use fused: true"):
        config(variant="scratch", precision="bf16", fused=False)


# What identifies a run. These digests are the names of folders that people have: they never change.

GOLDEN: list[tuple[dict[str, Any], str]] = [
    ({"variant": "none"}, "3cc022c7"),
    ({"variant": "nn"}, "f3cd009b"),
    ({"variant": "scratch"}, "2c85cc33"),
    ({"variant": "scratch", "seed": 4}, "84567777"),
    ({"variant": "scratch", "lr": 100, "sgd": "book", "mask": "randn-2019"}, "dfdd763d"),
    ({"variant": "nn", "hidden": [512], "drop_probs": [0.25], "epochs": 20, "momentum": 0.9}, "6c125f2b"),
    ({"variant": "nn", "init": "torch"}, "6b8bae52"),
    ({"variant": "none", "train_size": 5000, "validation_size": 1000, "eval_train": False}, "c38dd0d7"),
]


@pytest.mark.parametrize(("keys", "expected"), GOLDEN)
def test_a_config_keeps_its_name_for_ever(keys: dict[str, Any], expected: str) -> None:
    assert name_of(config(**keys)) == expected


def test_a_name_is_eight_hexadecimal_digits_of_what_differs() -> None:
    assert config(variant="scratch", lr=0.1).settings("cpu") == {"variant": "scratch", "lr": 0.1, "device": "cpu"}
    assert len(digest({})) == 8
    assert int(digest({}), 16) >= 0
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


OTHER: dict[str, Any] = {
    "task": "linear-regression",
    "seed": 1,
    "hidden": [256, 128],
    "drop_probs": [0.2, 0.4],
    "input_drop_prob": 0.1,
    "input_noise_std": 0.1,
    "placement": "before",
    "drop_schedule": "late",
    "drop_epochs": 1,
    "lr": 0.1,
    "epochs": 6,
    "batch_size": 128,
    "sgd": "book",
    "momentum": 0.9,
    "weight_decay": 0.1,
    "nesterov": True,
    "l1": 1e-5,
    "max_norm": 3.0,
    "label_smoothing": 0.1,
    "lr_schedule": "cosine",
    "early_stopping": 3,
    "init": "torch",
    "init_std": 0.1,
    "init_bias": "normal",
    "mask": "randn-2019",
    "output_relu": True,
    "noise_at_eval": True,
    "fused": False,
    "precision": "bf16",
    "probes": ["weight_norms", {"mc": 50}],
    "eval_train": False,
    "train_size": 1000,
    "validation_size": 1000,
}


def test_every_key_is_tried() -> None:
    assert set(OTHER) == set(Config.model_fields) - {"variant"}


NEEDED: dict[str, dict[str, Any]] = {  # the keys without which another has no meaning
    "drop_epochs": {"drop_schedule": "late"},
    "nesterov": {"momentum": 0.9},
    "early_stopping": {"validation_size": 1000},
}


@pytest.mark.parametrize("key", OTHER)
def test_every_key_that_a_variant_uses_changes_its_name(key: str) -> None:
    needed = NEEDED.get(key, {})
    assert name_of(config(variant="scratch", **needed, **{key: OTHER[key]})) != name_of(
        config(variant="scratch", **needed)
    )


@pytest.mark.parametrize(
    ("variant", "key"),
    [
        ("none", "drop_probs"),
        ("none", "input_drop_prob"),
        ("none", "mask"),
        ("none", "placement"),
        ("none", "drop_schedule"),
        ("none", "noise_at_eval"),
        ("nn", "fused"),
        ("scratch", "drop_epochs"),  # without a schedule
        ("gaussian", "mask"),
        ("three-point", "mask"),
        ("dropconnect", "mask"),
        ("dropconnect", "placement"),
        ("dropconnect-unscaled", "mask"),
        ("dropconnect-unscaled", "placement"),
    ],
)
def test_a_key_that_a_variant_does_not_use_changes_nothing(variant: str, key: str) -> None:
    assert name_of(config(variant=variant, **{key: OTHER[key]})) == name_of(config(variant=variant))


def test_noise_on_the_images_is_left_on_at_eval_without_dropout_too() -> None:
    names = {
        name_of(config(variant="none", input_noise_std=0.1, noise_at_eval=noise_at_eval))
        for noise_at_eval in (False, True)
    }
    assert len(names) == 2


@pytest.mark.parametrize("key", sorted(set(OTHER) - LINREG_KEYS))
def test_a_key_of_the_network_is_refused_for_linear_regression(key: str) -> None:
    keys = {"variant": "scratch", "task": "linear-regression"}
    with pytest.raises(ValidationError, match=rf"\b{key}\b.* cannot be set for linear-regression"):
        config(**keys, **{key: OTHER[key]})


@pytest.mark.parametrize("init_bias", ["torch", "zeros"])
def test_a_deviation_from_which_nothing_is_drawn_changes_nothing(init_bias: str) -> None:
    plain = config(variant="scratch", init="torch", init_bias=init_bias)
    other = config(variant="scratch", init="torch", init_bias=init_bias, init_std=0.1)
    assert "init_std" not in other.used()
    assert other.settings("cpu") == plain.settings("cpu")
    assert name_of(other) == name_of(plain)


@pytest.mark.parametrize(("init", "init_bias"), [("normal", "zeros"), ("normal", "torch"), ("torch", "normal")])
def test_a_deviation_from_which_weights_or_biases_are_drawn_changes_the_name(init: str, init_bias: str) -> None:
    plain = config(variant="scratch", init=init, init_bias=init_bias)
    other = config(variant="scratch", init=init, init_bias=init_bias, init_std=0.1)
    assert "init_std" in other.used()
    assert name_of(other) != name_of(plain)


def test_variants_and_kinds_of_device_have_names_of_their_own() -> None:
    names = {name_of(config(variant=v), d) for v in VARIANTS for d in ("cpu", "cuda")}
    assert len(names) == 2 * len(VARIANTS) == 18


def test_a_default_that_is_spelled_out_changes_nothing() -> None:
    spelled = config(variant="scratch").model_dump()
    assert name_of(config(**spelled)) == name_of(config(variant="scratch"))
    assert name_of(config(variant="scratch", lr=1)) == name_of(config(variant="scratch", lr=1.0))


class Later(Config):
    """The schema of a later version, with one key more."""

    depth: int = Field(0, ge=0, description="a whole number, 0 or more")


@pytest.mark.parametrize(("keys", "expected"), GOLDEN)
def test_a_key_of_a_later_version_renames_no_run(keys: dict[str, Any], expected: str) -> None:
    assert name_of(Later(**keys)) == expected
    assert name_of(Later(**keys, depth=1)) != expected


@pytest.mark.parametrize(("keys", "expected"), GOLDEN)
def test_a_resolved_config_loads_to_the_same_run(keys: dict[str, Any], expected: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"name": "again", **config(**keys).model_dump()}))
    (run,) = load_config(file).runs
    assert run.digest("cpu") == expected
    assert run.config == config(**keys)


def test_settings_can_be_written_as_json() -> None:
    every = OTHER | {"task": "fashion-mnist", "mask": "per-batch", "fused": True}  # the page knows no bf16
    settings = config(variant="scratch", **every).settings("cpu")
    assert settings.keys() == OTHER.keys() - {"task", "fused"} | {"variant", "device"}
    assert json.loads(json.dumps(settings)) == settings
