"""Checks of claims on trained runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.claims import ACCS, FAILS, HOLDS, NOT_TRAINED, OPEN, check, shifted, trained, verdicts
from helpers.fake_runs import change, write_arm, write_run
from helpers.studies import write_runs_of

from dropexp.claims.claim import ClaimVerdict
from dropexp.runs.folder import RunFolder

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("by", "verdict"), [(0.01, HOLDS), (-0.01, FAILS), (0.0, FAILS)])
def test_a_lower_drop_probability_near_the_input_is_judged_by_runs(
    tmp_path: Path, by: float, verdict: ClaimVerdict
) -> None:
    study = "exercise-1-drop-probs"
    write_arm(tmp_path, "none", shifted(0.05), name=study)
    write_arm(tmp_path, "scratch", shifted(by), drop_probs=[0.2, 0.5], name=study)
    write_arm(tmp_path, "scratch", ACCS, drop_probs=[0.5, 0.2], name=study)
    assert check("lower-at-input", tmp_path).verdict is verdict


def write_both_fits(runs_dir: Path) -> None:
    """Write runs with which the claims 10, 17 and 18 hold in one of the two settings and fail in the other."""
    for study, size, by in (("claims-overfitting", 1000, -0.01), ("claims-underfitting", None, 0.01)):
        common: dict[str, Any] = {"name": study, "train_size": size}
        for seed in range(10):
            lag = 3 if by > 0 else -3  # epochs by which dropout is behind
            for arm, p, more in (("lower-first", [0.2, 0.5], by), ("higher-first", [0.5, 0.2], 0.0)):
                accs = [0.7 + 0.001 * (epoch - lag) for epoch in range(30)]
                accs[-1] = 0.8 + 0.0001 * seed + more * (1 + 0.01 * seed)
                write_run(runs_dir, "scratch", seed, accs, arm=arm, drop_probs=p, **common)
            write_run(runs_dir, "none", seed, [0.7 + 0.001 * epoch for epoch in range(30)], arm="none", **common)
            mc = {"mc_acc": 0.8, "mc_loss": 0.5 + by * (1 + 0.01 * seed)}
            write_run(runs_dir, "scratch", seed, 0.8, arm="mc", probes=[{"mc": 50}], probed=mc, **common)


@pytest.mark.parametrize(
    ("name", "subject", "overfitting", "underfitting"),
    [
        ("monte-carlo", "test loss at k = 50", HOLDS, FAILS),
        ("lower-at-input", "test accuracy of lower-first", FAILS, HOLDS),
        ("slower", "epochs to the test accuracy of epoch 10 of lower-first", FAILS, HOLDS),
        ("slower", "epochs to the test accuracy of epoch 15 of lower-first", FAILS, HOLDS),
    ],
)
def test_a_claim_depends_if_it_holds_where_a_network_overfits_and_fails_where_it_underfits_or_conversely(
    name: str, subject: str, overfitting: ClaimVerdict, underfitting: ClaimVerdict, tmp_path: Path
) -> None:
    write_both_fits(tmp_path)
    evidence = check(name, tmp_path)
    assert evidence.verdict is ClaimVerdict.DEPENDS
    found = {f.setting.partition(",")[0]: f for f in trained(evidence) if f.subject == subject}
    assert {fit: f.verdict for fit, f in found.items()} == {"overfitting": overfitting, "underfitting": underfitting}
    assert {fit: f.study for fit, f in found.items()} == {fit: f"claims-{fit}" for fit in found}


def test_the_verdict_names_the_setting_of_each_part(tmp_path: Path) -> None:
    write_both_fits(tmp_path)
    assert check("lower-at-input", tmp_path).summary == (
        "depends: holds for test accuracy of lower-first (underfitting, 60,000 images × 30 epochs at p = [0.2, 0.5]); "
        "fails for test accuracy of lower-first (overfitting, 1,000 images × 30 epochs at p = [0.2, 0.5]); "
        "not trained for study exercise-1-drop-probs"
    )


@pytest.mark.parametrize("name", ["monte-carlo", "lower-at-input", "slower"])
def test_claims_that_depend_on_the_fit_are_checked_in_both_settings(name: str, tmp_path: Path) -> None:
    write_runs_of(ROOT / "configs/claims/overfitting.yaml", tmp_path)
    write_runs_of(ROOT / "configs/claims/underfitting.yaml", tmp_path)
    for run in tmp_path.glob("*/arm=mc,*"):
        folder = RunFolder(run)
        table = folder.read_table() | {"mc_acc": [0.8] * 10, "mc_loss": [0.5] * 10}
        change(folder, table=table)
    found = {finding.study for finding in trained(check(name, tmp_path))}
    assert found == {"claims-overfitting", "claims-underfitting"}


def test_runs_of_other_arms_are_not_enough(tmp_path: Path) -> None:
    write_arm(tmp_path, "scratch", ACCS, drop_probs=[0.2, 0.5], name="exercise-1-drop-probs")
    evidence = check("lower-at-input", tmp_path)
    assert evidence.verdict is NOT_TRAINED
    assert evidence.findings[0].evidence.startswith("some of the arms to compare are missing; dropexp train")


def test_pairs_of_different_variants_are_not_enough(tmp_path: Path) -> None:
    write_arm(tmp_path, "nn", ACCS, drop_probs=[0.2, 0.5], name="exercise-1-drop-probs")
    write_arm(tmp_path, "scratch", ACCS, drop_probs=[0.5, 0.2], name="exercise-1-drop-probs")
    evidence = check("lower-at-input", tmp_path)
    assert evidence.verdict is NOT_TRAINED
    assert evidence.findings[0].evidence.startswith("some of the arms to compare are missing; dropexp train")


def test_unscaled_dropout_and_dropout_from_scratch_are_compared_with_that_of_torch(tmp_path: Path) -> None:
    for variant, by in (("nn", 0.0), ("scratch", 0.0), ("unscaled", -0.02)):
        write_arm(tmp_path, variant, shifted(by), name="exercise-7-other-noise")
    write_arm(tmp_path, "scratch", shifted(-0.1), arm="per-batch", mask="per-batch", name="exercise-7-other-noise")
    assert check("unscaled", tmp_path).verdict is FAILS
    assert verdicts(check("scratch", tmp_path).findings) == {"test accuracy of scratch": HOLDS}
    write_arm(tmp_path, "nn", ACCS)
    write_arm(tmp_path, "scratch", shifted(0.0))
    (finding,) = check("stable", tmp_path).findings  # the SDs are within a quarter of each other
    assert (finding.verdict, finding.study) == (FAILS, "dropout")
    assert finding.setting == "60,000 images × 2 epochs at p = [0.2, 0.5]"
    write_run(tmp_path, "nn", 10, status="diverged")
    (finding,) = check("stable", tmp_path).findings
    assert (finding.verdict, finding.evidence[-25:]) == (OPEN, "; seed 10 of nn diverged.")


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
        "depends: holds for test accuracy of scratch (60,000 images × 20 epochs at p = [0.2, 0.5]); "
        "fails for test accuracy of scratch (60,000 images × 10 epochs at p = [0.2, 0.5]); "
        "not trained for study does-dropout-help, study best"
    )
    for size, by in ((1000, 0.02), (50000, 0.0)):
        write_arm(tmp_path, "none", ACCS, train_size=size, name="does-dropout-help")
        write_arm(tmp_path, "scratch", shifted(by), train_size=size, name="does-dropout-help")
    write_arm(tmp_path, "none", ACCS, name="best")
    write_arm(tmp_path, "scratch", shifted(0.02), name="best")
    found = {(f.study, f.setting): f.verdict for f in check("accuracy", tmp_path).findings}
    assert found == {
        ("exercise-2-more-epochs", "60,000 images × 10 epochs at p = [0.2, 0.5]"): FAILS,
        ("exercise-2-more-epochs", "60,000 images × 20 epochs at p = [0.2, 0.5]"): HOLDS,
        ("does-dropout-help", "1,000 images × 2 epochs at p = [0.2, 0.5]"): HOLDS,
        ("does-dropout-help", "50,000 images × 2 epochs at p = [0.2, 0.5]"): FAILS,
        ("best", "60,000 images × 2 epochs at p = [0.2, 0.5]"): HOLDS,
    }


def test_slower_counts_epochs_to_the_accuracy_of_epoch_ten(tmp_path: Path) -> None:
    study = "exercise-2-more-epochs"
    for seed in range(10):
        write_run(tmp_path, "none", seed, [0.70 + 0.01 * epoch for epoch in range(20)], name=study)
        slow = 2 if seed % 2 else 3
        write_run(tmp_path, "scratch", seed, [0.70 + 0.01 * max(0, epoch - slow) for epoch in range(20)], name=study)
    (finding,) = trained(check("slower", tmp_path))
    assert finding.verdict is HOLDS
    assert finding.figures["mean"] == 2.5
    assert "epochs" in finding.evidence


def test_slower_also_counts_epochs_to_the_accuracy_halfway(tmp_path: Path) -> None:
    """Dropout that is slower at first can overtake."""
    for seed in range(10):
        write_run(tmp_path, "none", seed, curve(0.7, 0.8, 40), name="exercise-2-more-epochs")
        write_run(tmp_path, "scratch", seed, [0.6] * 15 + [0.9] * 25, name="exercise-2-more-epochs")
    found = {
        finding.subject: (finding.figures["mean"], finding.verdict) for finding in trained(check("slower", tmp_path))
    }
    assert found == {
        "epochs to the test accuracy of epoch 10 of scratch": (6, HOLDS),
        "epochs to the test accuracy of epoch 20 of scratch": (-4, FAILS),
    }


def test_epochs_without_an_evaluation_do_not_decide_a_claim(tmp_path: Path) -> None:
    for seed in range(10):
        for variant, last in (("none", 0.8), ("scratch", 0.9)):
            write_run(tmp_path, variant, seed, curve(0.7, last), name="exercise-2-more-epochs", eval_every=4)
    missing = check("accuracy", tmp_path).findings[0]
    assert missing.verdict is NOT_TRAINED
    assert missing.evidence.startswith("scratch has no test_acc at epoch 10; dropexp train -c")


def test_the_target_of_a_seed_is_the_mean_accuracy_of_the_others(tmp_path: Path) -> None:
    """With its own accuracy as target, the arm without dropout would seem faster than an equal one."""
    rng = np.random.default_rng(0)
    for seed in range(10):
        for variant in ("none", "scratch"):
            noisy = [0.70 + 0.01 * epoch + 0.02 * float(rng.normal()) for epoch in range(20)]
            write_run(tmp_path, variant, seed, noisy, name="exercise-2-more-epochs")
    (finding,) = trained(check("slower", tmp_path))
    assert finding.verdict is OPEN
    assert abs(finding.figures["mean"]) < 1


def test_a_run_that_never_reaches_its_target_counts_as_one_epoch_more_than_it_has(tmp_path: Path) -> None:
    for seed in range(8):
        write_run(tmp_path, "none", seed, curve(0.7, 0.8), name="exercise-2-more-epochs")
        write_run(tmp_path, "scratch", seed, curve(0.5, 0.6), name="exercise-2-more-epochs")
    (finding,) = trained(check("slower", tmp_path))
    assert finding.figures["mean"] == 21 - 10
    assert finding.evidence.endswith("8 of 8 runs of scratch did not reach it in 20 epochs.")


def test_runs_with_too_few_epochs_are_not_trained(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", ACCS, name="exercise-2-more-epochs")
    write_arm(tmp_path, "scratch", ACCS, name="exercise-2-more-epochs")
    finding, *_ = check("slower", tmp_path).findings
    assert finding.verdict is NOT_TRAINED
    assert finding.evidence.startswith("none has 2 epochs, not 10; dropexp train -c configs/exercises/more")


@pytest.mark.parametrize(
    ("dropped", "decayed", "both", "verdict", "how"),
    [
        (0.02, 0.01, 0.03, HOLDS, "Additive."),
        (0.02, 0.01, 0.025, FAILS, "Diminishing."),
        (0.02, 0.01, 0.01, FAILS, "Cancelling."),
        (0.02, 0.01, 0.04, FAILS, "More than additive."),
        (0.02, 0.0, 0.02, OPEN, "Dropout alone or weight decay alone does not help, so there are no two gains to add."),
    ],
)
def test_effects_add_up_if_their_interaction_is_zero(
    tmp_path: Path, dropped: float, decayed: float, both: float, verdict: ClaimVerdict, how: str
) -> None:
    for arm, accs in (("none", shifted(0.0)), ("dropout", shifted(dropped))):
        variant = "none" if arm == "none" else "scratch"
        write_arm(tmp_path, variant, accs, arm=arm, weight_decay=0.0, name="exercise-5-with-weight-decay")
    for arm, accs in (("weight-decay", shifted(decayed)), ("both", shifted(both))):
        variant = "scratch" if arm == "both" else "none"
        write_arm(tmp_path, variant, accs, arm=arm, weight_decay=0.001, name="exercise-5-with-weight-decay")
    (finding,) = check("add-up", tmp_path).findings
    assert (finding.verdict, finding.evidence.partition(".")[0] + ".") == (verdict, how)
    assert finding.figures["mean"] == pytest.approx(both - dropped - decayed)
    assert "both − weight-decay" in finding.evidence
    for arm in ("dropout", "weight-decay", "both"):
        assert f" {arm} " in finding.evidence and " none " in finding.evidence


def write_probed_study(runs_dir: Path, with_dropout: dict[str, float], without: dict[str, float]) -> None:
    for seed in range(10):
        for variant, probed in (("none", without), ("scratch", with_dropout)):
            noisy = {name: value * (1 + 0.001 * seed) for name, value in probed.items()}
            write_run(runs_dir, variant, seed, 0.8, probed=noisy, name="exercise-3-activations")


def test_sparser_activations_and_smaller_weights_are_read_from_probes(tmp_path: Path) -> None:
    dropout = {"h1_zero": 0.7, "h1_mean": 0.2, "w1_norm": 9.0, "w2_norm": 8.0}
    write_probed_study(tmp_path, dropout, {"h1_zero": 0.5, "h1_mean": 0.3, "w1_norm": 10.0, "w2_norm": 7.0})
    assert verdicts(check("sparsity", tmp_path).findings) == {
        "share of zeros in h1 of scratch": HOLDS,
        "mean of h1 of scratch": HOLDS,
    }
    evidence = check("smaller-weights", tmp_path)
    assert evidence.verdict is ClaimVerdict.DEPENDS
    assert verdicts(evidence.findings) == {
        "norm of W1 at equal epoch of scratch": HOLDS,
        "norm of W1 at equal train loss of scratch": HOLDS,
        "norm of W2 at equal epoch of scratch": FAILS,
        "norm of W2 at equal train loss of scratch": FAILS,
    }
    assert evidence.findings[0].figures["mean"] == pytest.approx(100 * (9 / 10 - 1))


@pytest.mark.parametrize("every", [1, 2])
def test_norms_at_equal_loss_are_interpolated_at_the_lowest_loss_that_both_reach(every: int, tmp_path: Path) -> None:
    study: dict[str, Any] = {"probed": {"w1_norm": 5.0}, "name": "exercise-3-activations", "eval_every": every}
    for seed in range(8):
        for variant, accs in (("none", [0.7, 0.9]), ("scratch", [0.6, 0.8])):
            write_run(tmp_path, variant, seed, [acc for acc in accs for _ in range(every)], **study)
    at_epoch, at_loss = check("smaller-weights", tmp_path).findings
    assert at_epoch.figures["mean"] == 0
    # without dropout the loss falls from 0.5 to 0.1 and the fake figure from 10 to 5; the other ends at a loss of 0.3
    norm = 10 - 5 * np.log(0.5 / 0.3) / np.log(0.5 / 0.1)
    assert at_loss.figures["mean"] == pytest.approx(100 * (5 / norm - 1))


def test_runs_without_probes_are_not_trained_and_the_missing_figure_is_named(tmp_path: Path) -> None:
    write_probed_study(tmp_path, {}, {})
    (finding,) = check("sparsity", tmp_path).findings
    assert finding.verdict is NOT_TRAINED
    assert finding.evidence.startswith("no run of scratch or none has a figure such as h1_zero; dropexp train")


def write_monte_carlo(runs_dir: Path, k: int, off: float, **more: Any) -> None:
    for seed in range(10):
        probed = {"mc_acc": 0.8 - off * (1 + 0.1 * seed), "mc_loss": 2.1 - 2 * 0.8 + off}
        name, arm = "figure-11-monte-carlo", f"k{k}"
        write_run(runs_dir, "scratch", seed, 0.8, probed=probed, name=name, arm=arm, probes=[{"mc": k}], **more)


def test_monte_carlo_is_judged_at_fifty_passes_and_reports_others(tmp_path: Path) -> None:
    for k, off in ((1, 0.05), (50, 0.0005), (100, 0.0)):
        write_monte_carlo(tmp_path, k, off)
    accuracy, loss = trained(check("monte-carlo", tmp_path))
    assert (accuracy.verdict, loss.verdict) == (HOLDS, HOLDS)
    assert "-0.07 points, 95 % interval" in accuracy.evidence
    assert "The mean difference is -7.25 points at k = 1, +0.00 points at k = 100." in accuracy.evidence
    assert "+0.0500 nats at k = 1" in loss.evidence


def test_settings_of_one_study_are_not_mixed(tmp_path: Path) -> None:
    write_monte_carlo(tmp_path, 1, 0.05)
    for size, off in ((1000, 0.05), (5000, -0.05)):
        write_monte_carlo(tmp_path, 50, off, train_size=size)
    found = {(f.setting, f.subject): f.verdict for f in trained(check("monte-carlo", tmp_path))}
    assert found == {
        (f"{images} images × 2 epochs at p = [0.2, 0.5]", f"test {figure} at k = 50"): verdict
        for images, verdict in (("1,000", FAILS), ("5,000", HOLDS))
        for figure in ("accuracy", "loss")
    }


def test_the_generalisation_gap_is_open_if_a_run_diverged_and_unfinished_runs_are_named(tmp_path: Path) -> None:
    study = "exercise-2-more-epochs"
    write_arm(tmp_path, "none", ACCS, name=study)
    write_arm(tmp_path, "scratch", ACCS, name=study)
    write_run(tmp_path, "scratch", 10, 0.1, status="diverged", name=study)
    write_run(tmp_path, "scratch", 11, 0.1, status="failed", why="no memory", name=study)
    evidence = check("gap", tmp_path)
    (finding,) = evidence.findings  # fake runs have the same generalisation gap, whatever the variant
    assert finding.verdict is OPEN
    assert "is INCONCLUSIVE: seed 10 of scratch diverged; a verdict never excludes such runs" in finding.evidence
    assert f"{study}: scratch: seed 11 failed (no memory), left out" in evidence.notes


def test_an_arm_whose_runs_all_diverged_leaves_the_claim_open(tmp_path: Path) -> None:
    study = "exercise-3-activations"
    for seed in range(8):
        write_run(tmp_path, "none", seed, 0.8, probed={"w1_norm": 5.0}, name=study)
        write_run(tmp_path, "scratch", seed, 0.1, status="diverged", name=study)
    for finding in check("smaller-weights", tmp_path).findings:
        assert finding.verdict is OPEN
        assert "seeds 0, 1, 2, 3, 4, 5, 6, 7 of scratch diverged" in finding.evidence
