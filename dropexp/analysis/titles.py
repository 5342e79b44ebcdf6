"""The display names of arms: the labels of their config."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from dropexp.analysis.arms import Arm
from dropexp.runs.study_file import Declared


def titles_of(arms: Sequence[Arm], declared: Mapping[str, Sequence[Declared]]) -> dict[str, str]:
    """Return titles by the label of an arm, and by its series; none for arms without a label in their config.

    If several configs define an arm, the first that has labels is used. The result is empty if two arms have the same
    title, or one arm's title is the label of another.
    """
    titles: dict[str, str] = {}
    for arm in arms:
        files = [one for one in declared.get(arm.study, ()) if one.labels and one.defines(arm.first.arm_digest)]
        title = files[0].labels.get(arm.first.base) if files else None
        for label in (arm.label, arm.series):
            study = f"{arm.study}/" if label.startswith(f"{arm.study}/") else ""
            if title and label.startswith(named := f"{study}{arm.first.base}"):
                titles[label] = f"{study}{title}{label.removeprefix(named)}"
    shown = {titles.get(arm.label, arm.label): arm.label for arm in arms}
    are_clear = len(shown) == len(arms) and all(shown.get(arm.label, arm.label) == arm.label for arm in arms)
    return titles if are_clear else {}


def title_of_base(arm: Arm, titles: Mapping[str, str]) -> str:
    """Return an arm's title without its settings: that of its declared arm or variant, which several arms can share."""
    base = arm.first.base
    settings = arm.label.removeprefix(f"{arm.study}/").removeprefix(base)
    return titles.get(arm.label, base).removeprefix(f"{arm.study}/").removesuffix(settings)


def named(arms: Iterable[Arm], titles: Mapping[str, str]) -> list[Arm]:
    """Return the arms labelled with their titles, for sentences about them."""
    return [replace(arm, label=titles.get(arm.label, arm.label)) for arm in arms]
