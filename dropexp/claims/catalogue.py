"""The claims: what is claimed, by whom, and what checks it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from dropexp.claims import adam_weight_decay, checks_on_runs, equalities, moments, subnets, weight_decay
from dropexp.claims.claim import Claim, Evidence
from dropexp.claims.trained_studies import OVERFITTING, UNDERFITTING, check_study

D2L = "Dive into Deep Learning"
JMLR = "Srivastava et al., 2014"
BOTH_SETTINGS, IN_BOTH = (OVERFITTING, UNDERFITTING), "also where the network overfits, and where it underfits"


CLAIMS = [
    Claim(
        "1", "expectation", "Dropout keeps the mean activation: E[h′] = h",
        f"{D2L}, dropout", "100,000 masks, mean within 2 % of the SD", moments.expectation,
    ),
    Claim(
        "2", "output", "So dropout keeps the mean output of the network",
        "a common reading of claim 1",
        "mean of 100,000 stochastic passes against one in evaluation mode, within 2 % of the SD",
        moments.output_expectation,
    ),
    Claim(
        "3", "variance", "The noise has the variance Var[h′ | h] = h²·p/(1−p)",
        f"{JMLR}, section 10", "100,000 masks, mean squared deviation within 2 % of its SD", moments.variance,
    ),
    Claim(
        "4", "eval", "The network is deterministic in evaluation mode, and not in training",
        f"{D2L}, dropout", "two passes in each mode, bit for bit", equalities.eval_is_deterministic,
    ),
    Claim(
        "5", "extremes", "p = 0 is the identity, p = 1 gives zeros",
        f"{D2L}, dropout", "bit for bit", equalities.extremes,
    ),
    Claim(
        "6", "no-gradient", "The weights of a dropped unit get no gradient",
        f"{D2L}, dropout", "gradients of one example and of a batch", equalities.no_gradient,
    ),
    Claim(
        "7", "before-relu", "Dropout before the activation function equals dropout after it",
        "a blog on d2l-zh 4.6", "the same ξ before and after it", equalities.before_is_after,
    ),
    Claim(
        "8", "inverted", "Inverted dropout equals dropout with weights scaled at test time",
        f"{JMLR}, section 10", "both networks, weights rescaled by 1/(1−p), same masks", equalities.inverted_is_classic,
    ),
    Claim(
        "9", "subnets", "The network at test time is the average of its 2ⁿ subnetworks",
        f"{JMLR}, section 1", "all masks of 10 units, renormalised geometric mean", subnets.weight_scaling,
    ),
    Claim(
        "10", "monte-carlo", "The mean of 50 sampled networks does as well as weight scaling",
        f"{JMLR}, figure 11",
        f"paired by network, not worse by 0.3 points, nor by 0.01 nats; {IN_BOTH}",
        studies=dict.fromkeys(("figure-11-monte-carlo", *BOTH_SETTINGS), checks_on_runs.monte_carlo),
    ),
    Claim(
        "11", "smaller-weights", "Dropout makes weights smaller",
        "Ng, Improving Deep Neural Networks", "‖W‖ of each layer, paired by seed, at equal epoch and at equal loss",
        studies={"exercise-3-activations": checks_on_runs.smaller_weights},
    ),
    Claim(
        "12", "l2", "Dropout acts like an L2 penalty",
        f"{JMLR}, section 9.1", "all masks of 8 features against ridge regression in closed form",
        subnets.dropout_is_ridge,
    ),
    Claim(
        "13", "scratch", "Dropout from scratch equals nn.Dropout",
        f"{D2L}, dropout",
        "one step under the same masks; moments of 100,000 masks, within 2 % of the SD; TOST at ±0.3 points over seeds",
        lambda: [*equalities.same_step(), *moments.same_masks()],
        studies={"exercise-7-other-noise": checks_on_runs.same_accuracy},
    ),
    Claim(
        "14", "sparsity", "Dropout makes activations sparser",
        f"{JMLR}, section 7.2", "zeros and mean of each hidden layer in evaluation mode, paired by seed",
        studies={"exercise-3-activations": checks_on_runs.sparser},
    ),
    Claim(
        "15", "gap", "Dropout shrinks the gap between train and test accuracy",
        f"{D2L}, dropout", "both in evaluation mode, paired by seed",
        studies={"exercise-2-more-epochs": checks_on_runs.smaller_generalisation_gap},
    ),
    Claim(
        "16", "accuracy", "Dropout improves test accuracy",
        f"{JMLR}, section 6", "paired by seed: few and many epochs, few and many images",
        studies={
            "exercise-2-more-epochs": checks_on_runs.better_early_and_late,
            "does-dropout-help": checks_on_runs.better,
            "best": checks_on_runs.better,
        },
    ),
    Claim(
        "17", "lower-at-input", "A lower drop probability near the input is better",
        f"{D2L}, dropout", f"(0.2, 0.5) against (0.5, 0.2), paired by seed; {IN_BOTH}",
        studies=dict.fromkeys(("exercise-1-drop-probs", *BOTH_SETTINGS), checks_on_runs.lower_at_input),
    ),
    Claim(
        "18", "slower", "Training with dropout takes longer",
        f"{JMLR}, section 11",
        f"epochs to the accuracy of other seeds without it at epoch 10, and halfway, paired by seed; {IN_BOTH}",
        studies=dict.fromkeys(("exercise-2-more-epochs", *BOTH_SETTINGS), checks_on_runs.slower),
    ),
    Claim(
        "19", "add-up", "Dropout and weight decay add up",
        f"{D2L}, dropout, exercise 5", "interaction in a 2 × 2 design, TOST at ±0.3 points; each alone must help",
        studies={"exercise-5-with-weight-decay": checks_on_runs.additive},
    ),
    Claim(
        "20", "stable", "The framework's dropout is more stable than dropout from scratch",
        "a blog on d2l-zh 4.6", "ratio of the SDs over seeds, TOST at 4/5 and 5/4 (normality assumed)",
        studies={"dropout": checks_on_runs.stable},
    ),
    Claim(
        "21", "unscaled", "Dropout without rescaling does as well as nn.Dropout",
        "\"Dropout is drop-dead easy\"", "paired by seed, not worse by 0.3 points",
        studies={"exercise-7-other-noise": checks_on_runs.no_worse_unscaled},
    ),
    Claim(
        "22", "penalty", "Weight decay is an L2 penalty in the loss",
        f"{D2L}, weight decay",
        "five steps on the loss with the penalty, by autograd, against the decayed weights; "
        "200 steps of Adam and of AdamW on synthetic images, norms within 1 %",
        lambda: [*weight_decay.decay_is_penalty(), *adam_weight_decay.penalty_on_network()],
    ),
    Claim(
        "A9", "weight-decay", "The printed step w ← (1 − ηλ/|B|)·w − … minimises the penalty λ‖w‖²/2",
        "a blog on weight decay and dropout",
        "five steps on the loss with the penalty, by autograd, against the formula",
        weight_decay.printed_is_penalty,
    ),
]  # fmt: skip


def unknown_names(names: Collection[str]) -> list[str]:
    """Return the names that are neither the name nor the number of a claim."""
    return [name for name in names if name not in {known for claim in CLAIMS for known in (claim.number, claim.name)}]


def select(names: Collection[str] = (), quick: bool = False) -> list[Claim]:
    """Return the claims with these names or numbers, by default all; `quick`: only those that have a proof."""
    named = [claim for claim in CLAIMS if not names or {claim.number, claim.name} & set(names)]
    return [claim for claim in named if claim.proof or not quick]


def check(claim: Claim, runs_dir: Path | None) -> Evidence:
    """Compute the proof, and check the runs in `runs_dir`; without a folder of runs, the proof alone."""
    findings = list(claim.proof()) if claim.proof else []
    notes = []
    if runs_dir:
        for study, check_arms in claim.studies.items():
            found = check_study(study, check_arms, runs_dir)
            findings += found.value
            notes += found.notes
    return Evidence(claim, findings, notes)
