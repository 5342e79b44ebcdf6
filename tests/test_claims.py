"""Claims of teaching texts: each proof holds, and fails for what is deliberately broken; verdicts follow the runs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Command
from fake_runs import write_arm, write_run
from numpy.typing import NDArray
from torch import Tensor

from dropexp import linreg, scratch
from dropexp.claims import contrasts, decay, equalities, moments, nets, subnets, table
from dropexp.claims.catalogue import CLAIMS, chosen
from dropexp.claims.claim import Claim, Evidence
from dropexp.claims.contrasts import Contrast, judged
from dropexp.claims.finding import Finding, Word
from dropexp.claims.studies import CONFIGS
from dropexp.noise import Classic, Gaussian, Inverted, Noise, Randn2019, ThreePoint, Unscaled
from dropexp.scratch import Noisy
from dropexp.sgd import Layer
from dropexp.study import load_config
from dropexp.yamlfile import ConfigError

HOLDS, FAILS, OPEN, NOT_TRAINED = Word.HOLDS, Word.FAILS, Word.OPEN, Word.NOT_TRAINED
ROOT = Path(__file__).parent.parent
Values = NDArray[np.float64]
BY_NAME = {claim.name: claim for claim in CLAIMS}


def words(findings: Iterable[Finding]) -> dict[str, Word]:
    return {finding.what: finding.word for finding in findings}


# Proofs


def test_noise_that_is_scaled_keeps_the_mean_and_other_noise_does_not() -> None:
    assert words(moments.expectation()) == {
        "inverted": HOLDS,
        "gaussian": HOLDS,
        "three-point": HOLDS,
        "classic": FAILS,
        "unscaled": FAILS,
        "randn-2019": FAILS,
    }


def test_the_output_keeps_its_mean_unless_a_nonlinearity_comes_after_the_noise() -> None:
    assert [*words(moments.output_expectation()).values()] == [HOLDS, FAILS]
    unscaled = {"unscaled": nets.by_hand([None, Unscaled(0.2)])}
    assert words(moments.output_expectation(unscaled)) == {"unscaled": FAILS}


def test_the_variance_is_that_of_inverted_dropout_and_not_of_its_neighbours() -> None:
    assert words(moments.variance()) == {"inverted": HOLDS, "gaussian": HOLDS}
    others: dict[str, Noise] = {"three-point": ThreePoint(0.2), "randn-2019": Randn2019(0.2)}
    assert words(moments.variance(others)) == {"three-point": FAILS, "randn-2019": FAILS}


def test_eval_is_deterministic_unless_the_noise_is_left_on() -> None:
    assert set(words(equalities.eval_is_deterministic()).values()) == {HOLDS}
    assert set(words(equalities.eval_is_deterministic(nets.every(noise_at_eval=True))).values()) == {FAILS}


def test_training_without_noise_does_not_pass_for_training_with_it() -> None:
    assert words(equalities.eval_is_deterministic({"none": nets.by_hand([])})) == {"none": FAILS}


def test_no_drop_probability_is_the_identity_and_one_is_nothing() -> None:
    assert set(words(equalities.extremes()).values()) == {HOLDS}

    def keeps_some(p: float) -> Callable[[Tensor], Tensor]:
        return lambda H: Randn2019(p).draw(H, nets.generator()) * H

    def never_drops(p: float) -> Callable[[Tensor], Tensor]:
        return lambda H: H

    broken = {"2019": keeps_some, "never": never_drops}  # the slip of 2019 drops some units even at p = 0
    assert words(equalities.extremes(broken)) == {"2019": FAILS, "never": FAILS}


class Forgetful(scratch.MLP):
    """Forgets the mask on the way back."""

    def backward(self, y: Tensor, noisy: Noisy, O: Tensor) -> list[Layer]:
        H, Z, V, xi = noisy
        return super().backward(y, (H, Z, V, [1.0] * len(xi)), O)


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


def test_dropout_is_ridge_regression_in_a_linear_model() -> None:
    assert words(subnets.dropout_is_ridge()) == {"linear regression": HOLDS}
    assert words(subnets.dropout_is_ridge(Inverted(0.2))) == {"linear regression": HOLDS}
    for noise in (Unscaled(0.5), Randn2019(0.5)):
        assert words(subnets.dropout_is_ridge(noise)) == {"linear regression": FAILS}


def test_a_step_from_scratch_is_a_step_of_torch_under_the_same_masks() -> None:
    assert set(words(equalities.same_step()).values()) == {HOLDS}
    assert set(words(equalities.same_step({"forgetful": Forgetful})).values()) == {FAILS}


def test_masks_by_hand_have_the_moments_of_torchs() -> None:
    assert set(words(moments.same_masks()).values()) == {HOLDS}
    assert [*words(moments.same_masks(Randn2019(0.2))).values()] == [FAILS, FAILS]
    assert [*words(moments.same_masks(ThreePoint(0.2))).values()] == [HOLDS, FAILS]
    assert [*words(moments.same_masks(Gaussian(0.2))).values()] == [HOLDS, HOLDS]  # two moments, not all


def test_the_penalty_is_a_factor_on_the_weights_but_not_as_printed_nor_under_adam() -> None:
    assert words(decay.penalty_is_decay()) == {
        "weight_decay at |B| = 1": HOLDS,
        "the formula at |B| = 1": HOLDS,
        "weight_decay at |B| = 8": HOLDS,
        "the formula at |B| = 8": FAILS,
        "the factor 1 − ηλ at |B| = 8": HOLDS,
        "Adam": FAILS,
    }
    mended = words(decay.penalty_is_decay(formula=linreg.decay, mended=decay.printed))
    assert mended["the formula at |B| = 8"] is HOLDS
    assert mended["the factor 1 − ηλ at |B| = 8"] is FAILS


def test_a_z_test_of_values_that_do_not_spread_is_exact() -> None:
    ones = torch.ones(100, dtype=torch.float64)
    assert moments.z_test("", ones, 1.0).word is HOLDS
    assert moments.z_test("", ones, 1.1).word is FAILS


# Runs: differences of mean m that spread little or much


def some(m: float, sd: float = 0.002, n: int = 10) -> Values:
    return m + sd * np.resize([1.0, -1.0], n).astype(float)


@pytest.mark.parametrize(
    ("values", "claimed", "word"),
    [
        (some(0.01), "more", HOLDS),
        (some(0.01), "less", FAILS),
        (some(-0.01), "less", HOLDS),
        (some(0.0), "more", FAILS),  # equal within the margin
        (some(0.0), "equal", HOLDS),
        (some(0.01), "equal", FAILS),
        (some(0.001, 0.01), "more", OPEN),
        (some(0.001, 0.01), "equal", OPEN),
        (some(0.01, n=5), "more", OPEN),  # p cannot fall below 0.0625
        (some(0.01, n=1), "more", OPEN),
        (some(0.01, n=0), "equal", OPEN),
    ],
)
def test_a_word_follows_from_the_differences(values: Values, claimed: contrasts.Claimed, word: Word) -> None:
    (finding,) = judged([Contrast("", values, "points")], claimed, 0.003)
    assert finding.word is word
    assert ("cannot tell" in finding.words) == (word is OPEN and len(values) > 1)


def test_without_a_margin_no_difference_is_small_enough_to_fail() -> None:
    (finding,) = judged([Contrast("", some(0.0))], "more")
    assert finding.word is OPEN


def test_settings_of_a_study_are_one_family() -> None:
    six = some(0.01, n=6)  # p = 0.031 alone, twice as much beside another
    assert words(judged([Contrast("a", six)], "more")) == {"a": HOLDS}
    assert words(judged([Contrast("a", six), Contrast("b", six)], "more")) == {"a": OPEN, "b": OPEN}


def test_an_sd_ratio_takes_ten_seeds_and_an_interval_beside_one() -> None:
    base = np.resize([1.0, -1.0, 2.0, -2.0], 12)
    other = np.resize([1.0, 1.0, -1.0, -1.0], 12)  # uncorrelated with it
    assert contrasts.sd_ratio("", other * 0.1, base).word is HOLDS
    assert contrasts.sd_ratio("", other * 10, base).word is FAILS
    assert contrasts.sd_ratio("", other, base).word is OPEN
    assert contrasts.sd_ratio("", base * 1.01, base).word is FAILS  # the same spread, and sure of it
    assert contrasts.sd_ratio("", other[:8] * 0.1, base[:8]).word is OPEN
    assert contrasts.sd_ratio("", np.zeros(12), base).word is OPEN


def test_the_interval_of_an_sd_ratio_covers_the_true_one_19_times_in_20() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        a, shared = rng.normal(size=(2, 10))
        ratio = contrasts.sd_ratio("", 2 * (a + shared), rng.normal(size=10) + shared).figures
        covered += ratio["low"] < 2 < ratio["high"]
    assert 930 < covered < 970


ACCS = [0.8 + 0.001 * i for i in range(10)]


def shifted(by: float) -> list[float]:
    return [acc + by + 0.0005 * (-1) ** i for i, acc in enumerate(ACCS)]


def check(name: str, runs_dir: Path) -> Evidence:
    claim = BY_NAME[name]
    return Claim(claim.number, name, "", "", "", studies=claim.studies).run(runs_dir)


def test_what_is_not_trained_says_what_trains_it(tmp_path: Path) -> None:
    for claim in CLAIMS:
        if not claim.proof:
            evidence = claim.run(tmp_path / "nowhere")
            assert evidence.verdict == "not trained"
            for finding, study in zip(evidence.findings, claim.studies, strict=True):
                assert finding.words == f"dropexp train -c {CONFIGS[study]}"


def test_a_proof_stands_without_the_runs_that_would_complete_it(tmp_path: Path) -> None:
    evidence = BY_NAME["scratch"].run(tmp_path)
    assert evidence.word is HOLDS
    assert evidence.verdict == "holds; not trained: study dropout"


@pytest.mark.parametrize(("by", "word"), [(0.01, HOLDS), (-0.01, FAILS), (0.0, FAILS)])
def test_a_lower_drop_probability_near_the_input_is_judged_by_the_runs(tmp_path: Path, by: float, word: Word) -> None:
    study = "exercise-1-drop-probs"
    write_arm(tmp_path, "none", shifted(0.05), name=study)
    write_arm(tmp_path, "scratch", shifted(by), drop_probs=[0.2, 0.5], name=study)
    write_arm(tmp_path, "scratch", ACCS, drop_probs=[0.5, 0.2], name=study)
    assert check("lower-at-input", tmp_path).word is word


def test_runs_of_other_arms_judge_nothing(tmp_path: Path) -> None:
    write_arm(tmp_path, "scratch", ACCS, drop_probs=[0.2, 0.5], name="exercise-1-drop-probs")
    evidence = check("lower-at-input", tmp_path)
    assert evidence.word is NOT_TRAINED
    assert evidence.findings[0].words.startswith("the arms that are to be compared are not all there; dropexp train")


def test_unscaled_dropout_and_dropout_by_hand_are_held_against_torchs(tmp_path: Path) -> None:
    write_arm(tmp_path, "nn", ACCS, name="exercise-7-other-noise")
    write_arm(tmp_path, "unscaled", shifted(-0.02), name="exercise-7-other-noise")
    assert check("unscaled", tmp_path).word is FAILS
    write_arm(tmp_path, "nn", ACCS)
    write_arm(tmp_path, "scratch", shifted(0.0))
    assert words(check("scratch", tmp_path).findings) == {"accuracy over seeds": HOLDS}
    assert check("stable", tmp_path).word is FAILS  # the SDs are within a quarter of each other


def curve(first: float, last: float, epochs: int = 20) -> list[float]:
    return [round(float(x), 6) for x in np.linspace(first, last, epochs)]


def test_accuracy_depends_on_the_epoch_and_the_images(tmp_path: Path) -> None:
    for seed in range(10):
        write_run(tmp_path, "none", seed, curve(0.70, 0.80), name="exercise-2-more-epochs")
        write_run(tmp_path, "scratch", seed, curve(0.66, 0.82 + 0.0001 * seed), name="exercise-2-more-epochs")
    evidence = check("accuracy", tmp_path)
    assert evidence.verdict == (
        "depends: holds for 20 epochs; fails for 10 epochs; not trained: study does-dropout-help"
    )
    for size, by in ((1000, 0.02), (60000, 0.0)):
        write_arm(tmp_path, "none", ACCS, train_size=size, name="does-dropout-help")
        write_arm(tmp_path, "scratch", shifted(by), train_size=size, name="does-dropout-help")
    assert words(check("accuracy", tmp_path).findings) == {
        "10 epochs": FAILS,
        "20 epochs": HOLDS,
        "scratch,train_size=1000": HOLDS,
        "scratch,train_size=60000": FAILS,
    }


def test_slower_counts_epochs_to_the_accuracy_of_epoch_ten(tmp_path: Path) -> None:
    study = "exercise-2-more-epochs"
    for seed in range(10):
        write_run(tmp_path, "none", seed, [0.70 + 0.01 * epoch for epoch in range(20)], name=study)
        slow = 2 if seed % 2 else 3
        write_run(tmp_path, "scratch", seed, [0.70 + 0.01 * max(0, epoch - slow) for epoch in range(20)], name=study)
    (finding,) = check("slower", tmp_path).findings
    assert finding.word is HOLDS
    assert finding.figures["mean"] == 2.5
    assert "epochs" in finding.words


def test_a_run_that_never_gets_there_counts_as_one_epoch_more_than_it_has(tmp_path: Path) -> None:
    for seed in range(8):
        write_run(tmp_path, "none", seed, curve(0.7, 0.8), name="exercise-2-more-epochs")
        write_run(tmp_path, "scratch", seed, curve(0.5, 0.6), name="exercise-2-more-epochs")
    (finding,) = check("slower", tmp_path).findings
    assert finding.figures["mean"] == 21 - 10
    assert finding.words.endswith("8 runs of scratch did not get there in 20 epochs")


def test_too_few_epochs_are_not_trained(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", ACCS, name="exercise-2-more-epochs")
    write_arm(tmp_path, "scratch", ACCS, name="exercise-2-more-epochs")
    (finding,) = check("slower", tmp_path).findings
    assert finding.word is NOT_TRAINED
    assert finding.words.startswith("none has 2 epochs and not 10; dropexp train -c configs/exercises/2-more")


@pytest.mark.parametrize(("both", "word"), [(0.03, HOLDS), (0.01, FAILS)])
def test_effects_add_up_where_their_interaction_is_nil(tmp_path: Path, both: float, word: Word) -> None:
    study = "exercise-5-with-weight-decay"
    for decayed, plain, dropped in ((0.0, 0.0, 0.02), (0.001, 0.01, both)):
        write_arm(tmp_path, "none", shifted(plain), arm=f"none-{decayed}", weight_decay=decayed, name=study)
        write_arm(tmp_path, "scratch", shifted(dropped), arm=f"scratch-{decayed}", weight_decay=decayed, name=study)
    (finding,) = check("add-up", tmp_path).findings
    assert finding.word is word
    assert finding.figures["mean"] == pytest.approx(both - 0.03)


def probed_study(runs_dir: Path, with_dropout: dict[str, float], without: dict[str, float]) -> None:
    for seed in range(10):
        for variant, probed in (("none", without), ("scratch", with_dropout)):
            noisy = {name: value * (1 + 0.001 * seed) for name, value in probed.items()}
            write_run(runs_dir, variant, seed, 0.8, probed=noisy, name="exercise-3-activations")


def test_sparser_activations_and_smaller_weights_are_read_from_probes(tmp_path: Path) -> None:
    dropout = {"h1_zero": 0.7, "h1_mean": 0.2, "w1_norm": 9.0, "w2_norm": 8.0}
    probed_study(tmp_path, dropout, {"h1_zero": 0.5, "h1_mean": 0.3, "w1_norm": 10.0, "w2_norm": 7.0})
    assert words(check("sparsity", tmp_path).findings) == {"zeros in h1": HOLDS, "mean of h1": HOLDS}
    evidence = check("smaller-weights", tmp_path)
    assert evidence.word is Word.DEPENDS
    assert words(evidence.findings) == {
        "‖W1‖ at equal epoch": HOLDS,
        "‖W1‖ at equal train loss": HOLDS,
        "‖W2‖ at equal epoch": FAILS,
        "‖W2‖ at equal train loss": FAILS,
    }


def test_norms_at_equal_loss_are_taken_where_both_first_get_down_to_it(tmp_path: Path) -> None:
    for seed in range(8):  # without dropout the last train loss of the other is reached an epoch earlier
        write_run(tmp_path, "none", seed, [0.7, 0.8, 0.9], probed={"w1_norm": 5.0}, name="exercise-3-activations")
        write_run(tmp_path, "scratch", seed, [0.6, 0.7, 0.8], probed={"w1_norm": 5.0}, name="exercise-3-activations")
    at_epoch, at_loss = check("smaller-weights", tmp_path).findings
    assert at_epoch.figures["mean"] == 0
    assert at_loss.figures["mean"] == 5.0 - 10.0  # before the last epoch the fake figure is twice as large


def test_runs_without_probes_say_which_figure_is_missing(tmp_path: Path) -> None:
    probed_study(tmp_path, {}, {})
    (finding,) = check("sparsity", tmp_path).findings
    assert finding.word is NOT_TRAINED
    assert finding.words.startswith("no run of scratch has figures such as h1_zero; dropexp train")


def test_monte_carlo_is_judged_from_fifty_passes_on(tmp_path: Path) -> None:
    for k, off in ((1, 0.05), (50, 0.0005), (100, 0.0)):
        for seed in range(10):
            probed = {"mc_acc": 0.8 - off * (1 + 0.1 * seed), "mc_loss": 2.1 - 2 * 0.8 + off}
            name, arm = "figure-11-monte-carlo", f"k{k}"
            write_run(tmp_path, "scratch", seed, 0.8, probed=probed, name=name, arm=arm, probes=[{"mc": k}])
    found = check("monte-carlo", tmp_path).findings
    assert words(found) == {f"{what} at k = {k}": HOLDS for what in ("accuracy", "loss") for k in (50, 100)}
    assert "at k = 1" in found[0].words


def test_the_gap_is_judged_and_diverged_runs_are_named(tmp_path: Path) -> None:
    study = "exercise-2-more-epochs"
    write_arm(tmp_path, "none", ACCS, name=study)
    write_arm(tmp_path, "scratch", ACCS, name=study)
    write_run(tmp_path, "scratch", 10, 0.1, status="diverged", name=study)
    (finding,) = check("gap", tmp_path).findings  # fake runs have one gap, whatever the variant
    assert finding.word is FAILS
    assert finding.words.endswith("1 runs of scratch diverged and are not counted")


# The catalogue and the command


def test_every_claim_has_a_check_a_number_and_a_name_of_its_own() -> None:
    assert [claim.number for claim in CLAIMS] == [*map(str, range(1, 22)), "A9"]
    assert len({claim.name for claim in CLAIMS} | {claim.number for claim in CLAIMS}) == 2 * len(CLAIMS)
    assert all(claim.proof or claim.studies for claim in CLAIMS)
    assert {study for claim in CLAIMS for study in claim.studies} == set(CONFIGS)
    assert [claim.number for claim in chosen([], quick=True)] == [*"123456789", "12", "13", "A9"]


def test_claims_are_chosen_by_number_or_name() -> None:
    assert [claim.name for claim in chosen(["gap", "12"])] == ["l2", "gap"]
    with pytest.raises(ConfigError, match=r"claims 22 l3: no such claim; by number or name: 1 expectation, .*A9"):
        chosen(["12", "22", "l3"])


@pytest.mark.parametrize("study", CONFIGS)
def test_a_claim_names_the_config_that_trains_it_and_make_knows_it(study: str) -> None:
    file = CONFIGS[study].split()[0]
    assert load_config(ROOT / file).name == study
    assert file in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_tables_say_each_claim_once_and_each_finding(tmp_path: Path) -> None:
    checked = [claim.run(tmp_path) for claim in chosen(["extremes", "before-relu", "gap"])]
    claims, evidence = table.tables(checked)
    assert [row[0] for row in claims.rows] == ["5 extremes", "7 before-relu", "15 gap"]
    assert [row[-1] for row in claims.rows] == [e.verdict for e in checked]
    assert len(evidence.rows) == 7
    rows = list(csv.DictReader(io.StringIO(table.to_csv(checked))))
    assert [row["setting"] for row in rows] == [row[1] for row in evidence.rows]
    assert rows[-1]["evidence"] == "dropexp train -c configs/exercises/2-more-epochs.yaml"


def test_what_is_not_known_is_null_in_json(tmp_path: Path) -> None:
    for variant in ("none", "scratch"):
        write_run(tmp_path, variant, 0, 0.8, name="exercise-2-more-epochs")
    told = json.loads(table.to_json([check("gap", tmp_path)]))["claims"][0]
    assert told["verdict"] == "open"
    assert told["findings"][0]["figures"]["low"] is None
    assert told["findings"][0]["evidence"] == "n = 1: one run is not a result"


def test_the_command_checks_without_data_and_without_runs(command: Command) -> None:
    del command.environment["DROPEXP_DATA"]
    told = json.loads(command("claims", "extremes", "2", "gap", "--format", "json").stdout)
    verdicts = {claim["name"]: claim["verdict"] for claim in told["claims"]}
    assert verdicts == {"output": "depends", "extremes": "holds", "gap": "not trained"}


def test_an_unknown_claim_is_a_usage_error_with_the_names(command: Command) -> None:
    done = command("claims", "ga", code=2)
    assert "dropexp: claims ga: no such claim; by number or name: 1 expectation" in done.stderr
