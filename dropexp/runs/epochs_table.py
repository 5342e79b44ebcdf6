"""The table of a run, a row per epoch or the same as columns, and its text: epochs.csv."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]  # the epoch, counted from 1, and its figures
Column = list[float | None]  # a figure for each epoch 1, 2, …; None where it was not measured
Columns = dict[str, Column]


def add_row(columns: Columns, row: Row) -> None:
    """Append the figures of the next epoch to the columns."""
    for name, value in row.items():
        if name != "epoch":
            columns.setdefault(name, []).append(value)


def num_epochs(columns: Columns) -> int:
    return len(next(iter(columns.values()), ()))


def rows_of(columns: Columns) -> list[Row]:
    epochs = zip(*columns.values(), strict=True)
    return [{"epoch": i, **dict(zip(columns, figures, strict=True))} for i, figures in enumerate(epochs, start=1)]


def best_epoch(columns: Columns) -> int | None:
    """Return the first epoch of the highest validation accuracy, None without any."""
    val_accs = [(acc, -epoch) for epoch, acc in enumerate(columns.get("val_acc", ()), start=1) if acc is not None]
    return -max(val_accs)[1] if val_accs else None


def last_figures(columns: Columns) -> dict[str, float | None]:
    """Return the figures of the last epoch, none if there is no epoch."""
    return {name: figures[-1] for name, figures in columns.items() if figures}


def to_csv(columns: Columns) -> bytes:
    """Return the text of epochs.csv in full precision; it is empty if there is no epoch."""
    rows = rows_of(columns)
    return csv_header(rows[0]) + b"".join(map(csv_line, rows)) if rows else b""


def csv_header(row: Row) -> bytes:
    return (",".join(row) + "\n").encode()


def csv_line(row: Row) -> bytes:
    return (",".join("" if value is None else repr(value) for value in row.values()) + "\n").encode()


def from_csv(content: bytes) -> Columns:
    """Return the columns of an epochs.csv, without a last line that was cut short; an empty cell is None.

    Raises ValueError if a row does not have the header's length, a cell is not a number, or the epochs are not 1, 2, …
    """
    lines = content[: content.rfind(b"\n") + 1].decode().split("\n")[:-1]
    if not lines:
        return {}
    header, *rows = [line.split(",") for line in lines]
    for epoch, row in enumerate(rows, start=1):
        if len(row) != len(header) or row[0] != str(epoch):
            raise ValueError(f"line {epoch + 1} is not a row of epoch {epoch}")
    names, cells = header[1:], [row[1:] for row in rows]
    return {
        name: [float(cell) if cell else None for cell in column]
        for name, column in zip(names, zip(*cells, strict=True) if cells else ([] for _ in names), strict=True)
    }
