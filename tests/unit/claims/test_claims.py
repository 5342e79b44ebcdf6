"""Claims of teaching texts: each proof holds, and fails for what is deliberately broken; verdicts follow the runs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from helpers.command import Command
from helpers.fake_runs import write_arm, write_run
from numpy.typing import NDArray
from torch import Tensor

from dropexp.analysis.verdicts import Pair
from dropexp.claims import catalogue, decay, equalities, from_runs, moments, small_nets, subnets, table
from dropexp.claims.catalogue import CLAIMS, select
from dropexp.claims.claim import ClaimVerdict, Evidence, Finding
from dropexp.claims.from_runs import CONFIGS, Contrast, judge_contrasts
from dropexp.config.study import load_config
from dropexp.nets import linreg, scratch
from dropexp.nets.noise import Classic, Gaussian, Inverted, Noise, Randn2019, ThreePoint, Unscaled
from dropexp.nets.scratch import ForwardPass
from dropexp.nets.sgd import Layer
from dropexp.report import markup

pytestmark = pytest.mark.usefixtures("one_thread")

HOLDS, FAILS, OPEN, NOT_TRAINED = ClaimVerdict.HOLDS, ClaimVerdict.FAILS, ClaimVerdict.OPEN, ClaimVerdict.NOT_TRAINED
ROOT = Path(__file__).parents[3]
Values = NDArray[np.float64]
BY_NAME = {claim.name: claim for claim in CLAIMS}


def words(findings: Iterable[Finding]) -> dict[str, ClaimVerdict]:
    return {finding.subject: finding.verdict for finding in findings}


# Proofs


def test_noise_that_is_scaled_keeps_the_mean_and_other_noise_does_not() -> None:
    assert words(moments.expectation()) == {
        "inverted": HOLDS,
        "gaussian": HOLDS,
        "three-point": HOLDS,
        "classic in training": FAILS,
        "unscaled": FAILS,
        "randn-2019": FAILS,
    }


def test_the_output_keeps_its_mean_unless_a_nonlinearity_comes_after_the_noise() -> None:
    assert [*words(moments.output_expectation()).values()] == [HOLDS, FAILS]
    unscaled = {"unscaled": small_nets.scratch_net([None, Unscaled(0.2)])}
    assert words(moments.output_expectation(unscaled)) == {"unscaled": FAILS}


def test_the_variance_is_that_of_inverted_dropout_and_not_of_its_neighbours() -> None:
    assert words(moments.variance()) == {"inverted": HOLDS, "gaussian": HOLDS}
    others: dict[str, Noise] = {"three-point": ThreePoint(0.2), "randn-2019": Randn2019(0.2)}
    assert words(moments.variance(others)) == {"three-point": FAILS, "randn-2019": FAILS}


def test_eval_is_deterministic_unless_the_noise_is_left_on() -> None:
    assert set(words(equalities.eval_is_deterministic()).values()) == {HOLDS}
    assert set(words(equalities.eval_is_deterministic(small_nets.implementations(noise_at_eval=True))).values()) == {
        FAILS
    }


def test_training_without_noise_does_not_pass_for_training_with_it() -> None:
    assert words(equalities.eval_is_deterministic({"none": small_nets.scratch_net([])})) == {"none": FAILS}


def test_no_drop_probability_is_the_identity_and_one_is_nothing() -> None:
    assert set(words(equalities.extremes()).values()) == {HOLDS}

    def keeps_some(p: float) -> Callable[[Tensor], Tensor]:
        return lambda H: Randn2019(p).draw(H, small_nets.generator()) * H

    def never_drops(p: float) -> Callable[[Tensor], Tensor]:
        return lambda H: H

    broken = {"2019": keeps_some, "never": never_drops}  # the slip of 2019 drops some units even at p = 0
    assert words(equalities.extremes(broken)) == {"2019": FAILS, "never": FAILS}


class Forgetful(scratch.MLP):
    """Forgets the mask on the way back."""

    def backward(self, y: Tensor, result: ForwardPass) -> list[Layer]:
        return super().backward(y, replace(result, xi=[1.0] * len(result.xi)))


def test_a_dropped_unit_gets_no_gradient_from_one_example_and_some_from_a_batch() -> None:
    assert words(equalities.no_gradient()) == {"one example": HOLDS, "a batch of 64": FAILS}
    assert words(equalities.no_gradient(Forgetful))["one example"] is FAILS


def test_before_the_relu_is_after_it_for_noise_that_is_not_negative() -> None:
    assert words(equalities.before_is_after()) == {"ReLU": HOLDS, "ReLU under Gaussian noise": FAILS, "sigmoid": FAILS}
    assert words(equalities.before_is_after({"tanh": (torch.tanh, Inverted(0.5))})) == {"tanh": FAILS}


def test_inverted_dropout_is_classic_dropout_as_a_function_and_not_as_a_training() -> None:
    assert [*words(equalities.inverted_is_classic()).values()] == [HOLDS, HOLDS, FAILS]
    assert words(equalities.inverted_is_classic(Unscaled(0.5)))["test passes"] is FAILS
    assert words(equalities.inverted_is_classic(Classic(0.3)))["training passes"] is FAILS


def test_weight_scaling_is_the_geometric_mean_of_all_subnets_before_a_softmax_layer_only() -> None:
    assert [*words(subnets.weight_scaling()).values()] == [HOLDS, FAILS, FAILS]
    assert words(subnets.weight_scaling(Classic(0.3), n=5))["noise before the softmax layer"] is HOLDS
    assert words(subnets.weight_scaling(Unscaled(0.5)))["noise before the softmax layer"] is FAILS


def test_dropout_is_ridge_regression_with_a_penalty_by_feature_and_with_no_other() -> None:
    for scaled in (None, Inverted(0.2)):
        assert [*words(subnets.dropout_is_ridge(scaled)).values()] == [HOLDS, FAILS]
    for noise in (Unscaled(0.5), Randn2019(0.5)):
        assert [*words(subnets.dropout_is_ridge(noise)).values()] == [FAILS, FAILS]


def test_a_step_from_scratch_is_a_step_of_torch_under_the_same_masks() -> None:
    assert set(words(equalities.same_step()).values()) == {HOLDS}
    assert set(words(equalities.same_step({"forgetful": Forgetful})).values()) == {FAILS}


def test_masks_by_hand_have_the_moments_of_torchs() -> None:
    assert set(words(moments.same_masks()).values()) == {HOLDS}
    assert [*words(moments.same_masks(Randn2019(0.2))).values()] == [FAILS, FAILS]
    assert [*words(moments.same_masks(ThreePoint(0.2))).values()] == [HOLDS, FAILS]
    assert [*words(moments.same_masks(Gaussian(0.2))).values()] == [HOLDS, HOLDS]  # two moments, not all


def test_the_step_as_printed_is_one_on_the_penalty_for_single_examples_only() -> None:
    assert words(decay.printed_is_penalty()) == {"|B| = 1": HOLDS, "|B| = 8": FAILS}
    assert set(words(decay.printed_is_penalty(linreg.decay)).values()) == {HOLDS}


def test_weight_decay_is_a_penalty_under_sgd_and_not_under_adam() -> None:
    assert words(decay.decay_is_penalty()) == {"the factor 1 − ηλ": HOLDS, "torch's SGD": HOLDS, "Adam": FAILS}
    assert words(decay.decay_is_penalty(decay.printed))["the factor 1 − ηλ"] is FAILS


def test_a_z_test_of_values_that_do_not_spread_is_exact() -> None:
    ones = torch.ones(100, dtype=torch.float64)
    assert moments.z_test("", ones, 1.0).verdict is HOLDS
    assert moments.z_test("", ones, 1.1).verdict is FAILS


# Runs: differences of mean m that spread little or much


def some(m: float, sd: float = 0.002, n: int = 10) -> Values:
    return m + sd * np.resize([1.0, -1.0], n).astype(float)


def contrast(values: Values, what: str = "", caveat: str = "") -> Contrast:
    return Contrast(what, "5 images", Pair("arm", "base", values, "test accuracy", None, "points", caveat))


@pytest.mark.parametrize(
    ("values", "more", "equal", "no_less"),
    [
        (some(0.01), HOLDS, FAILS, HOLDS),
        (some(-0.01), FAILS, FAILS, FAILS),
        (some(0.0), FAILS, HOLDS, HOLDS),  # equivalent within the margin
        (some(0.0025, 0.001), OPEN, OPEN, HOLDS),  # there, below the margin, and perhaps not
        (some(-0.0025, 0.001), OPEN, OPEN, OPEN),
        (some(0.003, 0.01), OPEN, OPEN, OPEN),
        (some(0.003, 0.005, 9), OPEN, OPEN, HOLDS),
        (some(0.01, n=5), OPEN, OPEN, HOLDS),  # p cannot fall below 0.0625, but the interval leaves out −0.3 points
        (some(0.01, n=1), OPEN, OPEN, OPEN),
        (some(0.01, n=0), OPEN, OPEN, OPEN),
    ],
)
def test_a_word_follows_from_the_differences(
    values: Values, more: ClaimVerdict, equal: ClaimVerdict, no_less: ClaimVerdict
) -> None:
    turned = {"more": "less", "equal": "equal", "no less": "no more"}
    claims: dict[from_runs.Expected, ClaimVerdict] = {"more": more, "equal": equal, "no less": no_less}
    for claimed, word in claims.items():
        other = cast("from_runs.Expected", turned[claimed])
        for d, asked in ((values, claimed), (-values, other)):
            (finding,) = judge_contrasts([contrast(d)], asked)
            assert finding.verdict is word


def test_the_words_are_those_of_compare_and_say_what_would_tell() -> None:
    five = some(0.01, n=5)
    (told,) = judge_contrasts([contrast(five, caveat="One diverged.")], "more")
    assert told.evidence.startswith("arm against base in test accuracy is INCONCLUSIVE: +1.04 points, 95 % interval [")
    assert "HIGHER and LOWER need at least 6 seeds" in told.evidence
    assert told.evidence.endswith("One diverged.")
    (told,) = judge_contrasts([contrast(five)], "no less")
    assert told.evidence.endswith("But the interval excludes -0.30 points, so it is no worse.")


def test_what_a_check_asks_is_one_family() -> None:
    six = some(0.01, n=6)  # p = 0.031 alone, twice as much beside another
    assert words(judge_contrasts([contrast(six, "a")], "more")) == {"a": HOLDS}
    assert words(judge_contrasts([contrast(six, "a"), contrast(six, "b")], "more")) == {"a": OPEN, "b": OPEN}


def test_an_sd_ratio_takes_ten_seeds_and_an_interval_beside_one() -> None:
    base = np.resize([1.0, -1.0, 2.0, -2.0], 12)
    other = np.resize([1.0, 1.0, -1.0, -1.0], 12)  # uncorrelated with it
    assert from_runs.sd_ratio("", other * 0.1, base).verdict is HOLDS
    assert from_runs.sd_ratio("", other * 10, base).verdict is FAILS
    assert from_runs.sd_ratio("", other, base).verdict is OPEN
    assert from_runs.sd_ratio("", base * 1.01, base).verdict is FAILS  # the same spread, and sure of it
    few = from_runs.sd_ratio("", other[:8] * 0.1, base[:8])
    assert (few.verdict, few.evidence[:41]) == (OPEN, "n = 8: SDs are compared from 10 seeds on,")
    assert from_runs.sd_ratio("", np.zeros(12), base).verdict is OPEN


def test_the_interval_of_an_sd_ratio_covers_the_true_one_19_times_in_20() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        a, shared = rng.normal(size=(2, 10))
        ratio = from_runs.sd_ratio("", 2 * (a + shared), rng.normal(size=10) + shared).figures
        covered += ratio["low"] < 2 < ratio["high"]
    assert 930 < covered < 970


def test_equal_sds_take_a_90_percent_interval_near_one() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 75))
    b *= a.std() / b.std()
    found = from_runs.sd_ratio("", a, b)
    assert (found.verdict, found.figures["high"] > 5 / 4) == (FAILS, True)  # that of 95 % is too wide


ACCS = [0.8 + 0.001 * i for i in range(10)]


def shifted(by: float) -> list[float]:
    return [acc + by + 0.0005 * (-1) ** i for i, acc in enumerate(ACCS)]


def check(name: str, runs_dir: Path) -> Evidence:
    claim = BY_NAME[name]
    return catalogue.check(replace(claim, proof=None), runs_dir)


def test_what_is_not_trained_says_what_trains_it(tmp_path: Path) -> None:
    for claim in CLAIMS:
        if not claim.proof:
            evidence = catalogue.check(claim, tmp_path / "nowhere")
            assert evidence.summary == "not trained"
            for finding, study in zip(evidence.findings, claim.studies, strict=True):
                assert finding.evidence == f"dropexp train -c {CONFIGS[study]}"


def test_a_proof_stands_without_the_runs_that_would_complete_it(tmp_path: Path) -> None:
    evidence = catalogue.check(BY_NAME["scratch"], tmp_path)
    assert evidence.verdict is HOLDS
    assert evidence.summary.startswith("holds for a step (by hand), a step (tuned), mean of their masks, ")
    assert evidence.summary.endswith("; not trained for study exercise-7-other-noise")
    alone = catalogue.check(BY_NAME["scratch"], None)
    assert alone.summary.startswith("holds for a step") and "trained" not in alone.summary


@pytest.mark.parametrize(("by", "word"), [(0.01, HOLDS), (-0.01, FAILS), (0.0, FAILS)])
def test_a_lower_drop_probability_near_the_input_is_judged_by_the_runs(
    tmp_path: Path, by: float, word: ClaimVerdict
) -> None:
    study = "exercise-1-drop-probs"
    write_arm(tmp_path, "none", shifted(0.05), name=study)
    write_arm(tmp_path, "scratch", shifted(by), drop_probs=[0.2, 0.5], name=study)
    write_arm(tmp_path, "scratch", ACCS, drop_probs=[0.5, 0.2], name=study)
    assert check("lower-at-input", tmp_path).verdict is word


def test_runs_of_other_arms_judge_nothing(tmp_path: Path) -> None:
    write_arm(tmp_path, "scratch", ACCS, drop_probs=[0.2, 0.5], name="exercise-1-drop-probs")
    evidence = check("lower-at-input", tmp_path)
    assert evidence.verdict is NOT_TRAINED
    assert evidence.findings[0].evidence.startswith("some of the arms to compare are missing; dropexp train")


def test_unscaled_dropout_and_dropout_by_hand_are_held_against_torchs(tmp_path: Path) -> None:
    for variant, by in (("nn", 0.0), ("scratch", 0.0), ("unscaled", -0.02)):
        write_arm(tmp_path, variant, shifted(by), name="exercise-7-other-noise")
    write_arm(tmp_path, "scratch", shifted(-0.1), arm="per-batch", mask="per-batch", name="exercise-7-other-noise")
    assert check("unscaled", tmp_path).verdict is FAILS
    assert words(check("scratch", tmp_path).findings) == {"test accuracy of scratch": HOLDS}
    write_arm(tmp_path, "nn", ACCS)
    write_arm(tmp_path, "scratch", shifted(0.0))
    (finding,) = check("stable", tmp_path).findings  # the SDs are within a quarter of each other
    assert (finding.verdict, finding.study) == (FAILS, "dropout")
    assert finding.setting == "60,000 images × 2 epochs at p = 0.2-0.5"


def test_unscaled_dropout_that_is_better_does_as_well(tmp_path: Path) -> None:
    write_arm(tmp_path, "nn", ACCS, name="exercise-7-other-noise")
    write_arm(tmp_path, "unscaled", shifted(0.02), name="exercise-7-other-noise")
    assert check("unscaled", tmp_path).verdict is HOLDS


def curve(first: float, last: float, epochs: int = 20) -> list[float]:
    return [round(float(x), 6) for x in np.linspace(first, last, epochs)]


def test_accuracy_depends_on_the_epoch_and_the_images(tmp_path: Path) -> None:
    for seed in range(10):
        write_run(tmp_path, "none", seed, curve(0.70, 0.80), name="exercise-2-more-epochs")
        write_run(tmp_path, "scratch", seed, curve(0.66, 0.82 + 0.0001 * seed), name="exercise-2-more-epochs")
    evidence = check("accuracy", tmp_path)
    assert evidence.summary == (
        "depends: holds for test accuracy of scratch (60,000 images × 20 epochs at p = 0.2-0.5); "
        "fails for test accuracy of scratch (60,000 images × 10 epochs at p = 0.2-0.5); "
        "not trained for study does-dropout-help, study best"
    )
    for size, by in ((1000, 0.02), (50000, 0.0)):
        write_arm(tmp_path, "none", ACCS, train_size=size, name="does-dropout-help")
        write_arm(tmp_path, "scratch", shifted(by), train_size=size, name="does-dropout-help")
    write_arm(tmp_path, "none", ACCS, name="best")
    write_arm(tmp_path, "scratch", shifted(0.02), name="best")
    found = {(f.study, f.setting): f.verdict for f in check("accuracy", tmp_path).findings}
    assert found == {
        ("exercise-2-more-epochs", "60,000 images × 10 epochs at p = 0.2-0.5"): FAILS,
        ("exercise-2-more-epochs", "60,000 images × 20 epochs at p = 0.2-0.5"): HOLDS,
        ("does-dropout-help", "1,000 images × 2 epochs at p = 0.2-0.5"): HOLDS,
        ("does-dropout-help", "50,000 images × 2 epochs at p = 0.2-0.5"): FAILS,
        ("best", "60,000 images × 2 epochs at p = 0.2-0.5"): HOLDS,
    }


def test_slower_counts_epochs_to_the_accuracy_of_epoch_ten(tmp_path: Path) -> None:
    study = "exercise-2-more-epochs"
    for seed in range(10):
        write_run(tmp_path, "none", seed, [0.70 + 0.01 * epoch for epoch in range(20)], name=study)
        slow = 2 if seed % 2 else 3
        write_run(tmp_path, "scratch", seed, [0.70 + 0.01 * max(0, epoch - slow) for epoch in range(20)], name=study)
    (finding,) = check("slower", tmp_path).findings
    assert finding.verdict is HOLDS
    assert finding.figures["mean"] == 2.5
    assert "epochs" in finding.evidence


def test_the_aim_of_a_seed_is_what_the_others_reach(tmp_path: Path) -> None:
    """Else the net without dropout, which aims at its own best luck, would seem the faster of two that are alike."""
    rng = np.random.default_rng(0)
    for seed in range(10):
        for variant in ("none", "scratch"):
            noisy = [0.70 + 0.01 * epoch + 0.02 * float(rng.normal()) for epoch in range(20)]
            write_run(tmp_path, variant, seed, noisy, name="exercise-2-more-epochs")
    (finding,) = check("slower", tmp_path).findings
    assert finding.verdict is OPEN
    assert abs(finding.figures["mean"]) < 1


def test_a_run_that_never_gets_there_counts_as_one_epoch_more_than_it_has(tmp_path: Path) -> None:
    for seed in range(8):
        write_run(tmp_path, "none", seed, curve(0.7, 0.8), name="exercise-2-more-epochs")
        write_run(tmp_path, "scratch", seed, curve(0.5, 0.6), name="exercise-2-more-epochs")
    (finding,) = check("slower", tmp_path).findings
    assert finding.figures["mean"] == 21 - 10
    assert finding.evidence.endswith("8 of 8 runs of scratch did not reach it in 20 epochs.")


def test_too_few_epochs_are_not_trained(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", ACCS, name="exercise-2-more-epochs")
    write_arm(tmp_path, "scratch", ACCS, name="exercise-2-more-epochs")
    (finding,) = check("slower", tmp_path).findings
    assert finding.verdict is NOT_TRAINED
    assert finding.evidence.startswith("none has 2 epochs, not 10; dropexp train -c configs/exercises/more")


@pytest.mark.parametrize(
    ("dropped", "decayed", "both", "word", "how"),
    [
        (0.02, 0.01, 0.03, HOLDS, "Additive."),
        (0.02, 0.01, 0.025, FAILS, "Diminishing."),
        (0.02, 0.01, 0.01, FAILS, "Cancelling."),
        (0.02, 0.01, 0.04, FAILS, "More than additive."),
        (0.02, 0.0, 0.02, OPEN, "Dropout alone or weight decay alone does not help, so no effects can add up."),
    ],
)
def test_effects_add_up_where_their_interaction_is_nil(
    tmp_path: Path, dropped: float, decayed: float, both: float, word: ClaimVerdict, how: str
) -> None:
    for arm, accs in (("none", shifted(0.0)), ("dropout", shifted(dropped))):
        variant = "none" if arm == "none" else "scratch"
        write_arm(tmp_path, variant, accs, arm=arm, weight_decay=0.0, name="exercise-5-with-weight-decay")
    for arm, accs in (("weight-decay", shifted(decayed)), ("both", shifted(both))):
        variant = "scratch" if arm == "both" else "none"
        write_arm(tmp_path, variant, accs, arm=arm, weight_decay=0.001, name="exercise-5-with-weight-decay")
    (finding,) = check("add-up", tmp_path).findings
    assert (finding.verdict, finding.evidence.partition(".")[0] + ".") == (word, how)
    assert finding.figures["mean"] == pytest.approx(both - dropped - decayed)
    assert "both − weight-decay" in finding.evidence
    for arm in ("dropout", "weight-decay", "both"):
        assert f" {arm} " in finding.evidence and " none " in finding.evidence


def probed_study(runs_dir: Path, with_dropout: dict[str, float], without: dict[str, float]) -> None:
    for seed in range(10):
        for variant, probed in (("none", without), ("scratch", with_dropout)):
            noisy = {name: value * (1 + 0.001 * seed) for name, value in probed.items()}
            write_run(runs_dir, variant, seed, 0.8, probed=noisy, name="exercise-3-activations")


def test_sparser_activations_and_smaller_weights_are_read_from_probes(tmp_path: Path) -> None:
    dropout = {"h1_zero": 0.7, "h1_mean": 0.2, "w1_norm": 9.0, "w2_norm": 8.0}
    probed_study(tmp_path, dropout, {"h1_zero": 0.5, "h1_mean": 0.3, "w1_norm": 10.0, "w2_norm": 7.0})
    assert words(check("sparsity", tmp_path).findings) == {
        "share of zeros in h1 of scratch": HOLDS,
        "mean of h1 of scratch": HOLDS,
    }
    evidence = check("smaller-weights", tmp_path)
    assert evidence.verdict is ClaimVerdict.DEPENDS
    assert words(evidence.findings) == {
        "norm of W1 at equal epoch of scratch": HOLDS,
        "norm of W1 at equal train loss of scratch": HOLDS,
        "norm of W2 at equal epoch of scratch": FAILS,
        "norm of W2 at equal train loss of scratch": FAILS,
    }
    assert evidence.findings[0].figures["mean"] == pytest.approx(100 * (9 / 10 - 1))


def test_norms_at_equal_loss_are_taken_between_the_epochs_where_both_first_get_down_to_it(tmp_path: Path) -> None:
    for seed in range(8):
        write_run(tmp_path, "none", seed, [0.7, 0.9], probed={"w1_norm": 5.0}, name="exercise-3-activations")
        write_run(tmp_path, "scratch", seed, [0.6, 0.8], probed={"w1_norm": 5.0}, name="exercise-3-activations")
    at_epoch, at_loss = check("smaller-weights", tmp_path).findings
    assert at_epoch.figures["mean"] == 0
    # without dropout the loss falls from 0.5 to 0.1 and the fake figure from 10 to 5; the other ends at a loss of 0.3
    between = 10 - 5 * np.log(0.5 / 0.3) / np.log(0.5 / 0.1)
    assert at_loss.figures["mean"] == pytest.approx(100 * (5 / between - 1))


def test_runs_without_probes_say_which_figure_is_missing(tmp_path: Path) -> None:
    probed_study(tmp_path, {}, {})
    (finding,) = check("sparsity", tmp_path).findings
    assert finding.verdict is NOT_TRAINED
    assert finding.evidence.startswith("no run of scratch or none has a figure such as h1_zero; dropexp train")


def write_monte_carlo(runs_dir: Path, k: int, off: float, **more: Any) -> None:
    for seed in range(10):
        probed = {"mc_acc": 0.8 - off * (1 + 0.1 * seed), "mc_loss": 2.1 - 2 * 0.8 + off}
        name, arm = "figure-11-monte-carlo", f"k{k}"
        write_run(runs_dir, "scratch", seed, 0.8, probed=probed, name=name, arm=arm, probes=[{"mc": k}], **more)


def test_monte_carlo_is_judged_at_fifty_passes_and_tells_of_others(tmp_path: Path) -> None:
    for k, off in ((1, 0.05), (50, 0.0005), (100, 0.0)):
        write_monte_carlo(tmp_path, k, off)
    accuracy, loss = check("monte-carlo", tmp_path).findings
    assert (accuracy.verdict, loss.verdict) == (HOLDS, HOLDS)
    assert "-0.07 points, 95 % interval" in accuracy.evidence
    assert "The mean difference is -7.25 points at k = 1, +0.00 points at k = 100." in accuracy.evidence
    assert "+0.0500 nats at k = 1" in loss.evidence


def test_settings_of_one_study_are_not_mixed(tmp_path: Path) -> None:
    write_monte_carlo(tmp_path, 1, 0.05)
    for size, off in ((1000, 0.05), (5000, -0.05)):
        write_monte_carlo(tmp_path, 50, off, train_size=size)
    found = {(f.setting, f.subject): f.verdict for f in check("monte-carlo", tmp_path).findings}
    assert found == {
        (f"{images} images × 2 epochs at p = 0.2-0.5", f"test {figure} at k = 50"): word
        for images, word in (("1,000", FAILS), ("5,000", HOLDS))
        for figure in ("accuracy", "loss")
    }


def test_the_gap_is_judged_and_diverged_runs_are_named(tmp_path: Path) -> None:
    study = "exercise-2-more-epochs"
    write_arm(tmp_path, "none", ACCS, name=study)
    write_arm(tmp_path, "scratch", ACCS, name=study)
    write_run(tmp_path, "scratch", 10, 0.1, status="diverged", name=study)
    write_run(tmp_path, "scratch", 11, 0.1, status="failed", why="no memory", name=study)
    evidence = check("gap", tmp_path)
    (finding,) = evidence.findings  # fake runs have one gap, whatever the variant
    assert finding.verdict is FAILS
    assert finding.evidence.endswith("Excluded, because they diverged: 1 of 11 runs of scratch.")
    assert f"{study}: scratch: seed 11 failed (no memory), left out" in evidence.notes


def test_an_arm_whose_runs_all_diverged_judges_nothing_and_says_so(tmp_path: Path) -> None:
    study = "exercise-3-activations"
    for seed in range(8):
        write_run(tmp_path, "none", seed, 0.8, probed={"w1_norm": 5.0}, name=study)
        write_run(tmp_path, "scratch", seed, 0.1, status="diverged", name=study)
    for finding in check("smaller-weights", tmp_path).findings:
        assert finding.verdict is OPEN
        assert finding.evidence.endswith("Excluded, because they diverged: 8 of 8 runs of scratch.")


# The catalogue and the command


def test_every_claim_has_a_check_a_number_and_a_name_of_its_own() -> None:
    assert [claim.number for claim in CLAIMS] == [*map(str, range(1, 23)), "A9"]
    assert len({claim.name for claim in CLAIMS} | {claim.number for claim in CLAIMS}) == 2 * len(CLAIMS)
    assert all(claim.proof or claim.studies for claim in CLAIMS)
    assert {study for claim in CLAIMS for study in claim.studies} == set(CONFIGS)
    assert [claim.number for claim in select([], quick=True)] == [*"123456789", "12", "13", "22", "A9"]


def test_claims_are_chosen_by_number_or_name() -> None:
    assert [claim.name for claim in select(["gap", "12"])] == ["l2", "gap"]
    assert select(["gap", "16"], quick=True) == []
    assert catalogue.unknown_names(["12", "99", "l3", "gap"]) == ["99", "l3"]


@pytest.mark.parametrize("study", CONFIGS)
def test_a_claim_names_the_config_that_trains_it_and_make_knows_it(study: str) -> None:
    file = CONFIGS[study].split()[0]
    assert load_config(ROOT / file).name == study
    assert file in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_tables_say_each_claim_once_and_each_finding(tmp_path: Path) -> None:
    checked = [catalogue.check(claim, tmp_path) for claim in select(["expectation", "before-relu", "gap"])]
    claims, details = table.overview(checked), table.details(checked)
    assert [row[0] for row in claims.rows] == ["1 expectation", "7 before-relu", "15 gap"]
    assert [row[-1] for row in claims.rows] == [e.summary for e in checked]
    assert [len(one.rows) for one in details] == [6, 3, 1]
    assert [one.legend for one in details] == [f"Source: {e.claim.source}. Test: {e.claim.test}." for e in checked]
    rows = list(csv.DictReader(io.StringIO(table.to_csv(checked))))
    assert len(rows) == 10
    assert [rows[0][key] for key in ("verdict", "of", "finding", "n")] == ["depends", "inverted", "holds", "100000"]
    assert float(rows[0]["low"]) < float(rows[0]["mean"]) < float(rows[0]["high"])
    assert (rows[-1]["study"], rows[-1]["p"]) == ("exercise-2-more-epochs", "")
    assert rows[-1]["evidence"] == "dropexp train -c configs/exercises/more-epochs.yaml"
    assert table.missing(checked) == [rows[-1]["evidence"]]


def test_latex_has_a_command_for_every_sign() -> None:
    checked = [catalogue.check(claim, None) for claim in CLAIMS]
    text = markup.latex([table.overview(checked), *table.details(checked)])
    assert text.isascii()
    assert r"\begin{tabular}{lp{0.40\linewidth}p{0.40\linewidth}}" in text


def test_what_is_not_known_is_null_in_json(tmp_path: Path) -> None:
    for variant in ("none", "scratch"):
        write_run(tmp_path, variant, 0, 0.8, name="exercise-2-more-epochs")
    told = json.loads(table.to_json([check("gap", tmp_path)]))["claims"][0]
    assert told["verdict"] == "open"
    assert told["findings"][0]["figures"]["low"] is None
    assert told["findings"][0]["evidence"].endswith("with one seed; n = 1, no spread can be estimated.")


def test_the_command_checks_without_data_and_without_runs(command: Command) -> None:
    del command.environment["DROPEXP_DATA"]
    done = command("claims", "extremes", "2", "gap", "--format", "json")
    verdicts = {claim["name"]: claim["verdict"] for claim in json.loads(done.stdout)["claims"]}
    assert verdicts == {"output": "depends", "extremes": "holds", "gap": "not trained"}
    assert done.stderr == "not trained: dropexp train -c configs/exercises/more-epochs.yaml\n"


def test_evidence_is_shown_of_claims_that_are_named(command: Command) -> None:
    assert "Source: a blog on d2l-zh 4.6. Test: the same ξ before and after it" in command("claims", "7").stdout
    page = command("claims", "7", "--format", "md").stdout
    assert page.startswith("# Claims of textbooks about dropout\n\nWritten by `dropexp claims --format md` on ")
    assert "**7 before-relu: " in page


def test_unusable_arguments_are_usage_errors(command: Command) -> None:
    error = " ".join(command("claims", "ga", code=2).stderr.replace("│", " ").split())
    assert "Invalid value for NAME: no such claim: ga; by number or name: 1 expectation, 2 output" in error
    error = " ".join(command("claims", "gap", "16", "--quick", code=2).stderr.replace("│", " ").split())
    assert "Invalid value for --quick: these claims need trained runs" in error
