"""Find the baseline of each arm: the arm without dropout, or without weight decay, that shares its settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from dropexp.analysis.arms import Arm
from dropexp.analysis.notes import Noted
from dropexp.config.names import normalised
from dropexp.config.tasks import FASHION_MNIST, LINEAR_REGRESSION
from dropexp.did_you_mean import did_you_mean
from dropexp.errors import ComparisonError
from dropexp.runs.record import Run, text
from dropexp.runs.state_names import NO_RUN

MAX_SUGGESTED = 4  # arms to suggest whose names start with the requested one
NOT_SETTINGS = {"seed", "name", "arm"}  # keys that identify runs and arms


class Studied(NamedTuple):
    """The subject of the studies of a task: in words, and the config keys that set it."""

    title: str
    keys: Set[str]


_STUDIED = {
    FASHION_MNIST: Studied("dropout", {"variant"}),
    LINEAR_REGRESSION: Studied("weight decay", {"weight_decay", "l1"}),
}


def studied_by(arm: Arm) -> Studied:
    """Return what the task of an arm studies."""
    return _STUDIED.get(arm.first.task, _STUDIED[FASHION_MNIST])


def task_of(runs: Iterable[Run]) -> str:
    """Return the task of the runs. Raises ComparisonError if they have several, whose figures are not comparable."""
    studies: dict[str, dict[str, None]] = {}
    for run in runs:
        if run.status not in NO_RUN:
            studies.setdefault(run.task, {})[run.study] = None
    if len(studies) > 1:
        tasks = " and ".join(f"{task} ({', '.join(names)})" for task, names in studies.items())
        raise ComparisonError(
            f"runs of different tasks cannot be compared: {tasks}; "
            f"name the studies of one task, or use {' or '.join(f'--filter task={task}' for task in studies)}"
        )
    return next(iter(studies), FASHION_MNIST)


def baselines_of(arms: Sequence[Arm], wanted: str | None, titles: Mapping[str, str]) -> Noted[dict[str, Arm]]:
    """Return the baseline of each arm that has one, by the arm's label: the arm `wanted`, or the matching one.

    `titles` are by label. `wanted` is a label or a title; if it is both, the label counts. The notes have titles.
    Raises ComparisonError if no arm is called `wanted`.
    """
    if wanted is not None:
        by_label = {arm.label: arm for arm in arms}
        by_name = {titles.get(label, label): arm for label, arm in by_label.items()} | by_label
        wanted = normalised(wanted)
        if wanted not in by_name:
            matching = [repr(name) for name in by_name if name.startswith(wanted)]
            several = f" (did you mean {' or '.join(matching)}?)" if 1 < len(matching) <= MAX_SUGGESTED else ""
            similar = several or did_you_mean(wanted, by_name)
            raise ComparisonError(f"unknown baseline {wanted!r}{similar}; the arms are: {', '.join(by_label)}")
        return Noted(dict.fromkeys(by_label, by_name[wanted]), [])
    studies: dict[str, list[Arm]] = defaultdict(list)
    for arm in arms:
        studies[arm.study].append(arm)
    found = [_matching(study, members, titles) for study, members in studies.items()]
    return Noted(
        {label: baseline for one in found for label, baseline in one.value.items()},
        [note for one in found for note in one.notes],
    )


def _matching(study: str, members: list[Arm], titles: Mapping[str, str]) -> Noted[dict[str, Arm]]:
    """Return the baselines of a study's arms: the matched baseline, or else the only candidate."""
    candidates = [arm for arm in members if _is_baseline(arm.first)]
    matched = _matched_baselines(members, candidates)
    choices = {arm.label: matched[arm.label] or candidates for arm in members if not _is_baseline(arm.first)}
    found = {label: choice[0] for label, choice in choices.items() if len(choice) == 1}
    without = [label for label in choices if label not in found]
    studied = studied_by(members[0]).title
    if len(candidates) > 1 and not choices:
        note = f"{study}: all {len(candidates)} arms are without {studied}"
        return Noted(found, [f"{note}; choose a baseline with --baseline ARM"])
    if without and len(members) > 1:
        names = ", ".join(titles.get(label, label) for label in without)
        which = f" has the settings of {names}" if candidates else ""
        return Noted(found, [f"{study}: no arm without {studied}{which}; choose a baseline with --baseline ARM"])
    return Noted(found, _notes_on_left_out(study, candidates, found, titles))


def _notes_on_left_out(
    study: str, candidates: list[Arm], found: Mapping[str, Arm], titles: Mapping[str, str]
) -> list[str]:
    """Return a note on candidates that are not the baseline of any arm: no difference includes them."""
    used = {baseline.label for baseline in found.values()}
    left_out = [titles.get(arm.label, arm.label) for arm in candidates if arm.label not in used]
    if not left_out or not used:
        return []
    studied = studied_by(candidates[0]).title
    is_compared = "is compared with no arm" if len(left_out) == 1 else "are compared with no arm"
    arms = f"{', '.join(left_out)} without {studied} {is_compared}"
    return [f"{study}: {arms}; --baseline ARM compares every arm with that one"]


def _is_baseline(run: Run) -> bool:
    """Return whether a run has no dropout or, in linear regression, no weight decay and no L1 penalty."""
    if run.task == LINEAR_REGRESSION:
        return not run.setting("weight_decay") and not run.setting("l1")
    return run.variant == "none"


def _matched_baselines(members: list[Arm], candidates: list[Arm]) -> dict[str, list[Arm]]:
    """Return by label the candidates that agree with an arm in every key that both use and that is not studied."""
    keys = sorted(_comparable_keys(*members))
    found: dict[str, list[Arm]] = {}
    for variant in dict.fromkeys(arm.first.variant for arm in members):
        same_variant = [arm for arm in members if arm.first.variant == variant]
        users = [arm.first for arm in (same_variant[0], *candidates[:1])]
        used = [key for key in keys if all(run.setting(key) is not None for run in users)]
        by_settings: dict[tuple[str, ...], list[Arm]] = defaultdict(list)
        for candidate in candidates:
            by_settings[_settings(candidate, used)].append(candidate)
        found |= {arm.label: by_settings[_settings(arm, used)] for arm in same_variant}
    return found


def _settings(arm: Arm, keys: list[str]) -> tuple[str, ...]:
    return tuple(text(arm.first.setting(key)) for key in keys)


def _comparable_keys(*arms: Arm) -> set[str]:
    keys = {key for arm in arms for key in (*arm.first.config, *arm.first.settings)}
    return keys - NOT_SETTINGS - studied_by(arms[0]).keys


def differing_keys(arm: Arm, other: Arm) -> list[str]:
    """Return the keys that both arms use and that differ, apart from the seed and what is studied."""
    values = {key: (arm.first.setting(key), other.first.setting(key)) for key in sorted(_comparable_keys(arm, other))}
    return [key for key, (a, b) in values.items() if a is not None and b is not None and a != b]
