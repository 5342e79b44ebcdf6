"""Claims that only trained runs can judge. Each check takes the arms of a study; differences pair runs by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from dropexp.analysis import stats, verdicts
from dropexp.analysis.arms import Arm
from dropexp.analysis.baselines import apart
from dropexp.analysis.verdicts import Pair
from dropexp.claims.contrasts import Claimed, Contrast, judged, sd_ratio
from dropexp.claims.finding import Finding, Word
from dropexp.claims.seeds import Figures, at_loss, figures, first_epoch, layers, least, pairs
from dropexp.claims.studies import NotTrained
from dropexp.config.tasks import NUM_TRAIN
from dropexp.runs.metrics import MARGIN, metrics_of
from dropexp.runs.record import Run, text

Arms = Sequence[Arm]

NATS = 0.01  # the least difference in a loss that matters
PERCENT = 1.0  # in a norm or a mean, of the other arm's
EPOCHS = 1.0
PASSES = 50  # so many are said to match weight scaling
EARLY = 10  # an epoch at which a training may well stop


def same_accuracy(arms: Arms) -> Iterator[Finding]:
    """Test accuracy with dropout by hand minus with `nn.Dropout`."""
    return judged([contrast(*pair, "test_acc") for pair in pairs(arms, by_hand, torchs)], "equal")


def monte_carlo(arms: Arms) -> Iterator[Finding]:
    """The mean of k noisy passes minus one eval pass of the same net: judged for the k that is claimed."""
    probes = [(probe, arm) for arm in arms for probe in arm.first.config.get("probes", [])]
    mc = [(probe["mc"], arm) for probe, arm in probes if isinstance(probe, dict)]
    claimed = [arm for k, arm in mc if k == PASSES]
    if not claimed:
        raise NotTrained(f"no arm has the probe mc: {PASSES}")
    asked: list[tuple[str, Claimed, float]] = [("acc", "no less", MARGIN), ("loss", "no more", NATS)]
    for kind, wanted, margin in asked:
        found = []
        for chosen in claimed:
            gains = {
                k: figures(arm, f"mc_{kind}") - figures(arm, f"test_{kind}")
                for k, arm in sorted(mc, key=lambda pair: pair[0])
                if alike(arm, chosen, "probes")
            }
            metric = metrics_of(chosen.first.task)[f"test_{kind}"]
            means = (f"{verdicts.amount(d.mean(), metric.unit)} at k = {k}" for k, d in gains.items() if k != PASSES)
            more = f"The mean difference is {', '.join(means)}." * (len(gains) > 1)
            told = (values(gains[PASSES]), metric.title, None, metric.unit, f"{more} {diverged(chosen)}".strip())
            pair = Pair(f"The mean of {PASSES} passes", "one eval pass", *told)
            found.append(Contrast(f"{metric.title} at k = {PASSES}", setting(chosen), pair))
        yield from judged(found, wanted, margin)


def smaller_weights(arms: Arms) -> Iterator[Finding]:
    """‖W‖ of each layer with dropout, in % of that without: after the same epochs, and at the same train loss."""
    found = []
    for both in pairs(arms, dropout, no_dropout):
        lowest = [least(side, "clean_train_loss") for side in both]
        loss = lowest[0].combine(lowest[1], max)  # both get there
        for name in layers(both, "w", "norm"):
            at_it = [at_loss(side, name, "clean_train_loss", loss) for side in both]
            found.append(contrast(*both, name, where=" at equal epoch", relative=True))
            found.append(contrast(*both, name, at_it, " at equal train loss", relative=True))
    return judged(found, "less", PERCENT)


def sparser(arms: Arms) -> Iterator[Finding]:
    """Hidden activations on the test images, in eval mode: the share of zeros, and the mean."""
    both = pairs(arms, dropout, no_dropout)
    zeros, means = (layers(both[0], "h", what) for what in ("zero", "mean"))
    yield from judged([contrast(*pair, name) for pair, name in product(both, zeros)], "more")
    yield from judged([contrast(*pair, name, relative=True) for pair, name in product(both, means)], "less", PERCENT)


def smaller_gap(arms: Arms) -> Iterator[Finding]:
    """Train accuracy in eval mode minus test accuracy: with dropout minus without."""
    return judged([contrast(*pair, "gap") for pair in pairs(arms, dropout, no_dropout)], "less")


def better(arms: Arms) -> Iterator[Finding]:
    """Test accuracy with dropout minus without, at the last epoch."""
    return judged([contrast(*pair, "test_acc") for pair in pairs(arms, dropout, no_dropout)], "more")


def better_early_and_late(arms: Arms) -> Iterator[Finding]:
    """The same, after 10 epochs and after the last."""
    found = []
    for both in pairs(arms, dropout, no_dropout):
        last = min(side.lengths[0] for side in both)
        found += [contrast(*both, "test_acc", epoch=n) for n in sorted({EARLY, last or EARLY})]
    return judged(found, "more")


def lower_at_input(arms: Arms) -> Iterator[Finding]:
    """Test accuracy with the lower drop probability near the input minus with the two swapped."""
    both = pairs(arms, drops(0.2, 0.5), drops(0.5, 0.2), but_for={"drop_probs"})
    return judged([contrast(*pair, "test_acc") for pair in both if alike(*pair, "drop_probs")], "more")


def slower(arms: Arms) -> Iterator[Finding]:
    """Epochs with dropout minus without, to the mean test accuracy at epoch 10 of the other seeds without dropout.

    A seed's own accuracy would be no fair aim: without dropout every run would be there by epoch 10, whatever its
    luck. A run that does not get there counts as one epoch more than it has.
    """
    found = []
    for both in pairs(arms, dropout, no_dropout):
        tenth = figures(both[1], "test_acc", EARLY)
        aim = (tenth.sum() - tenth) / (len(tenth) - 1)
        longest = max(side.lengths[1] for side in both)
        sides, told = [], []
        for side in both:
            reached = first_epoch(side, "test_acc", aim).reindex(aim.index.intersection(side.seeds))
            if never := int(reached.isna().sum()):
                told.append(f"{never} of {len(reached)} runs of {side.label} did not get there in {longest} epochs.")
            sides.append(reached.fillna(longest + 1))
        what = f"epochs to the test accuracy of epoch {EARLY}"
        more, caveat = values(sides[0] - sides[1]), " ".join([*told, diverged(*both)]).strip()
        pair = Pair(both[0].label, both[1].label, more, what, None, "", caveat)
        found.append(Contrast(f"{what} of {both[0].label}", setting(both[0]), pair))
    return judged(found, "more", EPOCHS)


def additive(arms: Arms) -> Iterator[Finding]:
    """(both − weight decay) − (dropout − neither) in test accuracy: 0 where the two effects add up."""
    effects = pairs(arms, dropout, no_dropout)
    found, alone = [], []
    for (drop, none), (both, decay) in product(effects, effects):
        if none.first.setting("weight_decay") or not alike(both, drop, "weight_decay") or not apart(decay, none):
            continue
        four = [figures(arm, "test_acc") for arm in (both, decay, drop, none)]
        names = (f"{both.label} − {decay.label}", f"{drop.label} − {none.label}")
        minus = values((four[0] - four[1]) - (four[2] - four[3]))
        pair = Pair(*names, minus, "test accuracy", None, "points", diverged(both, decay, drop, none))
        found.append(Contrast(f"interaction in {both.label}", setting(both), pair))
        alone.append([contrast(arm, none, "test_acc").pair for arm in (drop, decay, both)])
    if not found:
        raise NotTrained("dropout and weight decay, alone and together, are not all there")
    for finding, three in zip(judged(found, "equal"), alone, strict=True):
        told = verdicts.judge(three, MARGIN)
        means = [stats.spread(pair.differences).mean for pair in three]
        helps = all(verdict.word is verdicts.Word.HIGHER for verdict in told[:2])
        how = "There is nothing to add up unless each alone helps."
        if helps:
            less = "Cancelling." if means[2] <= max(means[:2]) else "Diminishing."
            failing = less if finding.figures["mean"] < 0 else "More than additive."
            how = {Word.HOLDS: "Additive.", Word.FAILS: failing}.get(finding.word, "")
        words = " ".join([how, finding.words, *(verdict.sentence for verdict in told)]).strip()
        yield replace(finding, word=finding.word if helps else Word.OPEN, words=words)


def stable(arms: Arms) -> Iterator[Finding]:
    """SD over seeds of the test accuracy: with `nn.Dropout` against by hand."""
    for arm, base in pairs(arms, torchs, by_hand):
        ours, theirs = figures(arm, "test_acc").align(figures(base, "test_acc"), join="inner")
        finding = sd_ratio(f"test accuracy of {arm.label}", values(ours), values(theirs), setting(arm))
        yield replace(finding, words=f"{finding.words}. {diverged(arm, base)}".removesuffix(". "))


def no_worse_unscaled(arms: Arms) -> Iterator[Finding]:
    """Test accuracy with unscaled dropout minus with `nn.Dropout`."""
    both = pairs(arms, lambda run: run.variant == "unscaled" and each_its_mask(run), torchs)
    return judged([contrast(*pair, "test_acc") for pair in both], "no less")


def contrast(
    arm: Arm,
    base: Arm,
    name: str,
    sides: Sequence[Figures] = (),
    where: str = "",
    epoch: int | None = None,
    relative: bool = False,
) -> Contrast:
    """Two arms in a figure, at an epoch or in figures of both `sides`; `relative`: in % of the base's."""
    metric = metrics_of(arm.first.task, [name])[name]
    ours, theirs = sides or [figures(side, name, epoch) for side in (arm, base)]
    minus = 100 * (ours / theirs - 1) if relative else ours - theirs
    what = metric.title + where
    scale = f" (% of {base.label}'s)" * relative
    unit = "" if relative else metric.unit
    pair = Pair(arm.label, base.label, values(minus), what + scale, None, unit, diverged(arm, base))
    return Contrast(f"{what} of {arm.label}", setting(arm, epoch), pair)


