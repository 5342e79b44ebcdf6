"""The figures of an epoch as progress shows them."""

from __future__ import annotations

from dropexp.runs.epochs_table import Row
from dropexp.runs.metrics import format_figure

# Title and format of each column; the least important ones come first, and are left out first.
CLASSIFICATION = {
    "train_loss": ("loss", ".4f"),
    "train_acc": ("train", ".1%"),
    "val_acc": ("val", ".1%"),
    "test_acc": ("test", ".1%"),
}
REGRESSION = {"train_loss": ("loss", ".4g"), "val_loss": ("val", ".4g"), "test_loss": ("test", ".4g")}


def figures(row: Row) -> list[str]:
    """Format an epoch's losses and accuracies, as far as they were measured."""
    shown = CLASSIFICATION if "train_acc" in row else REGRESSION
    known = ((title, row.get(name), form) for name, (title, form) in shown.items())
    return [f"{title} {format_figure(value, form)}" for title, value, form in known if value is not None]
