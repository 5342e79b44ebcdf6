"""Tables of `dropexp evaluate` on terminals."""

from __future__ import annotations

import re

import pytest
from helpers.printing import Terminal
from rich.console import Console

from dropexp.analysis.by_class import ClassFigures
from dropexp.report.formats import console
from dropexp.report.tables.evaluation import tables_of
from dropexp.report.tables.table import Table
from dropexp.training.evaluate import Evaluation, RotationFigures

FIGURES = RotationFigures(0, *[0.8] * 13)
WITHOUT_MOMENTS = RotationFigures(0, *[0.8] * 9)


def shown(table: Table, width: int) -> str:
    out = Terminal()
    console.show([table], Console(file=out, width=width, color_system=None))
    return out.getvalue()


@pytest.mark.parametrize(
    ("figures", "width", "kept"),
    [
        (FIGURES, 60, ["accuracy", "NLL"] * 2),
        (FIGURES, 80, ["accuracy", "NLL"] * 3),
        (WITHOUT_MOMENTS, 60, ["accuracy", "NLL"] * 2),
        (WITHOUT_MOMENTS, 80, ["accuracy", "NLL", "ECE"] * 2),
    ],
)
def test_a_narrow_terminal_leaves_out_entropies_first(figures: RotationFigures, width: int, kept: list[str]) -> None:
    evaluation = Evaluation("dropout/variant=nn,seed=0", 0, 5, 20, None, [figures], [])
    text = shown(tables_of(evaluation, [])[0], width)
    header = next(line for line in text.splitlines() if line.startswith("images"))
    assert re.findall("accuracy|NLL|ECE|entropy", header) == kept
    assert "also shows: " in text and max(map(len, text.splitlines())) <= width


def test_a_narrow_terminal_leaves_out_the_confidence_by_class() -> None:
    evaluation = Evaluation("dropout/variant=nn,seed=0", 0, 5, 20, None, [FIGURES], [])
    row = ClassFigures("Ankle boot", 1000, 0.8, 0.7, 0.5, "Sneaker", 0.1)
    table = tables_of(evaluation, [row])[1]
    assert "confidence" in shown(table, 120)
    assert "also shows: confidence, %" in shown(table, 60)


def test_secondary_columns_must_be_columns_of_the_table() -> None:
    with pytest.raises(ValueError, match="'ECE'"):
        Table("", ["arm", "ECE, %"], [], secondary=("ECE",))
    table = Table("", ["arm", "ECE, %"], [["nn", "1.0"]], secondary=("ECE, %",)).without(["ECE, %"])
    assert not table.secondary
