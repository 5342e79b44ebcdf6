"""Interactions of two keys: which arms they compare, and what they report."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from helpers.comparisons import mentions, write_decays
from helpers.fake_runs import write_arm, write_run

from dropexp.analysis.comparison import Comparison, compare
from dropexp.errors import ComparisonError

BASE = [0.80, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.87]
WOBBLE = [0.001 * (-1) ** i for i in range(8)]  # sums to zero


def shifted(by: float, wobble: float = 0.0) -> list[float]:
    return [acc + by + wobble * w for acc, w in zip(BASE, WOBBLE, strict=True)]


def write_grid(runs_dir: Path, gains: dict[int, float], variant: str = "nn", **more: Any) -> None:
    """Write `none` and a variant for each number of images, with these mean gains of the variant."""
    for size, gain in gains.items():
        write_arm(runs_dir, "none", BASE, train_size=size, **more)
        write_arm(runs_dir, variant, shifted(gain, wobble=1 if size == max(gains) else 0), train_size=size, **more)


def interaction_of(runs_dir: Path, *keys: str, **query: Any) -> Comparison:
    return compare(runs_dir=runs_dir, interaction=keys, **query)


def test_an_interaction_is_a_difference_of_differences_with_a_t_interval(tmp_path: Path) -> None:
    write_grid(tmp_path, {1000: 0.03, 5000: 0.01})
    compared = interaction_of(tmp_path, "variant", "train_size")
    (row,) = compared.interactions.to_dict("records")
    assert row["arm"] == "nn,train_size=5000 − none,train_size=5000"
    assert row["baseline"] == "nn,train_size=1000 − none,train_size=1000"
    assert (row["pairs"], row["effect"], row["baseline_effect"]) == (8, pytest.approx(0.01), pytest.approx(0.03))
    half = 2.3646242515927849 * 0.001 * math.sqrt(8 / 7) / math.sqrt(8)  # t(7, .975) · SD / √n
    assert row["difference"] == pytest.approx(-0.02)
    assert (row["low"], row["high"]) == pytest.approx((-0.02 - half, -0.02 + half))
    assert (row["p"], row["verdict"]) == (2 / 2**8, "LOWER")
    assert compared.findings[-1] == row["sentence"]
    assert row["sentence"].endswith("lower in 8 of 8 pairs. The two differences are +1.00 points and +3.00 points.")


def test_equal_effects_are_equivalent_and_exchanging_the_keys_changes_nothing(tmp_path: Path) -> None:
    write_grid(tmp_path, {1000: 0.03, 5000: 0.03})
    rows = [
        interaction_of(tmp_path, *keys).interactions.iloc[0]
        for keys in (("variant", "train_size"), ("train_size", "variant"))
    ]
    assert [row["verdict"] for row in rows] == ["EQUIVALENT", "EQUIVALENT"]
    assert rows[0]["difference"] == pytest.approx(rows[1]["difference"])
    assert rows[1]["arm"] == "nn,train_size=5000 − nn,train_size=1000"


def test_an_interaction_in_loss_is_also_higher_or_lower(tmp_path: Path) -> None:
    write_grid(tmp_path, {1000: 0.03, 5000: 0.01})
    (row,) = interaction_of(tmp_path, "variant", "train_size", metric="test_loss").interactions.to_dict("records")
    assert (row["difference"], row["verdict"]) == (pytest.approx(0.04), "HIGHER")


def test_every_other_value_is_compared_with_the_reference_and_all_are_one_family(tmp_path: Path) -> None:
    write_grid(tmp_path, {20000: 0.0, 1000: 0.03, 5000: 0.01})
    write_grid(tmp_path, {20000: 0.01, 1000: 0.01, 5000: 0.01}, "scratch")
    rows = interaction_of(tmp_path, "variant", "train_size").interactions
    assert list(zip(rows["arm"], rows["baseline"], strict=True)) == [
        (f"{variant},train_size={size} − none,train_size={size}", f"{variant},train_size=1000 − none,train_size=1000")
        for variant in ("nn", "scratch")
        for size in (5000, 20000)
    ]
    assert rows["p_holm"].min() == pytest.approx(4 * rows["p"].min())


def test_the_baseline_has_the_reference_values(tmp_path: Path) -> None:
    write_grid(tmp_path, {1000: 0.03, 5000: 0.01, 20000: 0.0})
    rows = interaction_of(tmp_path, "variant", "train_size", baseline="nn,train_size=5000").interactions
    assert set(rows["baseline"]) == {"none,train_size=5000 − nn,train_size=5000"}
    assert list(rows["difference"]) == pytest.approx([-0.02, 0.01])


def test_a_setting_that_is_off_is_the_reference(tmp_path: Path) -> None:
    for max_norm, gain in ((2.0, 0.03), (None, 0.01)):
        write_arm(tmp_path, "none", BASE, max_norm=max_norm)
        write_arm(tmp_path, "nn", shifted(gain), max_norm=max_norm)
    (row,) = interaction_of(tmp_path, "variant", "max_norm").interactions.to_dict("records")
    assert row["baseline"] == "nn,max_norm=none − none,max_norm=none"


def test_arms_that_differ_in_other_keys_are_not_mixed(tmp_path: Path) -> None:
    write_grid(tmp_path, {1000: 0.03, 5000: 0.01}, lr=0.1)
    write_grid(tmp_path, {1000: 0.02, 5000: 0.02}, lr=0.5)
    write_arm(tmp_path, "nn", BASE, train_size=1000, lr=1.0)
    compared = interaction_of(tmp_path, "variant", "train_size")
    assert list(compared.interactions["difference"]) == pytest.approx([-0.02, 0.0])
    assert mentions(compared.notes, "nn,lr=1.0,train_size=1000: in no interaction, since four arms that differ only in")


def test_declared_arms_are_a_key_that_stands_for_all_their_settings(tmp_path: Path) -> None:
    for size, gain in ((1000, 0.03), (5000, 0.01)):
        for lr in (0.1, 0.5):
            common: dict[str, Any] = {"train_size": size, "lr": lr}
            write_arm(tmp_path, "none", BASE, arm="plain", **common)
            write_arm(tmp_path, "nn", shifted(gain), arm="hidden", drop_probs=[0.5, 0.5], **common)
            write_arm(tmp_path, "nn", shifted(2 * gain), arm="pixels", drop_probs=[0.0, 0.0], momentum=0.9, **common)
    rows = interaction_of(tmp_path, "arm", "train_size").interactions
    assert list(rows["arm"]) == [
        f"{arm},lr={lr},train_size=5000 − plain,lr={lr},train_size=5000"
        for arm in ("hidden", "pixels")
        for lr in (0.1, 0.5)
    ]
    assert list(rows["difference"]) == pytest.approx([-0.02, -0.02, -0.04, -0.04])


def test_only_seeds_of_all_four_arms_count_and_others_are_noted(tmp_path: Path) -> None:
    write_grid(tmp_path, {1000: 0.03, 5000: 0.01})
    write_run(tmp_path, "nn", 8, 0.9, train_size=5000)
    write_run(tmp_path, "none", 8, 0.9, train_size=5000)
    compared = interaction_of(tmp_path, "variant", "train_size")
    assert compared.interactions["pairs"].tolist() == [8]
    assert mentions(compared.notes, "unpaired, not in all four arms: seed 8")


def test_a_diverged_run_of_any_of_the_four_arms_leaves_no_verdict(tmp_path: Path) -> None:
    write_grid(tmp_path, {1000: 0.03, 5000: 0.01})
    write_run(tmp_path, "none", 8, status="diverged", train_size=1000)
    (row,) = interaction_of(tmp_path, "variant", "train_size").interactions.to_dict("records")
    assert row["verdict"] == "INCONCLUSIVE"
    assert "seed 8 of none,train_size=1000 diverged" in row["sentence"]


def test_an_open_interaction_names_the_study_that_decides_it(tmp_path: Path) -> None:
    for size in (1000, 5000):
        write_arm(tmp_path, "none", BASE, train_size=size)
        write_arm(tmp_path, "nn", shifted(0.001, wobble=size / 500), train_size=size)
    (row,) = interaction_of(tmp_path, "variant", "train_size").interactions.to_dict("records")
    assert row["verdict"] == "INCONCLUSIVE"
    assert f"dropexp train -c FILE --runs-dir {tmp_path} --set name=dropout-confirm --seeds 100.." in row["sentence"]


def test_a_missing_cell_is_named_in_a_note_and_is_an_error_if_no_four_arms_are_left(tmp_path: Path) -> None:
    write_grid(tmp_path, {1000: 0.03, 5000: 0.01})
    write_arm(tmp_path, "none", BASE, train_size=20000)
    compared = interaction_of(tmp_path, "variant", "train_size")
    assert "dropout: no finished run has variant=nn and train_size=20000" in compared.notes
    with pytest.raises(ComparisonError) as error:
        interaction_of(tmp_path, "variant", "train_size", filter={"variant": "none"})
    assert str(error.value).splitlines() == [
        "no interaction of variant and train_size: no four arms differ only in these keys",
        "variant does not vary between arms that use variant and train_size",
    ]


def test_arms_that_do_not_use_a_key_are_named(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", BASE)
    for drop_probs, gain in (([0.5, 0.5], 0.01), ([0.2, 0.2], 0.02)):
        for lr in (0.1, 0.5):
            write_arm(tmp_path, "nn", shifted(gain * lr), drop_probs=drop_probs, lr=lr)
    compared = interaction_of(tmp_path, "drop_probs", "lr")
    assert compared.interactions["difference"].tolist() == pytest.approx([-0.004])
    assert "none: in no interaction, since drop_probs is not used" in compared.notes


def test_interactions_of_a_regression(tmp_path: Path) -> None:
    for size in (20, 100):
        write_decays(tmp_path, 0.0, 3.0, train_size=size)
    (row,) = interaction_of(tmp_path, "weight_decay", "train_size").interactions.to_dict("records")
    assert (row["pairs"], row["effect"], row["verdict"]) == (7, row["baseline_effect"], "EQUIVALENT")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("varient", "lr"), r"unknown key 'varient' of an interaction \(did you mean 'variant'\?\)"),
        (("variant", "seed"), r"unknown key 'seed' of an interaction; the keys are: arm, batch_size"),
        (("variant",), "'variant': an interaction needs two different keys"),
        (("lr", "lr"), "'lr,lr': an interaction needs two different keys"),
        (("variant", "lr", "epochs"), "needs two different keys"),
    ],
)
def test_other_keys_are_errors(keys: tuple[str, ...], message: str, shared_study: Path) -> None:
    with pytest.raises(ComparisonError, match=message):
        interaction_of(shared_study, *keys)


def test_without_keys_there_is_no_interaction(compared: Comparison) -> None:
    assert compared.interactions.empty
    assert "effect" in compared.interactions.columns
