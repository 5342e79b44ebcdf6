"""Claims that only trained runs can judge. Each check takes the arms of a study; differences pair runs by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from dropexp.arms import Arm
from dropexp.baselines import apart
from dropexp.claims.contrasts import Contrast, judged, sd_ratio
from dropexp.claims.finding import Finding
from dropexp.claims.seeds import Figures, figures, first_epoch, layers, least, pairs
from dropexp.claims.studies import NotTrained
from dropexp.history import Run
from dropexp.metrics import MARGIN

Arms = Sequence[Arm]

NATS = 0.01  # the least difference in a loss that matters
PASSES = 50  # so many are said to match weight scaling
EARLY = 10  # an epoch at which a training may well stop


def same_accuracy(arms: Arms) -> Iterator[Finding]:
    """Test accuracy with dropout by hand minus with `nn.Dropout`."""
    both = pairs(arms, by_hand, torchs)
    return judged([contrast("accuracy over seeds", arm, base, "test_acc") for arm, base in both], "equal", MARGIN)


def monte_carlo(arms: Arms) -> Iterator[Finding]:
    """The mean of k noisy passes minus one eval pass of the same net, for the k that is claimed and beyond."""
    probes = [(probe, arm) for arm in arms for probe in arm.first.config.get("probes", [])]
    by_k = {probe["mc"]: arm for probe, arm in probes if isinstance(probe, dict)}
    if max(by_k, default=0) < PASSES:
        raise NotTrained(f"no arm has the probe mc: {PASSES}")
    for metric, what, unit, margin in (("acc", "accuracy", "points", MARGIN), ("loss", "loss", "nats", NATS)):
        minus = {k: figures(by_k[k], f"mc_{metric}") - figures(by_k[k], f"test_{metric}") for k in sorted(by_k)}
        few = ", ".join(f"{d.mean():+.4f} at k = {k}" for k, d in minus.items() if k < PASSES)
        remark = f"With fewer passes the mean is {few}" if few else ""
        found = [Contrast(f"{what} at k = {k}", values(d), unit, remark) for k, d in minus.items() if k >= PASSES]
        yield from judged(found, "equal", margin)


def smaller_weights(arms: Arms) -> Iterator[Finding]:
    """‖W‖ of each layer with dropout minus without: after the same epochs, and at the same train loss."""
    found = []
    for arm, base in pairs(arms, dropout, no_dropout):
        loss = least(arm, "clean_train_loss").combine(least(base, "clean_train_loss"), max)  # both get there
        ours, theirs = (first_epoch(side, "clean_train_loss", loss, rising=False) for side in (arm, base))
        for layer, name in layers(arm, "w", "norm").items():
            found.append(contrast(f"‖W{layer}‖ at equal epoch", arm, base, name, unit=""))
            alike = figures(arm, name, ours) - figures(base, name, theirs)
            found.append(Contrast(f"‖W{layer}‖ at equal train loss", values(alike), remark=diverged(arm, base)))
    return judged(found, "less")


def sparser(arms: Arms) -> Iterator[Finding]:
    """Hidden activations on the test images, in eval mode: the share of zeros, and the mean."""
    both = pairs(arms, dropout, no_dropout)
    zeros, means = (layers(both[0][0], "h", what).items() for what in ("zero", "mean"))
    yield from judged([contrast(f"zeros in h{i}", *pair, name) for pair, (i, name) in product(both, zeros)], "more")
    found = [contrast(f"mean of h{i}", *pair, name, unit="") for pair, (i, name) in product(both, means)]
    yield from judged(found, "less")


def smaller_gap(arms: Arms) -> Iterator[Finding]:
    """Train accuracy in eval mode minus test accuracy: with dropout minus without."""
    found = [contrast(arm.label, arm, base, "gap") for arm, base in pairs(arms, dropout, no_dropout)]
    return judged(found, "less", MARGIN)


def better(arms: Arms) -> Iterator[Finding]:
    """Test accuracy with dropout minus without, at the last epoch."""
    found = [contrast(arm.label, arm, base, "test_acc") for arm, base in pairs(arms, dropout, no_dropout)]
    return judged(found, "more", MARGIN)


def better_early_and_late(arms: Arms) -> Iterator[Finding]:
    """The same, after 10 epochs and after the last."""
    both = pairs(arms, dropout, no_dropout)
    epochs = sorted({EARLY, min(side.lengths[0] for pair in both for side in pair)})
    found = [contrast(f"{n} epochs", arm, base, "test_acc", n) for (arm, base), n in product(both, epochs)]
    return judged(found, "more", MARGIN)


def lower_at_input(arms: Arms) -> Iterator[Finding]:
    """Test accuracy with the lower drop probability near the input minus with the two swapped."""
    both = pairs(arms, drops(0.2, 0.5), drops(0.5, 0.2), but_for={"drop_probs"})
    found = [
        contrast("0.2, 0.5 against 0.5, 0.2", arm, base, "test_acc")
        for arm, base in both
        if arm.first.variant == base.first.variant
    ]
    return judged(found, "more", MARGIN)


def slower(arms: Arms) -> Iterator[Finding]:
    """Epochs with dropout minus without, to the test accuracy that the seed's run without dropout has at epoch 10.

    A run that does not get there counts as one epoch more than it has.
    """
    found = []
    for arm, base in pairs(arms, dropout, no_dropout):
        aim = figures(base, "test_acc", EARLY)
        ours, theirs = (first_epoch(side, "test_acc", aim, rising=True) for side in (arm, base))
        never = int(ours[aim.index.intersection(ours.index)].isna().sum())
        remark = f"{never} runs of {arm.label} did not get there in {arm.lengths[1]} epochs" if never else ""
        more = ours.fillna(arm.lengths[1] + 1) - theirs
        found.append(Contrast(f"to the accuracy of epoch {EARLY}", values(more), "epochs", remark))
    return judged(found, "more")


def additive(arms: Arms) -> Iterator[Finding]:
    """(both − weight decay) − (dropout − neither) in test accuracy: 0 where the two effects add up."""
    effects = [
        (arm, figures(arm, "test_acc") - figures(base, "test_acc")) for arm, base in pairs(arms, dropout, no_dropout)
    ]
    found = [
        Contrast("interaction", values(with_decay - alone), "points", diverged(arm, other))
        for arm, with_decay in effects
        for other, alone in effects
        if not other.first.setting("weight_decay") and apart(arm, other) == ["weight_decay"]
    ]
    if not found:
        raise NotTrained("dropout and weight decay, alone and together, are not all there")
    return judged(found, "equal", MARGIN)


def stable(arms: Arms) -> Iterator[Finding]:
    """SD over seeds of the test accuracy: with `nn.Dropout` against by hand."""
    for arm, base in pairs(arms, torchs, by_hand):
        ours, theirs = figures(arm, "test_acc").align(figures(base, "test_acc"), join="inner")
        yield sd_ratio("test accuracy", values(ours), values(theirs))


def same_unscaled(arms: Arms) -> Iterator[Finding]:
    """Test accuracy with unscaled dropout minus with `nn.Dropout`."""
    both = pairs(arms, lambda run: run.variant == "unscaled", torchs)
    return judged([contrast(arm.label, arm, base, "test_acc") for arm, base in both], "equal", MARGIN)


def contrast(what: str, arm: Arm, base: Arm, name: str, epoch: int | None = None, unit: str = "points") -> Contrast:
    minus = figures(arm, name, epoch) - figures(base, name, epoch)
    return Contrast(what, values(minus), unit, diverged(arm, base))


def values(by_seed: Figures) -> NDArray[np.float64]:
    """Those of the seeds that both sides have."""
    return np.asarray(by_seed.dropna(), dtype=np.float64)


def diverged(*arms: Arm) -> str:
    told = (f"{arm.diverged} runs of {arm.label} diverged and are not counted" for arm in arms if arm.diverged)
    return "; ".join(told)


def dropout(run: Run) -> bool:
    return run.variant != "none"


def no_dropout(run: Run) -> bool:
    return run.variant == "none"


def by_hand(run: Run) -> bool:
    return run.variant == "scratch"


def torchs(run: Run) -> bool:
    return run.variant == "nn"


def drops(*p: float) -> Callable[[Run], bool]:
    return lambda run: run.setting("drop_probs") == list(p)
