"""What an arm is compared with, and what such a comparison does not show."""

from __future__ import annotations

from collections import defaultdict

from dropexp.analysis.arms import Arm
from dropexp.config.tasks import FASHION_MNIST, LINEAR_REGRESSION
from dropexp.errors import ComparisonError
from dropexp.runs.record import NO_RUN, Run, text

NOT_SETTINGS = {"seed", "name", "arm"}  # what tells runs and arms apart without being compared
# What the arms of a task are compared for: in words, and the keys that say it.
STUDIED = {
    FASHION_MNIST: ("dropout", {"variant"}),
    LINEAR_REGRESSION: ("weight decay", {"weight_decay", "l1"}),
}


def task_of(runs: list[Run]) -> str:
    """The task of the runs. Raises ComparisonError if they are of several, whose figures are not of one kind."""
    studies: dict[str, dict[str, None]] = {}
    for run in runs:
        if run.status not in NO_RUN:
            studies.setdefault(run.task, {})[run.study] = None
    if len(studies) > 1:
        told = " and ".join(f"{task} ({', '.join(names)})" for task, names in studies.items())
        raise ComparisonError(
            f"these runs are of two tasks, {told}, and cannot be compared; "
            f"name the studies of one, or use {' or '.join(f'--filter task={task}' for task in studies)}"
        )
    return next(iter(studies), FASHION_MNIST)


def baselines(arms: list[Arm], wanted: str | None, notes: list[str]) -> dict[str, Arm]:
    """The baseline of each arm that has one, by its label."""
    if wanted is not None:
        chosen = {arm.label: arm for arm in arms}
        if wanted not in chosen:
            raise ComparisonError(f"no arm {wanted!r} to be the baseline; there are: {', '.join(chosen)}")
        return dict.fromkeys(chosen, chosen[wanted])
    found: dict[str, Arm] = {}
    for study in dict.fromkeys(arm.study for arm in arms):
        members = [arm for arm in arms if arm.study == study]
        plain = [arm for arm in members if _is_plain(arm.first)]
        twins = _twins(members, plain)
        own = {arm.label: twins[arm.label] or plain for arm in members if not _is_plain(arm.first)}
        found |= {label: others[0] for label, others in own.items() if len(others) == 1}
        lost = [label for label, others in own.items() if len(others) != 1]
        what, _ = _studied(members[0].first)
        if len(plain) > 1 and len(plain) == len(members):
            notes.append(
                f"{study}: {len(plain)} arms without {what} and no other; --baseline ARM names one to compare with"
            )
        elif lost and len(members) > 1:
            whose = f"{study}: no arm without {what}" + (f" has the settings of {', '.join(lost)}" if plain else "")
            notes.append(f"{whose}; --baseline ARM names one")
    return found


def _studied(run: Run) -> tuple[str, set[str]]:
    return STUDIED.get(run.task, STUDIED[FASHION_MNIST])


def _is_plain(run: Run) -> bool:
    """Whether a run goes without what its task's arms are compared for."""
    if run.task == LINEAR_REGRESSION:
        return not run.setting("weight_decay") and not run.setting("l1")
    return run.variant == "none"


def _twins(members: list[Arm], plain: list[Arm]) -> dict[str, list[Arm]]:
    """By label the plain arms that agree with an arm in every key that both have a use for and that is not studied."""
    keys = sorted(_keys(*members))
    found: dict[str, list[Arm]] = {}
    for variant in dict.fromkeys(arm.first.variant for arm in members):
        alike = [arm for arm in members if arm.first.variant == variant]
        used = [key for key in keys if all(a.first.setting(key) is not None for a in (alike[0], *plain[:1]))]
        by_settings: dict[tuple[str, ...], list[Arm]] = defaultdict(list)
        for other in plain:
            by_settings[tuple(text(other.first.setting(key)) for key in used)].append(other)
        found |= {arm.label: by_settings[tuple(text(arm.first.setting(key)) for key in used)] for arm in alike}
    return found


def _keys(*arms: Arm) -> set[str]:
    every = {key for arm in arms for key in (*arm.first.config, *arm.first.settings)}
    return every - NOT_SETTINGS - _studied(arms[0].first)[1]


def apart(arm: Arm, other: Arm) -> list[str]:
    """The keys that both arms use and that differ, the seed and what is studied apart."""
    keys = sorted(_keys(arm, other))
    pairs = {key: (arm.first.setting(key), other.first.setting(key)) for key in keys}
    return [key for key, (a, b) in pairs.items() if a is not None and b is not None and a != b]


def caveat(arm: Arm, base: Arm) -> str:
    """What a verdict on two arms does not show, in sentences."""
    said = []
    if keys := apart(arm, base):
        values = (f"{key} ({text(arm.first.setting(key))}, {text(base.first.setting(key))})" for key in keys)
        said.append(f"{arm.label} differs from {base.label} in {', '.join(values)} too.")
    for side in (arm, base):
        if side.diverged:
            runs = side.diverged + len(side.seeds)
            said.append(f"{side.diverged} of {runs} runs of {side.label} diverged and are not counted.")
    return " ".join(said)
