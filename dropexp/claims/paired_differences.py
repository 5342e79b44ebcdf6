"""Contrasts: paired differences of two arms, and whether they, or a ratio of SDs, are as a claim expects."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from dropexp.analysis.anomalies import broken_runs
from dropexp.analysis.arms import Arm
from dropexp.analysis.baselines import differing_keys
from dropexp.analysis.sentences import amount, sentence
from dropexp.analysis.stats import ALPHA
from dropexp.analysis.verdicts import Pair, Verdict, VerdictWord, judge
from dropexp.claims.claim import ClaimVerdict, Finding
from dropexp.claims.figures_by_seed import BySeed, figures
from dropexp.claims.trained_studies import MISSING_ARMS, NotTrained
from dropexp.runs.metrics import MARGIN, NUMBER, metrics_of
from dropexp.runs.record import Run, text

Expected = Literal["more", "less", "equal", "no less", "no more"]

MORE, LESS = {VerdictWord.HIGHER}, {VerdictWord.LOWER}
EQUAL = {VerdictWord.EQUIVALENT, VerdictWord.NEGLIGIBLE}
# What is expected: the verdicts with which the claim holds, and those with which it fails. With all others it is open.
DECISIVE: dict[Expected, tuple[set[VerdictWord], set[VerdictWord]]] = {
    "more": (MORE, LESS | EQUAL),
    "less": (LESS, MORE | EQUAL),
    "equal": (EQUAL, MORE | LESS),
    "no less": (MORE | EQUAL, LESS),
    "no more": (LESS | EQUAL, MORE),
}
MIN_SEEDS_FOR_SPREAD = 10
EQUAL_RATIO = 5 / 4  # SDs whose ratio is between this and its inverse count as equal


def matched_pairs(
    arms: Sequence[Arm], one: Callable[[Run], bool], other: Callable[[Run], bool], except_keys: Collection[str] = ()
) -> list[tuple[Arm, Arm]]:
    """Return all pairs of arms of two kinds that agree in all settings but the variant and `except_keys`.

    Raises NotTrained if there is none.
    """
    kinds = [(a, b) for a in arms if one(a.first) for b in arms if other(b.first)]
    found = [(a, b) for a, b in kinds if set(differing_keys(a, b)) <= set(except_keys)]
    if not found:
        raise NotTrained(MISSING_ARMS)
    return found


def differ_at_most_in(arm: Arm, other: Arm, key: str) -> bool:
    """Return whether two arms are of one variant and agree in all settings but `key`."""
    return arm.first.variant == other.first.variant and set(differing_keys(arm, other)) <= {key}


@dataclass(frozen=True)
class Contrast:
    """A difference that a claim is about, and the setting of the runs."""

    subject: str
    setting: str
    pair: Pair


def contrast(
    arm: Arm,
    base: Arm,
    name: str,
    sides: Sequence[BySeed] = (),
    where: str = "",
    epoch: int | None = None,
    relative: bool = False,
) -> Contrast:
    """Return the contrast of two arms in the figure `name` at an epoch, by default the last.

    `sides` are the figures of both if they are not those of one epoch, and `where` names them in words. `relative`:
    differences are in % of the base's figure.
    """
    metric = metrics_of(arm.first.task, [name])[name]
    ours, theirs = sides or [figures(side, name, epoch) for side in (arm, base)]
    what = metric.title + where
    pair = Pair(
        arm=arm.label,
        baseline=base.label,
        differences=values(100 * (ours / theirs - 1) if relative else ours - theirs),
        what=f"{what} (% of {base.label}'s)" if relative else what,
        higher_is_better=None,
        unit=NUMBER if relative else metric.unit,
        broken=broken_runs(arm, base),
    )
    return Contrast(f"{what} of {arm.label}", setting(arm, epoch), pair)


def setting(arm: Arm, epoch: int | None = None) -> str:
    """Describe how an arm is trained: images, epochs, drop probabilities."""
    run = arm.first
    lengths = {arm.min_epochs, arm.max_epochs} if arm.runs else {run.config["epochs"]}
    epochs = "-".join(map(str, sorted({epoch} if epoch else lengths)))
    described = f"{arm.value('train_size'):,} images × {epochs} epochs"
    if run.setting("drop_probs") is not None:
        described += f" at p = {text(run.setting('drop_probs'))}"
        if at_input := run.setting("input_drop_prob"):
            described += f" and {at_input} of the pixels"
    return described


def values(by_seed: BySeed) -> NDArray[np.float64]:
    """Return the figures of the seeds that both sides have."""
    return np.asarray(by_seed[np.isfinite(by_seed)], dtype=np.float64)


def judge_contrasts(contrasts: Sequence[Contrast], expected: Expected, margin: float = MARGIN) -> Iterator[Finding]:
    """Return a finding per contrast, judged as one family like `dropexp compare` does."""
    verdicts = judge([contrast.pair for contrast in contrasts], margin)
    return (_finding(*judged, expected) for judged in zip(contrasts, verdicts, strict=True))


def _finding(contrast: Contrast, verdict: Verdict, expected: Expected) -> Finding:
    """Return whether a difference is as expected.

    "no less" and "no more" also hold if the whole 95 % interval excludes a difference of the margin the wrong way, and
    no run diverged or is at chance level.
    """
    holding, failing = DECISIVE[expected]
    found = ClaimVerdict.OPEN
    if verdict.word in holding:
        found = ClaimVerdict.HOLDS
    elif verdict.word in failing:
        found = ClaimVerdict.FAILS
    difference, evidence = verdict.difference, sentence(verdict)
    worst = {"no less": -verdict.margin, "no more": verdict.margin}.get(expected)
    if found is ClaimVerdict.OPEN and worst is not None and not contrast.pair.broken:
        excluded = difference.low > worst if expected == "no less" else difference.high < worst
        if excluded:
            found = ClaimVerdict.HOLDS
            evidence += f" But the interval excludes a difference of {amount(worst, contrast.pair.unit)}."
    figures = {
        "mean": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "p": verdict.p_holm,
        "p_equal": verdict.p_equivalent_holm,
        "n": difference.pairs,
    }
    return Finding(contrast.subject, found, evidence, figures, contrast.setting)


def sd_ratio(subject: str, a: NDArray[np.float64], b: NDArray[np.float64], setting: str = "") -> Finding:
    """Return whether a (n,) varies less than b (n,), which is paired with it by seed; both normally distributed.

    The interval of SD(a)/SD(b) is that of Pitman (1939) and Morgan (1939) for correlated values: the square root of
    (s_a²/s_b²)·(K ± √(K² − 1)), K = 1 + 2·(1 − r²)·t²/(n − 2). HOLDS: the 95 % interval is below 1. FAILS: it is
    above, or the 90 % interval, which is two one-sided tests at 5 %, is between 4/5 and 5/4. OPEN: everything else,
    and always below ten seeds.
    """
    n = len(a)
    if n < MIN_SEEDS_FOR_SPREAD or not (a.std() > 0 and b.std() > 0):
        why = f"n = {n}: comparing SDs needs {MIN_SEEDS_FOR_SPREAD} seeds or more, and both SDs above 0"
        return Finding(subject, ClaimVerdict.OPEN, why, {"n": n}, setting)
    ratio, r = float(a.std() / b.std()), float(np.corrcoef(a, b)[0, 1])

    def interval(alpha: float) -> tuple[float, float]:
        K = 1 + 2 * max(0.0, 1 - r**2) * float(stdtrit(n - 2, 1 - alpha / 2)) ** 2 / (n - 2)
        return ratio * math.sqrt(K - math.sqrt(K**2 - 1)), ratio * math.sqrt(K + math.sqrt(K**2 - 1))

    (low, high), (low_90, high_90) = interval(ALPHA), interval(2 * ALPHA)
    equal = low_90 > 1 / EQUAL_RATIO and high_90 < EQUAL_RATIO
    found = ClaimVerdict.OPEN
    if high < 1:
        found = ClaimVerdict.HOLDS
    elif low > 1 or equal:
        found = ClaimVerdict.FAILS
    bounds = f"equal within {1 / EQUAL_RATIO:g} to {EQUAL_RATIO:g}"
    evidence = (
        f"SD {ratio:.2f} times as large, 95 % interval [{low:.2f}, {high:.2f}], 90 % [{low_90:.2f}, {high_90:.2f}], "
        f"n = {n}, normality assumed; {bounds if equal else f'{bounds} is not shown'}"
    )
    return Finding(subject, found, evidence, {"mean": ratio, "low": low, "high": high, "n": n}, setting)
