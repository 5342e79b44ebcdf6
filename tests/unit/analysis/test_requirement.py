"""Requirements on a comparison, such as "nn.test_acc >= 0.83"."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from helpers.fake_runs import change, write_arm, write_run
from helpers.studies import write_runs_of

from dropexp.analysis.comparison import Comparison, compare
from dropexp.analysis.requirement import require
from dropexp.errors import ComparisonError
from dropexp.runs.folder import RunFolder
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
    assert fault == "no requirement on figures of nn can pass: seed 3 of nn diverged"


def test_an_arm_with_a_run_at_chance_level_meets_no_requirement_on_a_figure(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.1, 0.8, 0.8])
    write_arm(tmp_path, "nn", [0.8, 0.8, 0.1])
    compared = compare(runs_dir=tmp_path)
    why = "no requirement on figures of nn can pass: seed 2 of nn is at chance level (10.00 %)"
    base = "no requirement on figures of none can pass: seed 0 of none is at chance level (10.00 %)"
    assert require(compared, "nn.test_acc >= 0.1") == why
    assert require(compared, "nn - none.low >= -0.5") == f"{why}; {base}"
    assert require(compared, "nn - none.verdict == INCONCLUSIVE") is None


def test_an_unknown_figure_meets_no_requirement(compared: Comparison) -> None:
    assert require(compared, "none.val_acc >= 0") == ("none.val_acc is unknown: no run has this figure")


@pytest.fixture(scope="module")
def of_differences(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """none, and nn which is better by 1 to 3 points in eight pairs."""
    runs_dir = tmp_path_factory.mktemp("differences")
    write_arm(runs_dir, "none", [0.8 + 0.001 * seed for seed in range(8)])
    write_arm(runs_dir, "nn", [0.82 + 0.001 * seed + 0.01 * (-1) ** seed for seed in range(8)])
    return compare(runs_dir=runs_dir)


@pytest.mark.parametrize(
    "requirement",
    [
        "nn - none.difference > 0.019",
        "nn  -  none.low >= -0.01",
        "nn - none.high<0.03",
        "nn - none.p < 0.05",
        "nn - none.verdict == BETTER",
        "nn - none.verdict != WORSE",
    ],
)
def test_a_requirement_on_a_difference_that_holds_returns_none(of_differences: Comparison, requirement: str) -> None:
    assert require(of_differences, requirement) is None


NOT_KEPT = "it needs kept predictions of the same test images at this epoch, which some of these runs lack"


@pytest.mark.parametrize(
    ("requirement", "why"),
    [
        ("nn - none.low >= 0.02", "nn - none.low is 0.0111 (8 pairs), not >= 0.02"),
        ("nn - none.p < 0.001", "nn - none.p is 0.0078 (8 pairs), not < 0.001"),
        ("nn - none.images_low > 0", f"nn - none.images_low is unknown: {NOT_KEPT}"),
        ("nn - none.verdict == EQUIVALENT", "nn - none.verdict is BETTER, not == EQUIVALENT"),
        ("nn - none.verdict != BETTER", "nn - none.verdict is BETTER, not != BETTER"),
    ],
)
def test_a_failed_requirement_on_a_difference_returns_the_reason(
    of_differences: Comparison, requirement: str, why: str
) -> None:
    assert require(of_differences, requirement) == why


def test_the_message_for_a_missing_figure_names_what_it_needs(tmp_path: Path) -> None:
    write_run(tmp_path, "none", 0)
    write_run(tmp_path, "nn", 0)
    write_run(tmp_path, "scratch", 1)
    compared = compare(runs_dir=tmp_path)
    two = "it needs at least 2 pairs of runs with test_acc, and there"
    for figure in ("low", "high", "p", "images_low"):
        assert require(compared, f"nn - none.{figure} < 1") == f"nn - none.{figure} is unknown: {two} is 1"
    assert require(compared, "scratch - none.p < 1") == f"scratch - none.p is unknown: {two} are none"
    one = "it needs at least 1 pair of runs with test_acc, and there are none"
    assert require(compared, "scratch - none.difference < 1") == f"scratch - none.difference is unknown: {one}"


def test_the_interval_over_images_exists_for_test_figures_only(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.81])
    write_arm(tmp_path, "nn", [0.8, 0.81])
    fault = require(compare(runs_dir=tmp_path, metric="train_acc"), "nn - none.images_low > 0")
    assert fault == "nn - none.images_low is unknown: it exists for test_acc and test_loss only, not for train_acc"


def test_p_is_adjusted_for_all_comparisons(tmp_path: Path) -> None:
    for variant, gain in (("none", 0.0), ("nn", 0.01), ("scratch", 0.01)):
        write_arm(tmp_path, variant, [0.8 + 0.001 * seed + gain for seed in range(8)])
    compared = compare(runs_dir=tmp_path)
    assert require(compared, "nn - none.p <= 0.008") == "nn - none.p is 0.0156 (8 pairs), not <= 0.008"


def test_a_difference_with_a_diverged_run_meets_no_requirement_on_its_figures(compared: Comparison) -> None:
    assert require(compared, "nn - none.low >= -1") == "no requirement on figures of nn can pass: seed 3 of nn diverged"
    assert require(compared, "nn - none.verdict == INCONCLUSIVE") is None


@pytest.mark.parametrize(
    ("requirement", "why"),
    [
        ("none.test_acc <= 80", "the test accuracy is a fraction from 0 to 1: 80 % is 0.8"),
        ("none.test_acc > −0.1", "the test accuracy is a fraction from 0 to 1"),
        ("none.test_acc <= 1e999", "the test accuracy is a fraction from 0 to 1"),
        ("nn - none.low > 1.5", "a difference in test accuracy is a fraction from -1 to 1: 1.5 points is 0.015"),
        ("none.gap > −2", "the generalisation gap is a fraction from -1 to 1: -2 points is -0.02"),
        ("nn - none.p < 5", "p is a fraction from 0 to 1"),
    ],
)
def test_a_bound_that_no_figure_can_cross_is_an_error(of_differences: Comparison, requirement: str, why: str) -> None:
    with pytest.raises(ComparisonError) as error:
        require(of_differences, requirement)
    assert str(error.value) == f"{requirement!r}: {why}"


@pytest.mark.parametrize(
    "requirement", ["none.test_acc <= 1", "none.gap >= -1", "nn - none.p <= 1", "nn.test_loss < 5"]
)
def test_the_ends_of_a_range_and_bounds_on_losses_are_allowed(of_differences: Comparison, requirement: str) -> None:
    assert require(of_differences, requirement) is None


@pytest.mark.parametrize(
    ("requirement", "allowed"),
    [
        ("nn.test_acc >= 83%", "the test accuracy is a fraction from 0 to 1: 83 % is 0.83"),
        ("nn.test_acc >= .5 %", "the test accuracy is a fraction from 0 to 1: 0.5 % is 0.005"),
        ("nn.gap>=−83 %", "the generalisation gap is a fraction from -1 to 1: -83 % is -0.83"),
        ("nn - none.low > 1.5 %", "a difference in test accuracy is a fraction from -1 to 1: 1.5 % is 0.015"),
        ("nn - none.p < 5 %", "p is a fraction from 0 to 1: 5 % is 0.05"),
        ("nn.test_acc >= 300 %", "the test accuracy is a fraction from 0 to 1"),
        ("nn.test_loss <= 80 %", "a bound on the test loss is a number without %, as in csv and json"),
    ],
)
def test_a_bound_with_a_percent_sign_is_an_error_that_names_the_valid_form(
    compared: Comparison, requirement: str, allowed: str
) -> None:
    with pytest.raises(ComparisonError) as error:
        require(compared, requirement)
    assert str(error.value) == f"{requirement!r}: {allowed}"


def test_a_requirement_can_have_the_labels_of_the_config_and_its_outcome_has_them(tmp_path: Path) -> None:
    config = tmp_path / "study.yaml"
    config.write_text("matrix: {variant: [none, nn], seed: 0..2}\nlabels: {none: no - dropout, nn: with}\n", "utf-8")
    write_runs_of(config, tmp_path / "runs")
    compared = compare("study", tmp_path / "runs")
    for arm in ("none", "no - dropout"):
        assert require(compared, f"{arm}.test_acc > 0") is None
        assert require(compared, f"{arm}.test_acc > 0.9") == "no - dropout.test_acc is 0.8010 (mean of 3), not > 0.9"
    for difference in ("nn - none", "with - no - dropout"):
        why = "with - no - dropout.low is 0.0000 (3 pairs), not > 0.5"
        assert require(compared, f"{difference}.low > 0.5") == why
    (diverged,) = (tmp_path / "runs/study").glob("*variant=nn,seed=2-*")
    change(RunFolder(diverged), status="diverged", why="the loss is nan in epoch 2")
    why = "no requirement on figures of with can pass: seed 2 of with diverged"
    assert require(compare("study", tmp_path / "runs"), "nn.test_acc > 0") == why


def test_messages_suggest_labels_as_well_as_names(tmp_path: Path) -> None:
    config = tmp_path / "study.yaml"
    labels = "{none: without, nn: with dropout}"
    config.write_text(f"matrix: {{variant: [none, nn], seed: 0..2}}\nlabels: {labels}\n", "utf-8")
    write_runs_of(config, tmp_path / "runs")
    compared = compare("study", tmp_path / "runs")
    assert require(compared, "with dropout - none.low > -0.5") is None
    for requirement, message in (
        (
            "wiht dropout.test_acc > 0.1",
            " (did you mean 'with dropout'?); the arms are: none (without), nn (with dropout)",
        ),
        ("without - with dropout.low > 0", "; the differences are: nn - none (with dropout - without); --baseline nn "),
        ("with dropuot - none.low > 0", " (did you mean 'with dropout - none'?); the differences are: nn - none"),
    ):
        with pytest.raises(ComparisonError) as error:
            require(compared, requirement)
        assert message in str(error.value)


def test_an_arm_is_suggested_for_an_arm_and_a_difference_for_a_difference(tmp_path: Path) -> None:
    for variant in ("none", "nn"):
        for lr in (0.1, 0.5):
            write_run(tmp_path, variant, 0, 0.8, lr=lr)
    for requirement, similar in (("nn.test_acc > 0", "nn,lr=0.1"), ("nn.low > 0", "nn,lr=0.1 - none,lr=0.1")):
        with pytest.raises(ComparisonError) as error:
            require(compare(runs_dir=tmp_path), requirement)
        assert f"(did you mean {similar!r}?)" in str(error.value)


def test_a_figure_of_a_difference_and_a_metric_are_not_mixed_up_in_silence(compared: Comparison) -> None:
    for requirement, remedy in (
        ("scratch.low > 0", "; low belongs to a difference: 'scratch - BASELINE.low'"),
        ("scratch - none.test_loss < 0", "; --metric test_loss compares it"),
    ):
        with pytest.raises(ComparisonError) as error:
            require(compared, requirement)
        assert str(error.value).endswith(remedy)


def test_the_names_of_a_headline_can_be_copied(tmp_path: Path) -> None:
    for arm, acc in (("a − b", 0.7), ("none", 0.8)):
        write_arm(tmp_path, "none" if arm == "none" else "nn", [acc, acc, acc], arm=arm)
    compared = compare(runs_dir=tmp_path)
    assert require(compared, "a − b − none.difference > −0.11") is None
    assert require(compared, "a − b.test_acc < 0.71") is None


def test_a_name_with_a_hyphen_between_spaces_is_an_arm(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 0, 0.8, arm="wide - deep")
    write_run(tmp_path, "none", 0, 0.7, arm="none")
    compared = compare(runs_dir=tmp_path)
    assert require(compared, "wide - deep.test_acc >= 0.8") is None
    assert require(compared, "wide - deep - none.difference > 0.09") is None
    write_run(tmp_path, "nn", 0, 0.6, arm="wide - deep - none", lr=0.1)
    assert require(compare(runs_dir=tmp_path), "wide - deep - none.test_acc < 0.61") is None


@pytest.mark.parametrize(
    "requirement",
    [
        " " * 50_000 + "x",
        "a." * 50_000,
        "nn.test_acc >= " + "1" * 50_000 + "x",
        "<" * 50_000,
        "a - " * 20_000,
        "9% " * 20_000,
    ],
    ids=["blank", "dots", "1", "operators", "minus", "percent"],
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
        ("scratch - none.low == 0.1", ">= <= > <"),
        ("scratch - none.verdict >= 0", "verdict == BETTER"),
        ("scratch - none.verdict == GOOD", "BETTER, WORSE, HIGHER"),
        ("scratch - none.test_acc >= 0", "difference, low, high, images_low, images_high, p, verdict"),
        ("none - scratch.low >= 0", "scratch - none; --baseline scratch compares with scratch"),
        ("dense - none.low >= 0", "nn - none, scratch - none"),
        ("none - none.low >= 0", "the differences are: nn - none, scratch - none"),
        ("scratch-none.low >= 0", "write spaces around the minus: 'scratch - none.low >= 0'"),
        ("nn-scratch.p < 0.05", "write spaces around the minus: 'nn - scratch.p < 0.05'"),
        ("nn.test_acc => 0.8", "'=>' is not an operator; did you mean '>='?"),
        ("nn.test_acc =< 0.8", "'=<' is not an operator; did you mean '<='?"),
        ("nn.test_acc = 0.8", "'=' is not an operator; did you mean '>='?"),
        ("nn - none.verdict = BETTER", "'=' is not an operator; did you mean '=='?"),
        ("nn,lr=0.1", "ARM.METRIC OP NUMBER"),
        ("nn.test_acc >= high", "ARM.METRIC OP NUMBER"),
        ("nn.test_acc >= .", "ARM.METRIC OP NUMBER"),
        ("nn.test_acc == 80 %", "ARM.METRIC OP NUMBER"),
        ("nn.test_acc 80%", "ARM.METRIC OP NUMBER"),
        ("test_acc >= 80 %", "ARM.METRIC OP NUMBER"),
        ("test_acc >= 0.83", "ARM.METRIC OP NUMBER"),
        ("__import__('os').getcwd() >= 0", "unknown arm"),
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
