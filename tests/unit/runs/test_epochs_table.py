"""The table of a run as columns, rows and the text of epochs.csv."""

from __future__ import annotations

import io
import math

import pandas as pd
import pytest

from dropexp.runs.epochs_table import Columns, add_row, best_epoch, from_csv, last_figures, num_epochs, rows_of, to_csv

COLUMNS: Columns = {
    "train_loss": [0.1 + 0.2, math.inf, -math.inf],
    "test_loss": [1e-5, -1.5e-300, 1e22],
    "w1_norm": [1 / 3, 5e-324, 2.0],
}
TEXT = (
    b"epoch,train_loss,test_loss,w1_norm\n"
    b"1,0.30000000000000004,1e-05,0.3333333333333333\n"
    b"2,inf,-1.5e-300,5e-324\n"
    b"3,-inf,1e+22,2.0\n"
)


def test_figures_are_read_back_in_full_precision() -> None:
    assert to_csv(COLUMNS) == TEXT
    assert from_csv(TEXT) == COLUMNS


def test_nan_is_read_back() -> None:
    assert from_csv(to_csv({"train_loss": [math.nan]})) == {"train_loss": [pytest.approx(math.nan, nan_ok=True)]}


def test_a_figure_that_was_not_measured_is_an_empty_cell() -> None:
    columns: Columns = {"train_loss": [0.5, 0.25], "test_loss": [None, 0.5]}
    assert to_csv(columns) == b"epoch,train_loss,test_loss\n1,0.5,\n2,0.25,0.5\n"
    assert from_csv(to_csv(columns)) == columns
    assert pd.read_csv(io.BytesIO(to_csv(columns)))["test_loss"].isna().tolist() == [True, False]


def test_rows_and_columns_are_the_same_table() -> None:
    again: Columns = {}
    for row in rows_of(COLUMNS):
        add_row(again, row)
    assert again == COLUMNS
    assert rows_of(COLUMNS)[1] == {"epoch": 2, "train_loss": math.inf, "test_loss": -1.5e-300, "w1_norm": 5e-324}
    assert last_figures(COLUMNS) == {"train_loss": -math.inf, "test_loss": 1e22, "w1_norm": 2.0}
    assert num_epochs(COLUMNS) == 3


def test_a_table_without_epochs_is_empty() -> None:
    assert to_csv({}) == b"" and from_csv(b"") == {} and rows_of({}) == [] and last_figures({}) == {}
    assert num_epochs({}) == num_epochs({"train_loss": []}) == 0


def test_pandas_reads_the_text_without_options() -> None:
    table = pd.read_csv(io.BytesIO(TEXT))
    assert list(table.columns) == ["epoch", *COLUMNS]
    assert table["train_loss"][0] == pytest.approx(0.30000000000000004, abs=1e-16)
    assert list(table["epoch"]) == [1, 2, 3]


@pytest.mark.parametrize("torn", [b"4", b"4,0.7", b"4,0.7,0.1,0.", b"4,0.7,0.1,0.5"])
def test_a_last_line_that_was_cut_short_is_left_out(torn: bytes) -> None:
    assert from_csv(TEXT + torn) == COLUMNS


def test_a_header_that_was_cut_short_is_not_a_table() -> None:
    assert from_csv(b"epoch,train_lo") == {}


@pytest.mark.parametrize("line", ["x,1,1,1", "4,1,1,1,1", "4,1", "4,one,1,1", "\0,1,1,1", "3,1,1,1", "5,1,1,1", ""])
def test_a_line_that_is_not_a_row_of_the_next_epoch_is_an_error(line: str) -> None:
    with pytest.raises(ValueError):
        from_csv(TEXT + f"{line}\n".encode())


def test_bytes_that_are_not_text_are_an_error() -> None:
    with pytest.raises(ValueError):
        from_csv(b"epoch\n\xff\xfe\n")


def test_the_best_epoch_is_the_first_with_the_highest_validation_accuracy() -> None:
    assert best_epoch({"val_acc": [None, 0.5, 0.7, None, 0.7, 0.6]}) == 3
    assert best_epoch({"val_acc": [None]}) is None and best_epoch({"test_acc": [0.5]}) is None
