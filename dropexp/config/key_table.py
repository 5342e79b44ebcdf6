"""The table of keys, read from the schema, for docs/config.md, `config keys` and the JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from dropexp.config.fields import COUNT
from dropexp.config.published_section import Published
from dropexp.config.schema import Config, allowed
from dropexp.config.values import NULLABLE, in_words


@dataclass(frozen=True)
class KeyRow:
    """One key: its name, its default in YAML ("" without one), the values that it can have, and what it does.

    `section` is that of the book, "" if the key is not in it; `value` is the default itself, None without one.
    """

    key: str
    default: str
    allowed: str
    doc: str
    section: str = ""
    value: Any = None

    @property
    def text(self) -> str:
        """What it does and allows, as one text."""
        section = f" Book: {self.section}." if self.section else ""
        return f"{self.doc} Allowed: {self.allowed}.{section}"


# Sections of Dive into Deep Learning, in the numbering of its PyTorch edition of 2019 (d2l-zh).
SECTIONS = {
    **dict.fromkeys(("variant", "drop_probs", "mask"), "3.13"),
    **dict.fromkeys(("hidden", "lr", "epochs", "batch_size", "sgd", "init", "init_std", "init_bias"), "3.13.2"),
    **dict.fromkeys(("weight_decay", "l1"), "3.12"),
    **dict.fromkeys(("train_size", "validation_size", "early_stopping"), "3.11"),
    "task": "3.5, 3.12",
    "momentum": "7.4",
    "optimizer": "7.8",
}
STUDY_KEY_ROWS = (
    KeyRow("name", "the file's stem", "a folder name", "Name of the study and of its folder in `runs/`."),
    KeyRow(
        "matrix",
        "null",
        "a mapping from keys to lists of values, or to ranges like 0..4",
        "Every combination of the values is a run. A range is inclusive.",
    ),
    KeyRow(
        "arms",
        "null",
        "a mapping from names to {key: value, …}",
        "Combinations that are not a full product. With a `matrix`, each arm is combined with each of its points.",
    ),
    KeyRow(
        "labels",
        "null",
        "a mapping from arms or variants to texts",
        "Names of the arms in charts, tables and the report; options still take the arms' own names.",
    ),
    KeyRow(
        "tune",
        "null",
        "a mapping with the keys below",
        "A search for the settings of each arm: the same number of trials for all, selection on validation images, and "
        "tested runs with other seeds (docs/tuning.md).",
    ),
    KeyRow("published", "null", "a mapping with the keys below", "The figures of a source, to compare runs with."),
)
TUNE_KEY_ROWS = (
    KeyRow("tune.trials", "", COUNT, "Trials of each search: quasi-random points of the space."),
    KeyRow(
        "tune.repeats",
        "",
        "a whole number, 1 to 1,000, or a range like 8..15",
        "Independent searches for each arm, the pairs of the comparison. Trials of repeat r have seed r, and the run "
        "that tests the selected settings has seed 1000 + r.",
    ),
    KeyRow(
        "tune.space",
        "",
        "a mapping from keys to {uniform: [low, high]}, {log: [low, high]}, {each: [low, high]} or {choice: [values]}",
        "Where the values are drawn from; `log` is uniform in the logarithm, `each` draws an entry per hidden layer. "
        "An arm that has a key itself fixes it.",
    ),
)


def key_rows() -> Iterator[KeyRow]:
    """Yield a row for each key of a run, of a study, and of the sections `tune` and `published`."""
    yield from _rows(Config)
    yield from STUDY_KEY_ROWS
    yield from TUNE_KEY_ROWS
    yield from _rows(Published, "published.")


def _rows(model: type[BaseModel], prefix: str = "") -> Iterator[KeyRow]:
    for key, info in model.model_fields.items():
        default = "" if info.is_required() else json.dumps(info.default).strip('"').removesuffix(".0")
        section = SECTIONS.get(key, "") if model is Config else ""
        if key in NULLABLE:
            default = in_words(key, None)
        values, item = allowed(model, key), allowed(model, key, item=True)
        values = f"{values}; each {item}" if item else values
        value = None if info.is_required() else info.default
        yield KeyRow(prefix + key, default, values, info.description or "", section, value)
