"""The JSON Schema of a config: it accepts what the loader accepts, and rejects what it rejects, key by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.configs import parsed, problems
from jsonschema import Draft7Validator

from dropexp.config import yaml
from dropexp.config.json_schema import json_schema
from dropexp.config.key_table import key_rows
from dropexp.config.schema import STUDY_KEYS, Config
from dropexp.config.shipped import shipped
from dropexp.config.starter import starter

SHIPPED = shipped()
SCHEMA = json_schema()
VALIDATOR = Draft7Validator(SCHEMA)


def rejects(text: str) -> bool:
    """Return whether the schema rejects a config. An editor merges `<<` as the loader does."""
    return not VALIDATOR.is_valid(yaml.parse(text, "study.yaml").content)


def test_the_schema_is_valid() -> None:
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", SHIPPED.values(), ids=SHIPPED)
def test_every_shipped_config_is_valid(path: Path) -> None:
    VALIDATOR.validate(yaml.parse(path.read_text(encoding="utf-8"), str(path)).content)


def test_every_key_has_its_meaning_default_and_section() -> None:
    properties: dict[str, Any] = SCHEMA["properties"]
    assert properties.keys() == {*Config.model_fields, *STUDY_KEYS, "<<"}
    for row in key_rows():
        section, _, key = row.key.rpartition(".")
        one = (properties[section]["properties"] if section else properties)[key]
        assert row.doc in one["description"]
        assert row.section in one["description"]
        assert one.get("default") == row.value
    assert properties["momentum"]["exclusiveMaximum"] == 1 and "Book: 7.4." in properties["momentum"]["description"]


@pytest.mark.parametrize("file", ["study.yaml", "my study (2).yml", "1.yaml", "no.yaml", "-", "हिन्दी.yaml"])
def test_the_starter_file_is_valid_under_any_name(file: str) -> None:
    text = starter(Path(file))
    assert text.startswith("# yaml-language-server: $schema=./dropexp.schema.json\n")
    assert not rejects(text)
    assert parsed(text).axes.keys() == {"variant", "seed"}


@pytest.mark.parametrize(
    "line",
    [
        "max_norm: none",
        "train_size: all",
        "train_size: null",
        "drop_epochs: half",
        "early_stopping: none",
        "epochs: 5.0",
        "hidden: [8, 1e1]\ndrop_probs: [0, 1]",
        "probes: [weight_norms, mc: 5]",
        "matrix: {seed: 0x0..1e1}",
        "matrix: {seed: 0..4, train_size: [1000, all], hidden: [[8, 8], [16, 16]]}",
        "matrix:",
        "arms: {a: {lr: 1}, b: {}}",
        "x-shared: &s {lr: 0.1}\narms: {a: {<<: *s}, b: {}}",
        "labels: {nn: 'nn.Dropout, α = 0.5'}",
        "published: {arm: [nn], loss: [1], w_norm: {nn: 1.5}}",
        "validation_size: 100\ntune: {trials: 2, repeats: 3..4, space: {max_norm: {choice: [none]}}}",
    ],
)
def test_what_the_loader_accepts_is_valid(line: str) -> None:
    text = f"variant: nn\n{line}\n"
    parsed(text)
    assert not rejects(text)


@pytest.mark.parametrize(
    "text",
    [
        "lr: 0.1",
        "variant: droput",
        "variant: [nn]",
        "matrix: {seed: 0..4}",
        *(
            f"variant: nn\n{line}"
            for line in (
                "learning_rate: 0.1",
                "epoch: 3",
                "epochs: 0",
                "epochs: 2.5",
                "epochs: '3'",
                "lr: 0",
                "lr: fast",
                "momentum: 1",
                "drop_probs: 0.5",
                "drop_probs: [0.2, 1.5]",
                "hidden: []",
                "hidden: [8, 0]",
                "fused: 1",
                "train_size: 9",
                "train_size: none at all",
                "max_norm: 0",
                "weight_decay: none",
                "mask: randn",
                "probes: [mc]",
                "probes: [mc: 0]",
                "name: a/b",
                "name: 5",
                "seed: [0, 1]",
                "matrix: 3",
                "matrix: {}",
                "matrix: {lr: 0.1}",
                "matrix: {lr: [0.1, x]}",
                "matrix: {arms: [1]}",
                "arms: {a: 3}",
                "arms: {a: {epoch: 3}}",
                "labels: {nn: ' '}",
                'labels: {nn: "a\\nb"}',
                f"labels: {{nn: {'x' * 201}}}",
                "published: {los: [1]}",
                "published: {loss: 1}",
                "tune: {trials: 2}",
                "tune: {trials: 0, repeats: 2, space: {lr: {log: [0.1, 1]}}}",
                "tune: {trials: 2, repeats: 2, space: {lr: {loguniform: [0.1, 1]}}}",
                "tune: {trials: 2, repeats: 2, space: {seed: {uniform: [0, 1]}}}",
            )
        ),
    ],
)
def test_what_the_loader_rejects_is_invalid(text: str) -> None:
    if text not in ("lr: 0.1", "matrix: {seed: 0..4}"):  # no variant: reported later, when runs are planned
        assert problems(f"{text}\n")
    assert rejects(f"{text}\n")
