"""The figures of a source, as the section `published` of a config gives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dropexp.config.fields import POSITIVE, Probability, key_field
from dropexp.config.mistyped_values import is_percentage, meant, written
from dropexp.config.problems import shown
from dropexp.config.schema import allowed
from dropexp.config.yaml import KeyPath
from dropexp.did_you_mean import did_you_mean

PER_EPOCH = "a list of numbers, one per epoch"
ACCURACIES, ACCURACY = "a list of fractions from 0 to 1, one per epoch", "a fraction from 0 to 1"


class Published(BaseModel):
    """A source's figures, to compare runs with."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    arm: str | list[str] | None = key_field(
        "The arms that the figures belong to; `null` is all.", "an arm's name, or a list of them", None
    )
    source: str = key_field("Where the figures were published.", "text", "")
    loss: list[float] = key_field("Training loss of each epoch, with dropout active.", PER_EPOCH, [])
    loss_scale: float = key_field("`loss` × `loss_scale` is the mean cross entropy.", POSITIVE, 1.0, gt=0)
    train_acc: list[Probability] = key_field(
        "Training accuracy of each epoch, with dropout active.", ACCURACIES, [], item=ACCURACY
    )
    test_acc: list[Probability] = key_field("Test accuracy of each epoch.", ACCURACIES, [], item=ACCURACY)
    w_norm: dict[str, float] = key_field(
        "Norm of the weights after the last epoch, by arm.",
        "a mapping from arms to the norm of their weights after the last epoch",
        {},
    )


def problems_in(section: dict[Any, Any], error: ValidationError) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is wrong with a section, and where: each entry of a list of accuracies, and any other key once."""
    found: dict[KeyPath, str] = {}
    for one in error.errors():
        key, index = str(one["loc"][0]), one["loc"][1:2]
        if key not in Published.model_fields:
            similar, known = did_you_mean(key, Published.model_fields), ", ".join(Published.model_fields)
            found[key,] = f"unknown key {key!r}{similar}; the keys of published are {known}"
        elif index and (item := allowed(Published, key, item=True)):
            title = f"published.{key}[{index[0]}]"
            found[key, *index] = f"{title} = {shown(one['input'])} is not {item}{_meant(one['input'])}"
        else:
            found[key,] = f"published.{key} = {shown(section.get(key))} is not {allowed(Published, key)}"
    yield from found.items()


def _meant(value: Any) -> str:
    """Return "; write 0.839" for an accuracy in percent or in quotes; "" for one whose meaning is not known."""
    number = meant(
        f"{value}%" if is_percentage(value) else value, lambda one: type(one) in (int, float) and 0 <= one <= 1
    )
    return "" if number is None else f"; write {written(round(number, 12))}"
