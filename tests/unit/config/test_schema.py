"""The keys of a run: defaults, allowed values, and the hash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import Field, ValidationError

from dropexp.config.digests import digest
from dropexp.config.schema import Config, allowed
from dropexp.config.study import load_config
from dropexp.config.tasks import LINREG_KEYS
from dropexp.config.variant_table import VARIANTS


def config(**keys: Any) -> Config:
    return Config(**keys)


def hash_of(one: Config, device_kind: str = "cpu") -> str:
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
        "optimizer": "sgd",
        "sgd": "mean",
        "momentum": 0.0,
        "weight_decay": 0.0,
        "nesterov": False,
        "l1": 0.0,
        "max_norm": None,
        "label_smoothing": 0.0,
        "label_noise": 0.0,
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
        "eval_every": 1,
        "eval_test": True,
        "train_size": None,
        "validation_size": 0,
    }


def test_init_torch_implies_torchs_biases_by_default() -> None:
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
    ("optimizer", "rmsprop"),
    ("optimizer", "adamw"),  # without lr
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
    ("label_noise", 1.01),
    ("label_noise", -0.1),
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
    ("eval_test", None),
    ("eval_every", 0),
    ("eval_every", 1.5),
    ("train_size", 9),
    ("train_size", 60_001),
    ("validation_size", -1),
    ("validation_size", 59_991),
    ("precision", "half"),
    ("epoch", 3),
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_wrong_values_are_rejected(key: str, value: Any) -> None:
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
        ("label_noise", 1),
        ("init_std", 0),
        ("train_size", 10),
        ("train_size", 60_000),
        ("validation_size", 59_990),
    ],
)
def test_the_ends_of_ranges_are_allowed(key: str, value: Any) -> None:
    drop_probs = {"drop_probs": [0.5]} if key == "hidden" else {}
    assert getattr(config(**{"variant": "nn", key: value, **drop_probs}), key) == value


def test_every_key_is_documented_with_its_allowed_values() -> None:
    for key, field in Config.model_fields.items():
        assert field.description and field.description.endswith(".")
        assert allowed(Config, key)


# The hash. It is in the names of folders that users have, so it must never change.

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
def test_the_hash_of_a_config_never_changes(keys: dict[str, Any], expected: str) -> None:
    assert hash_of(config(**keys)) == expected


def test_the_hash_is_eight_hexadecimal_digits_of_non_default_keys() -> None:
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
    "optimizer": "adamw",
    "sgd": "book",
    "momentum": 0.9,
    "weight_decay": 0.1,
    "nesterov": True,
    "l1": 1e-5,
    "max_norm": 3.0,
    "label_smoothing": 0.1,
    "label_noise": 0.2,
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
    "eval_every": 5,
    "eval_test": False,
    "train_size": 1000,
    "validation_size": 1000,
}


def test_the_tests_of_the_hash_cover_every_key() -> None:
    assert set(OTHER) == set(Config.model_fields) - {"variant"}


NEEDED: dict[str, dict[str, Any]] = {  # the keys that another key needs
    "drop_epochs": {"drop_schedule": "late"},
    "optimizer": {"lr": 0.01},
    "nesterov": {"momentum": 0.9},
    "early_stopping": {"validation_size": 1000},
}


@pytest.mark.parametrize("key", OTHER)
def test_every_used_key_changes_the_hash(key: str) -> None:
    needed = NEEDED.get(key, {})
    assert hash_of(config(variant="scratch", **needed, **{key: OTHER[key]})) != hash_of(
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
        ("dropconnect-per-example", "mask"),
        ("dropconnect-per-example", "placement"),
        ("dropconnect-per-example", "fused"),
    ],
)
def test_an_unused_key_does_not_change_the_hash(variant: str, key: str) -> None:
    assert hash_of(config(variant=variant, **{key: OTHER[key]})) == hash_of(config(variant=variant))


def test_noise_at_eval_is_used_with_input_noise_even_without_dropout() -> None:
    names = {
        hash_of(config(variant="none", input_noise_std=0.1, noise_at_eval=noise_at_eval))
        for noise_at_eval in (False, True)
    }
    assert len(names) == 2


@pytest.mark.parametrize("key", sorted(set(OTHER) - LINREG_KEYS))
def test_a_key_of_the_network_is_rejected_for_linear_regression(key: str) -> None:
    keys = {"variant": "scratch", "task": "linear-regression"}
    with pytest.raises(ValidationError, match=rf"\b{key}\b.* cannot be set for linear-regression"):
        config(**keys, **{key: OTHER[key]})


@pytest.mark.parametrize("init_bias", ["torch", "zeros"])
def test_init_std_does_not_change_the_hash_if_nothing_is_normal(init_bias: str) -> None:
    plain = config(variant="scratch", init="torch", init_bias=init_bias)
    other = config(variant="scratch", init="torch", init_bias=init_bias, init_std=0.1)
    assert "init_std" not in other.used()
    assert other.settings("cpu") == plain.settings("cpu")
    assert hash_of(other) == hash_of(plain)


@pytest.mark.parametrize(("init", "init_bias"), [("normal", "zeros"), ("normal", "torch"), ("torch", "normal")])
def test_init_std_changes_the_hash_if_weights_or_biases_are_normal(init: str, init_bias: str) -> None:
    plain = config(variant="scratch", init=init, init_bias=init_bias)
    other = config(variant="scratch", init=init, init_bias=init_bias, init_std=0.1)
    assert "init_std" in other.used()
    assert hash_of(other) != hash_of(plain)


def test_variants_and_device_kinds_have_different_hashes() -> None:
    names = {hash_of(config(variant=v), d) for v in VARIANTS for d in ("cpu", "cuda")}
    assert len(names) == 2 * len(VARIANTS) == 20


def test_an_explicit_default_does_not_change_the_hash() -> None:
    spelled = config(variant="scratch").model_dump()
    assert hash_of(config(**spelled)) == hash_of(config(variant="scratch"))
    assert hash_of(config(variant="scratch", lr=1)) == hash_of(config(variant="scratch", lr=1.0))


class Later(Config):
    """The schema of a later version, with one more key."""

    depth: int = Field(0, ge=0)


@pytest.mark.parametrize(("keys", "expected"), GOLDEN)
def test_a_key_of_a_later_version_does_not_change_the_hash(keys: dict[str, Any], expected: str) -> None:
    assert hash_of(Later(**keys)) == expected
    assert hash_of(Later(**keys, depth=1)) != expected


@pytest.mark.parametrize(("keys", "expected"), GOLDEN)
def test_a_resolved_config_has_the_same_hash(keys: dict[str, Any], expected: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"name": "again", **config(**keys).model_dump()}))
    (run,) = load_config(file).runs
    assert run.digest("cpu") == expected
    assert run.config == config(**keys)


def test_settings_can_be_written_as_json() -> None:
    fitting = {"task": "fashion-mnist", "mask": "per-batch", "fused": True, "optimizer": "sgd"}
    every = OTHER | fitting | {"noise_at_eval": False, "eval_test": True}  # values that fit together
    settings = config(variant="scratch", **every).settings("cpu")
    by_default = {"task", "fused", "optimizer", "noise_at_eval", "eval_test"}
    assert settings.keys() == OTHER.keys() - by_default | {"variant", "device"}
    assert json.loads(json.dumps(settings)) == settings
