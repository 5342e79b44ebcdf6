"""Requirements on a comparison, such as "nn.test_acc >= 0.83"."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from helpers.fake_runs import write_run

from dropexp.analysis.comparison import Comparison, compare
from dropexp.analysis.requirement import require
from dropexp.errors import ComparisonError
from dropexp.runs.metrics import METRICS


def test_a_requirement_that_holds_returns_none(compared: Comparison) -> None:
    assert require(compared, "scratch.test_acc >= 0.79") is None
    assert require(compared, " scratch.test_loss<=1 ") is None
    assert require(compared, "scratch.gap < .05") is None
    assert require(compared, "none.seconds > 1e-3") is None


def test_a_requirement_that_fails_names_arm_and_figure(compared: Comparison) -> None:
    fault = require(compared, "scratch.test_acc >= 0.83")
    assert fault == "scratch.test_acc is 0.8000 (mean of 3), not >= 0.83"


def test_rounding_never_contradicts_the_sentence(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, 0.82999)
    assert require(compare(runs_dir=tmp_path), "nn.test_acc >= 0.83") == (
        "nn.test_acc is 0.82999 (mean of 1), not >= 0.83"
    )


def test_a_label_can_contain_dots_and_commas(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", test_acc=0.8, lr=0.1, drop_probs=[0.2, 0.5])
    write_run(tmp_path, "nn", test_acc=0.7, lr=0.5, drop_probs=[0.2, 0.5])
    comparison = compare(runs_dir=tmp_path)
    assert require(comparison, "nn,lr=0.1.test_acc >= 0.75") is None
    assert require(comparison, "nn,lr=0.5.test_acc >= 0.75") is not None


def test_an_arm_with_a_diverged_run_meets_no_requirement(compared: Comparison) -> None:
    fault = require(compared, "nn.test_acc > 0")
    assert fault is not None
    assert fault.startswith("nn meets no requirement: 1 of its runs diverged")


def test_an_unknown_figure_meets_no_requirement(compared: Comparison) -> None:
    assert require(compared, "none.val_acc >= 0") == ("none.val_acc is unknown: no run has this figure")


@pytest.mark.parametrize(
    "requirement",
    [" " * 50_000 + "x", "a." * 50_000, "nn.test_acc >= " + "1" * 50_000 + "x"],
    ids=["blank", "dots", "1"],
)
def test_a_long_requirement_is_parsed_quickly(compared: Comparison, requirement: str) -> None:
    began = time.process_time()
    with pytest.raises(ComparisonError):
        require(compared, requirement)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("requirement", "allowed"),
    [
        ("nn.test_acc", ">= <= > <"),
        ("nn.test_acc == 0.8", ">= <= > <"),
        ("nn.test_acc >= high", "ARM.METRIC OP NUMBER"),
        ("nn.test_acc >= .", "ARM.METRIC OP NUMBER"),
        ("nn.test_acc >= 83 %", "ARM.METRIC OP NUMBER"),
        ("test_acc >= 0.83", "ARM.METRIC OP NUMBER"),
        ("__import__('os').getcwd() >= 0", "ARM.METRIC OP NUMBER"),
        ("dense.test_acc >= 0.83", "none, nn, scratch"),
        ("nn.accuracy >= 0.83", ", ".join(METRICS)),
    ],
)
def test_the_error_for_an_invalid_requirement_names_what_is_allowed(
    compared: Comparison, requirement: str, allowed: str
) -> None:
    with pytest.raises(ComparisonError) as error:
        require(compared, requirement)
    assert requirement in str(error.value).replace("\\'", "'")
    assert allowed in str(error.value)
