"""Checks of claims that only trained runs can decide.

Each takes the arms of a study. Its docstring names the quantity that it judges; differences are paired by seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product

from dropexp.analysis.anomalies import broken_runs
from dropexp.analysis.arms import Arm
from dropexp.analysis.interaction_squares import squares_of
from dropexp.analysis.interactions import interaction
from dropexp.analysis.sentences import amount, sentence
from dropexp.analysis.verdicts import Pair, Verdict, VerdictWord, judge
from dropexp.claims.claim import ClaimVerdict, Finding
from dropexp.claims.figures_by_seed import at_loss, figures, first_epoch, layer_columns, lowest
from dropexp.claims.paired_differences import (
    Contrast,
    contrast,
    differ_at_most_in,
    judge_contrasts,
    matched_pairs,
    sd_ratio,
    setting,
    values,
)
from dropexp.claims.trained_studies import NotTrained
from dropexp.runs.metrics import MARGIN, METRICS, NUMBER, metrics_of
from dropexp.runs.record import Run

Arms = Sequence[Arm]

# The least differences that matter: in a loss, in a norm or a mean (% of the baseline's), in a number of epochs.
LOSS_MARGIN, PERCENT_MARGIN, EPOCHS_MARGIN = 0.01, 1.0, 1.0
PASSES = 50  # the number of stochastic passes that the claim is about
EARLY = 10  # epochs of a short training


def same_accuracy(arms: Arms) -> Iterator[Finding]:
    """Test accuracy with dropout from scratch minus with `nn.Dropout`."""
    return judge_contrasts(
        [contrast(*pair, "test_acc") for pair in matched_pairs(arms, from_scratch, nn_dropout)], "equal"
    )


def monte_carlo(arms: Arms) -> Iterator[Finding]:
    """The mean of k stochastic passes minus one pass in evaluation mode of the same net, judged for k = `PASSES`."""
    claimed = [arm for arm in arms if PASSES in monte_carlo_passes(arm)]
    if not claimed:
        raise NotTrained(f"no arm has the probe mc: {PASSES}")
    yield from judge_contrasts([monte_carlo_contrast(arm, "acc", arms) for arm in claimed], "no less", MARGIN)
    yield from judge_contrasts([monte_carlo_contrast(arm, "loss", arms) for arm in claimed], "no more", LOSS_MARGIN)


def monte_carlo_passes(arm: Arm) -> list[int]:
    return [probe["mc"] for probe in arm.first.config.get("probes", []) if isinstance(probe, dict)]


def monte_carlo_contrast(arm: Arm, kind: str, arms: Arms) -> Contrast:
    """Return the gain in test accuracy or loss of `PASSES` passes; a caveat has those of other numbers of passes."""
    gains = {
        k: figures(other, f"mc_{kind}") - figures(other, f"test_{kind}")
        for other in arms
        if differ_at_most_in(other, arm, "probes")
        for k in monte_carlo_passes(other)
    }
    metric = metrics_of(arm.first.task)[f"test_{kind}"]
    others = [f"{amount(gains[k].mean(), metric.unit)} at k = {k}" for k in sorted(gains) if k != PASSES]
    caveats = [f"The mean difference is {', '.join(others)}."] if others else []
    pair = Pair(
        arm=f"The mean of {PASSES} passes",
        baseline="one pass in evaluation mode",
        differences=values(gains[PASSES]),
        what=metric.title,
        higher_is_better=None,
        unit=metric.unit,
        caveat=" ".join(caveats),
        broken=broken_runs(arm),
    )
    return Contrast(f"{metric.title} at k = {PASSES}", setting(arm), pair)


def smaller_weights(arms: Arms) -> Iterator[Finding]:
    """‖W‖ of each layer with dropout, in % of that without: after the same epochs, and at the same train loss."""
    contrasts = []
    for both in matched_pairs(arms, dropout, no_dropout):
        ours, theirs = (lowest(arm, "clean_train_loss") for arm in both)
        loss = ours.combine(theirs, max)  # the lowest loss that both reach
        for name in layer_columns(both, "w", "norm"):
            at_it = [at_loss(arm, name, "clean_train_loss", loss) for arm in both]
            contrasts.append(contrast(*both, name, where=" at equal epoch", relative=True))
            contrasts.append(contrast(*both, name, at_it, " at equal train loss", relative=True))
    return judge_contrasts(contrasts, "less", PERCENT_MARGIN)


def sparser(arms: Arms) -> Iterator[Finding]:
    """Hidden activations on the test images, in evaluation mode: the share of zeros, and the mean."""
    pairs = matched_pairs(arms, dropout, no_dropout)
    zeros, means = (layer_columns(pairs[0], "h", what) for what in ("zero", "mean"))
    yield from judge_contrasts([contrast(*pair, name) for pair, name in product(pairs, zeros)], "more")
    relative = [contrast(*pair, name, relative=True) for pair, name in product(pairs, means)]
    yield from judge_contrasts(relative, "less", PERCENT_MARGIN)


def smaller_generalisation_gap(arms: Arms) -> Iterator[Finding]:
    """Train accuracy in evaluation mode minus test accuracy: with dropout minus without."""
    return judge_contrasts([contrast(*pair, "gap") for pair in matched_pairs(arms, dropout, no_dropout)], "less")


def better(arms: Arms) -> Iterator[Finding]:
    """Test accuracy with dropout minus without, at the last epoch."""
    return judge_contrasts([contrast(*pair, "test_acc") for pair in matched_pairs(arms, dropout, no_dropout)], "more")


def better_early_and_late(arms: Arms) -> Iterator[Finding]:
    """Test accuracy with dropout minus without, after 10 epochs and after the last."""
    contrasts = []
    for pair in matched_pairs(arms, dropout, no_dropout):
        last = min(arm.min_epochs for arm in pair) or EARLY
        contrasts += [contrast(*pair, "test_acc", epoch=epoch) for epoch in sorted({EARLY, last})]
    return judge_contrasts(contrasts, "more")


def lower_at_input(arms: Arms) -> Iterator[Finding]:
    """Test accuracy with the lower drop probability near the input minus with the two swapped."""
    pairs = matched_pairs(arms, drops(0.2, 0.5), drops(0.5, 0.2), except_keys={"drop_probs"})
    same = [pair for pair in pairs if differ_at_most_in(*pair, "drop_probs")]
    return judge_contrasts([contrast(*pair, "test_acc") for pair in same], "more")


def slower(arms: Arms) -> Iterator[Finding]:
    """Epochs until a run reaches a test accuracy, with dropout minus without.

    It is the mean accuracy without dropout, of the other seeds, at epoch 10 and halfway. A seed's own accuracy would be
    biased: without dropout every run would reach it by that epoch, even a lucky one. A run that never reaches it counts
    as one epoch more than the longest run.
    """
    contrasts = []
    for arm, base in matched_pairs(arms, dropout, no_dropout):
        longest = max(arm.max_epochs, base.max_epochs)
        contrasts += [epochs_to_accuracy(arm, base, epoch) for epoch in sorted({EARLY, longest // 2 or EARLY})]
    return judge_contrasts(contrasts, "more", EPOCHS_MARGIN)


def epochs_to_accuracy(arm: Arm, base: Arm, epoch: int) -> Contrast:
    """Return the contrast in the epochs until runs reach the mean accuracy of the other seeds of `base` at `epoch`."""
    what = f"epochs to the test accuracy of epoch {epoch}"
    reference = figures(base, "test_acc", epoch)
    aim = (reference.sum() - reference) / (len(reference) - 1)
    longest = max(arm.max_epochs, base.max_epochs)
    epochs, caveats = [], []
    for side in (arm, base):
        reached = first_epoch(side, "test_acc", aim).reindex(aim.index.intersection(side.seeds))
        if never := int(reached.isna().sum()):
            caveats.append(f"{never} of {len(reached)} runs of {side.label} did not reach it in {longest} epochs.")
        epochs.append(reached.fillna(longest + 1))
    pair = Pair(
        arm=arm.label,
        baseline=base.label,
        differences=values(epochs[0] - epochs[1]),
        what=what,
        higher_is_better=None,
        unit=NUMBER,
        caveat=" ".join(caveats),
        broken=broken_runs(arm, base),
    )
    return Contrast(f"{what} of {arm.label}", setting(arm), pair)


def additive(arms: Arms) -> Iterator[Finding]:
    """(both − weight decay) − (dropout − neither) in test accuracy: 0 if the two effects add up."""
    metric = METRICS["test_acc"]
    squares = [
        square
        for square in squares_of(arms, ("variant", "weight_decay"), {}).value
        if no_dropout(square.neither.first) and not square.neither.first.setting("weight_decay")
    ]
    if not squares:
        raise NotTrained("the arms with dropout, with weight decay, with both and with neither are not all trained")
    contrasts = [
        Contrast(
            f"interaction in {square.both.label}", setting(square.both), interaction(square, metric, metric.title, {})
        )
        for square in squares
    ]
    for finding, square in zip(judge_contrasts(contrasts, "equal"), squares, strict=True):
        alone = (square.first, square.second, square.both)
        effects = [contrast(arm, square.neither, "test_acc").pair for arm in alone]
        yield with_single_effects(finding, judge(effects, MARGIN))


def with_single_effects(finding: Finding, effects: Sequence[Verdict]) -> Finding:
    """Add the effects of dropout, of weight decay and of both; the claim is open unless each alone helps."""
    helps = all(effect.word is VerdictWord.HIGHER for effect in effects[:2])
    how = "Dropout alone or weight decay alone does not help, so there are no two gains to add."
    if helps:
        *single, both = (effect.difference.mean for effect in effects)
        failing = "Cancelling." if both <= max(single) else "Diminishing."
        if finding.figures["mean"] >= 0:
            failing = "More than additive."
        how = {ClaimVerdict.HOLDS: "Additive.", ClaimVerdict.FAILS: failing}.get(finding.verdict, "")
    evidence = " ".join([how, finding.evidence, *map(sentence, effects)]).strip()
    return replace(finding, verdict=finding.verdict if helps else ClaimVerdict.OPEN, evidence=evidence)


def stable(arms: Arms) -> Iterator[Finding]:
    """SD over seeds of the test accuracy: with `nn.Dropout` against dropout from scratch."""
    for arm, base in matched_pairs(arms, nn_dropout, from_scratch):
        ours, theirs = figures(arm, "test_acc").align(figures(base, "test_acc"), join="inner")
        finding = sd_ratio(f"test accuracy of {arm.label}", values(ours), values(theirs), setting(arm))
        if broken := broken_runs(arm, base):
            evidence = f"{'; '.join([finding.evidence, *broken])}."
            finding = replace(finding, verdict=ClaimVerdict.OPEN, evidence=evidence)
        yield finding


def no_worse_unscaled(arms: Arms) -> Iterator[Finding]:
    """Test accuracy with unscaled dropout minus with `nn.Dropout`."""
    pairs = matched_pairs(arms, lambda run: run.variant == "unscaled" and rand_mask(run), nn_dropout)
    return judge_contrasts([contrast(*pair, "test_acc") for pair in pairs], "no less")


# Kinds of arms


def dropout(run: Run) -> bool:
    return run.variant != "none"


def no_dropout(run: Run) -> bool:
    return run.variant == "none"


def from_scratch(run: Run) -> bool:
    return run.variant == "scratch" and rand_mask(run)


def nn_dropout(run: Run) -> bool:
    return run.variant == "nn"


def rand_mask(run: Run) -> bool:
    return run.config.get("mask") in (None, "rand")  # as in nn.Dropout, whose runs do not use the key


def drops(*p: float) -> Callable[[Run], bool]:
    return lambda run: run.setting("drop_probs") == list(p)
