"""What an arm is compared with, and what such a comparison does not show."""

from __future__ import annotations

from collections import defaultdict

from dropexp.arms import Arm
from dropexp.history import text

NOT_SETTINGS = {"seed", "variant", "name", "arm"}  # what tells runs and arms apart without being compared


class ComparisonError(ValueError):
    """A baseline, metric, epoch or requirement that names nothing here; says what it could name."""


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
        plain = [arm for arm in members if arm.first.variant == "none"]
        twins = _twins(members, plain)
        own = {arm.label: twins[arm.label] or plain for arm in members if arm.first.variant != "none"}
        found |= {label: others[0] for label, others in own.items() if len(others) == 1}
        lost = [label for label, others in own.items() if len(others) != 1]
        if len(plain) > 1 and len(plain) == len(members):
            notes.append(
                f"{study}: {len(plain)} arms without dropout and no other; --baseline ARM names one to compare with"
            )
        elif lost and len(members) > 1:
            whose = f"{study}: no arm without dropout" + (f" has the settings of {', '.join(lost)}" if plain else "")
            notes.append(f"{whose}; --baseline ARM names one")
    return found


def _twins(members: list[Arm], plain: list[Arm]) -> dict[str, list[Arm]]:
    """By label the arms without dropout that agree with an arm in every key that both have a use for."""
    keys = sorted({key for arm in members for key in (*arm.first.config, *arm.first.settings)} - NOT_SETTINGS)
    found: dict[str, list[Arm]] = {}
    for variant in dict.fromkeys(arm.first.variant for arm in members):
        alike = [arm for arm in members if arm.first.variant == variant]
        used = [key for key in keys if all(a.first.setting(key) is not None for a in (alike[0], *plain[:1]))]
        by_settings: dict[tuple[str, ...], list[Arm]] = defaultdict(list)
        for other in plain:
            by_settings[tuple(text(other.first.setting(key)) for key in used)].append(other)
        found |= {arm.label: by_settings[tuple(text(arm.first.setting(key)) for key in used)] for arm in alike}
    return found


def apart(arm: Arm, other: Arm) -> list[str]:
    """The keys that both arms use and that differ, seed and variant apart."""
    keys = sorted({*arm.first.config, *arm.first.settings, *other.first.config} - NOT_SETTINGS)
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