def setting(arm: Arm, epoch: int | None = None) -> str:
    """On how many images an arm trains, how long, and with what noise."""
    run = arm.first
    images = run.setting("train_size")
    if images == "all":
        images = NUM_TRAIN - run.config.get("validation_size", 0)
    lengths = arm.lengths if arm.curves else (run.config["epochs"],)
    epochs = text(sorted({epoch} if epoch else {*lengths}))
    p, at_input = run.setting("drop_probs"), run.setting("input_drop_prob")
    noise = (f" at p = {text(p)}" + f" and {at_input} of the pixels" * bool(at_input)) * (p is not None)
    return f"{images:,} images × {epochs} epochs{noise}"


def values(by_seed: Figures) -> NDArray[np.float64]:
    """Those of the seeds that both sides have."""
    return np.asarray(by_seed[np.isfinite(by_seed)], dtype=np.float64)


def diverged(*arms: Arm) -> str:
    return " ".join(
        f"{arm.diverged} of {arm.diverged + len(arm.seeds)} runs of {arm.label} diverged and are not counted."
        for arm in arms
        if arm.diverged
    )


def alike(arm: Arm, other: Arm, *but_for: str) -> bool:
    """Whether two arms are of one variant and agree in all settings but these keys."""
    return arm.first.variant == other.first.variant and set(apart(arm, other)) <= set(but_for)


def dropout(run: Run) -> bool:
    return run.variant != "none"


def no_dropout(run: Run) -> bool:
    return run.variant == "none"


def by_hand(run: Run) -> bool:
    return run.variant == "scratch" and each_its_mask(run)


def torchs(run: Run) -> bool:
    return run.variant == "nn"


def each_its_mask(run: Run) -> bool:
    return run.config.get("mask") in (None, "rand")  # as in nn.Dropout, whose runs have no use for the key


def drops(*p: float) -> Callable[[Run], bool]:
    return lambda run: run.setting("drop_probs") == list(p)
