"""The figures of a source, as the section `published` of a config gives them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from dropexp.config.fields import POSITIVE, key_field

PER_EPOCH = "a list of numbers, one per epoch"


class Published(BaseModel):
    """A source's figures, to compare runs with."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    arm: str | list[str] | None = key_field(
        "The arms that the figures belong to; `null` is all.", "an arm's name, or a list of them", None
    )
    source: str = key_field("Where the figures were published.", "text", "")
    loss: list[float] = key_field("Training loss of each epoch, with dropout active.", PER_EPOCH, [])
    loss_scale: float = key_field("`loss` × `loss_scale` is the mean cross entropy.", POSITIVE, 1.0, gt=0)
    train_acc: list[float] = key_field("Training accuracy of each epoch, with dropout active.", PER_EPOCH, [])
    test_acc: list[float] = key_field("Test accuracy of each epoch.", PER_EPOCH, [])
    w_norm: dict[str, float] = key_field(
        "Norm of the weights after the last epoch, by arm.",
        "a mapping from arms to the norm of their weights after the last epoch",
        {},
    )
