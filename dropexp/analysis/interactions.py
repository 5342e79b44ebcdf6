"""Interactions of two config keys: differences of differences, paired by seed.

Of a square of arms (`interaction_squares.py`), the interaction is (both − second) − (first − neither): the effect of
the first key at another value of the second key, minus its effect at the reference value. It is 0 if the two effects
add up, and stays the same if the keys are exchanged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dropexp.analysis.anomalies import broken_runs
from dropexp.analysis.arms import Arm
from dropexp.analysis.differences import Differences, frame_of_verdicts
from dropexp.analysis.interaction_squares import Square, check_keys, squares_of
from dropexp.analysis.notes import Noted
from dropexp.analysis.plan_new_study import NewStudy
from dropexp.analysis.sentences import amount
from dropexp.analysis.stats import mean
from dropexp.analysis.titles import named
from dropexp.analysis.verdicts import Pair, judge
from dropexp.errors import ComparisonError
from dropexp.runs.metrics import Metric


def interactions_of(
    arms: Sequence[Arm],
    keys: Sequence[str],
    reference: Arm | None,
    new_studies: Mapping[str, NewStudy],
    metric: Metric,
    what: str,
    margin: float,
    titles: Mapping[str, str],
) -> Noted[Differences]:
    """Judge the interaction of each square of arms, as one family; none without keys.

    In the frame, `arm` and `baseline` are differences of arms, and two more columns have their means: `effect` and
    `baseline_effect`. `titles` are by label; sentences and notes use them. The notes name arms and seeds that are left
    out. Raises ComparisonError for an unknown key, and if there is no square.
    """
    squares = squares_of(arms, check_keys(arms, keys), titles, reference) if keys else Noted([], [])
    if keys and not squares.value:
        found = f"no interaction of {' and '.join(keys)}: no four arms differ only in these keys"
        raise ComparisonError("\n".join([found, *squares.notes]))
    pairs = [
        replace(interaction(square, metric, what, titles), new_study=new_studies[square.both.study])
        for square in squares.value
    ]
    verdicts = judge(pairs, margin)
    side_titles = {
        name: title
        for square in squares.value
        for name, title in zip(_sides(square, {}), _sides(square, titles), strict=True)
    }
    frame = frame_of_verdicts(verdicts, side_titles)
    effects = [[mean(effect) for effect in effects_of(square, metric)] for square in squares.value]
    for i, name in enumerate(("effect", "baseline_effect")):
        frame.insert(3 + i, name, [effect[i] for effect in effects])
    unpaired = [note for square in squares.value for note in _unpaired(square, titles)]
    return Noted(Differences(frame, verdicts, side_titles), [*squares.notes, *unpaired])


def _sides(square: Square, titles: Mapping[str, str]) -> tuple[str, str]:
    """Return the names of the two differences, or their display names."""
    both, second, first, neither = (titles.get(arm.label, arm.label) for arm in square.arms)
    return f"{both} − {second}", f"{first} − {neither}"


def interaction(square: Square, metric: Metric, what: str, titles: Mapping[str, str]) -> Pair:
    """Return `both − second` and its baseline `first − neither`, whose differences are the interaction by seed.

    It has no better direction: a higher one can be a larger gain or a smaller loss. The caveat has the two effects.
    """
    effect, baseline_effect = effects_of(square, metric)
    shown = named(square.arms, titles)
    absent = f"no seed has a {metric.title} in all four arms"
    if missing := [arm.label for arm in shown if not arm.seeds]:
        absent = f"no run of {' and '.join(missing)} is done"
    effects = " and ".join(amount(mean(one), metric.unit) for one in (effect, baseline_effect))
    arm, baseline = _sides(square, {})
    return Pair(
        arm=arm,
        baseline=baseline,
        differences=effect - baseline_effect,
        what=what,
        higher_is_better=None,
        unit=metric.unit,
        caveat=f"The two differences are {effects}." if effect.size else "",
        absent=absent,
        broken=broken_runs(*shown),
    )


def effects_of(square: Square, metric: Metric) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both − second and first − neither of the seeds that have the metric in all four arms, shapes (n,)."""
    common = [seed for seed in square.both.seeds if all(seed in arm.runs for arm in square.arms)]
    figures = np.array([[arm.runs[seed].figure(metric.name) for seed in common] for arm in square.arms])
    both, second, first, neither = figures[:, np.isfinite(figures).all(axis=0)]
    return both - second, first - neither


def _unpaired(square: Square, titles: Mapping[str, str]) -> list[str]:
    counts = Counter(seed for arm in square.arms for seed in arm.seeds)
    if left_out := sorted(seed for seed, count in counts.items() if count < len(square.arms)):
        not_in_all = f"unpaired, not in all four arms: seed {', '.join(map(str, left_out))}"
        arm, baseline = _sides(square, titles)
        return [f"({arm}) − ({baseline}): {not_in_all}"]
    return []
