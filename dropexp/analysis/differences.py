"""Compare arms with their baselines, run by run: paired differences, tests, verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from dropexp.analysis.anomalies import broken_runs
from dropexp.analysis.arms import Arm
from dropexp.analysis.baselines import differing_keys, studied_by
from dropexp.analysis.frames import frame_of
from dropexp.analysis.notes import Noted
from dropexp.analysis.plan_new_study import NewStudy
from dropexp.analysis.sentences import sentence
from dropexp.analysis.titles import named
from dropexp.analysis.two_way import half_widths
from dropexp.analysis.verdicts import Pair, Verdict, judge
from dropexp.runs.metrics import Metric
from dropexp.runs.record import text

MAX_CAVEATS = 3


@dataclass(frozen=True)
class DifferenceRow:
    """An arm minus its baseline, paired by seed; unknown figures are NaN or None.

    difference, low, high  mean difference and its 95 % t-interval, over the seeds
    kept                   whether all these runs have kept their predictions of the epoch that is compared
    images_low,            the 95 % interval over the seeds and the test images, of accuracies and losses on these; NaN
    images_high            where predictions are not kept
    p, p_holm              of the sign-flip test, and the same adjusted by Holm over all rows
    wins                   share of pairs in which the arm is better (or higher, without a better direction), ties half
    p_equivalent           TOST p, against the margin
    p_equivalent_holm      the same, adjusted by Holm over all rows
    detectable             minimum detectable difference: the smallest margin for which these pairs have 80 % power to
                           detect a true difference of the margin
    pairs_needed           how many pairs have 80 % power to detect a true difference of the margin, and the 95 %
                           interval of this number: pairs_needed_low, pairs_needed_high; None above 10⁹
    """

    arm: str
    baseline: str
    pairs: int
    difference: float
    low: float
    high: float
    kept: bool
    images_low: float
    images_high: float
    p: float
    p_holm: float
    wins: float
    p_equivalent: float
    p_equivalent_holm: float
    detectable: float
    pairs_needed: int | None
    pairs_needed_low: int | None
    pairs_needed_high: int | None
    verdict: str
    sentence: str


@dataclass(frozen=True)
class Differences:
    """A `DifferenceRow` per difference, the verdicts on them, and the display names of those in the frame."""

    frame: pd.DataFrame
    verdicts: list[Verdict]
    titles: Mapping[str, str] = field(default_factory=dict)


def differences_of(
    arms: Sequence[Arm],
    baselines: Mapping[str, Arm],
    new_studies: Mapping[str, NewStudy],
    metric: Metric,
    what: str,
    margin: float,
    titles: Mapping[str, str],
) -> Noted[Differences]:
    """Compare each arm that has a baseline with it; the notes name unpaired runs and unmatched settings.

    `new_studies` are by study, and `titles` by label: what sentences call the arms.
    """
    compared = [(arm, base) for arm in arms if (base := baselines.get(arm.label, arm)) is not arm]
    pairs = [
        replace(
            _pair(arm, base, metric, what, titles),
            new_study=new_studies[arm.study] if arm.study == base.study else None,
        )
        for arm, base in compared
    ]
    widths = half_widths(compared, metric.name)
    verdicts = judge(pairs, margin)
    rows = [_row(verdict, half, titles) for verdict, half in zip(verdicts, widths.value, strict=True)]
    notes = [note for sides in compared for note in _unpaired(*named(sides, titles))]
    notes += _caveats(pairs, arms)
    return Noted(Differences(_frame(rows), verdicts), [*notes, *_only_these_images(rows, titles), *widths.notes])


def frame_of_verdicts(verdicts: Sequence[Verdict], titles: Mapping[str, str]) -> pd.DataFrame:
    """Return a `DifferenceRow` per verdict, without the columns of the interval over seeds and images."""
    frame = _frame([_row(verdict, None, titles) for verdict in verdicts])
    return frame.drop(columns=["kept", "images_low", "images_high"])


def _frame(rows: Sequence[DifferenceRow]) -> pd.DataFrame:
    frame = frame_of(rows, DifferenceRow)
    return frame.astype({name: "Int64" for name in frame.columns if name.startswith("pairs")})


def _pair(arm: Arm, base: Arm, metric: Metric, what: str, titles: Mapping[str, str]) -> Pair:
    shown = named((arm, base), titles)
    common = [seed for seed in arm.seeds if seed in base.runs]
    ours, theirs = (np.array([side.runs[seed].figure(metric.name) for seed in common]) for side in (arm, base))
    known = np.isfinite(ours) & np.isfinite(theirs)
    absent = f"no pair of runs has a {metric.title}" if common else "the arms have no seed in common"
    if missing := [side.label for side in shown if not side.seeds]:
        absent = f"no run of {' and '.join(missing)} is done"
    return Pair(
        arm=arm.label,
        baseline=base.label,
        differences=ours[known] - theirs[known],
        what=what,
        higher_is_better=metric.higher_is_better,
        unit=metric.unit,
        caveat=_caveat(*shown),
        absent=absent,
        broken=broken_runs(*shown),
    )


def _caveat(arm: Arm, base: Arm) -> str:
    """Name the other settings that differ."""
    keys = differing_keys(arm, base)
    values = (f"{key} ({text(arm.first.setting(key))}, {text(base.first.setting(key))})" for key in keys)
    return f"{arm.label} also differs from {base.label} in {', '.join(values)}." if keys else ""


def _caveats(pairs: Sequence[Pair], arms: Sequence[Arm]) -> list[str]:
    """Return the caveats of pairs; if there are many, only their number."""
    caveats = [pair.caveat for pair in pairs if pair.caveat]
    if len(caveats) <= MAX_CAVEATS:
        return caveats
    more = f"more than {studied_by(arms[0]).title}"
    return [f"{len(caveats)} arms differ from their baselines in {more}: see the settings that differ"]


def _unpaired(arm: Arm, base: Arm) -> list[str]:
    notes = []
    for side, other in ((arm, base), (base, arm)):
        if seeds := [str(seed) for seed in side.seeds if seed not in other.runs]:
            notes.append(f"{arm.label} - {base.label}: unpaired, only in {side.label}: seed {', '.join(seeds)}")
    return notes


def _only_these_images(rows: Sequence[DifferenceRow], titles: Mapping[str, str]) -> list[str]:
    """Name the differences that new test images may not show, although new seeds would."""
    return [
        f"{' - '.join(titles.get(name, name) for name in (row.arm, row.baseline))}: the interval over seeds excludes "
        "0, but not the one over seeds and test images: other test images may show no difference"
        for row in rows
        if row.low * row.high > 0 and row.images_low * row.images_high <= 0
    ]


def _row(verdict: Verdict, half: float | None, titles: Mapping[str, str]) -> DifferenceRow:
    """`half` is half the width of the interval over seeds and test images, None if no predictions are kept."""
    mean = verdict.difference.mean
    return DifferenceRow(
        arm=verdict.pair.arm,
        baseline=verdict.pair.baseline,
        pairs=verdict.difference.pairs,
        difference=mean,
        low=verdict.difference.low,
        high=verdict.difference.high,
        kept=half is not None,
        images_low=math.nan if half is None else mean - half,
        images_high=math.nan if half is None else mean + half,
        p=verdict.p,
        p_holm=verdict.p_holm,
        wins=verdict.wins,
        p_equivalent=verdict.p_equivalent,
        p_equivalent_holm=verdict.p_equivalent_holm,
        detectable=verdict.detectable,
        pairs_needed=verdict.needed.pairs,
        pairs_needed_low=verdict.needed.low,
        pairs_needed_high=verdict.needed.high,
        verdict=str(verdict.word),
        sentence=sentence(verdict, titles),
    )
