"""The columns of a run's table: the same in every epoch, also in one that has no figure for some of them."""

from __future__ import annotations

from dropexp.config.schema import Config
from dropexp.config.tasks import LINEAR_REGRESSION
from dropexp.training import probes


def columns_of(config: Config) -> list[str]:
    """Return the names of the columns that a config defines, in their order."""
    regression = config.task == LINEAR_REGRESSION
    parts = {
        "train": True,
        "clean_train": config.eval_train and not regression,
        "val": config.validation_size > 0,
        "test": config.eval_test,
    }
    kinds = ("loss",) if regression else ("loss", "acc")
    return [
        "epoch",
        *(f"{part}_{kind}" for part, is_there in parts.items() if is_there for kind in kinds),
        *(("w_norm",) if regression else ()),
        *("lr", "seconds"),
        *probes.columns(config.probes, len(config.hidden)),
    ]
