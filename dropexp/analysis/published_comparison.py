"""Compare the figures that a source printed with ours.

A source prints one run, rounded. Each figure is compared with the 95 % prediction interval of one run of ours;
`published_likelihood.py` computes which arm all figures together fit best.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from dropexp.analysis.arms import Arm
from dropexp.analysis.notes import Noted
from dropexp.analysis.stats import prediction_interval, spread
from dropexp.runs.folder import RunFolder
from dropexp.runs.study_file import STUDY, Declared


@dataclass(frozen=True)
class Printed:
    """One printed figure, on our scale."""

    figure: str  # a column of epochs.csv
    epoch: int | None  # None: the last epoch, of a figure that the source gives once
    value: float
    rounding: float  # half a unit of its last decimal
    arm: str | None = None  # the only arm that it belongs to, as the config declares it; None: all arms of the source


@dataclass(frozen=True)
class Source:
    """The figures that a study's config attributes to a source, and the arms they are compared with."""

    study: str
    name: str | None
    printed: list[Printed]
    arms: list[Arm]


@dataclass(frozen=True)
class PublishedRow:
    """A printed figure beside an arm's n runs: their mean, SD and 95 % prediction interval for one run.

    rounding  half a unit of the last printed decimal
    inside    whether the source's figure, before rounding, can be in the interval; None where that is unknown
    """

    arm: str
    figure: str
    epoch: int
    published: float
    rounding: float
    n: int
    mean: float
    sd: float
    low: float
    high: float
    inside: bool | None
    source: str | None


def sources_of(arms: Sequence[Arm], declared: Mapping[str, Sequence[Declared]]) -> Noted[list[Source]]:
    """Return the sources of each study with published figures; the notes name figures that the runs lack.

    `declared` has, by study, what its config files declare. A file's figures belong to the arms that it defines.
    """
    measured = {name for arm in arms for run in arm.runs.values() for name in run.curves}
    sources, notes = [], []
    for study, files in declared.items():
        for file in files:
            members = [arm for arm in arms if arm.study == study and file.defines(arm.first.arm_digest)]
            if not file.published or not members:
                continue
            section = check_published(file.published, members[0].first.folder)
            notes += section.notes
            if not section.value:
                continue
            chosen = _arms_of_source(section.value, members, file.labels)
            notes += chosen.notes
            printed = _printed(section.value)
            if missing := sorted({p.figure for p in printed} - measured if measured else ()):
                notes.append(f"{study}: no run has the published {', '.join(missing)}")
            known = [p for p in printed if p.figure in measured]
            sources.append(Source(study, section.value.get("source"), known, chosen.value))
    return Noted(sources, notes)


def check_published(section: Mapping[str, Any], run: RunFolder) -> Noted[dict[str, Any]]:
    """Return the `published` section of a run's study; nothing, and a note, if it is not valid."""
    from pydantic import ValidationError  # slow to import, and few studies have such a section

    from dropexp.config.published_section import Published

    try:
        return Noted(Published.model_validate(section).model_dump(exclude_defaults=True), [])
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, one["loc"])) or one["msg"] for one in error.errors())
        what = f"{run.path.parent / STUDY} is corrupted ({wrong}): its published figures are left out"
        return Noted({}, [f"{what}; `dropexp train` rewrites it"])


def _arms_of_source(section: Mapping[str, Any], members: list[Arm], labels: Mapping[str, str]) -> Noted[list[Arm]]:
    """Return the arms that the section names, by label or as declared; all arms of the study if it names none."""
    study = members[0].study
    by_label = {arm.label.removeprefix(f"{study}/"): arm for arm in members}
    named = section.get("arm") or list(by_label)
    found: dict[str, Arm] = {}
    notes = []
    for name in [named] if isinstance(named, str) else named:
        matching = {label: arm for label, arm in by_label.items() if name in (label, arm.first.base) and arm.runs}
        found |= matching
        if not matching:
            owner = labels.get(name, name)
            notes.append(f"{study}: the published figures belong to {owner!r}, which has no finished run")
    return Noted(list(found.values()), notes)


def published_rows(source: Source) -> list[PublishedRow]:
    """Return a row per arm and printed figure."""
    return [
        _row(arm, printed, source.name)
        for arm in source.arms
        for printed in source.printed
        if printed.arm in (None, arm.first.base)
    ]


def _row(arm: Arm, printed: Printed, source: str | None) -> PublishedRow:
    epoch = printed.epoch or arm.min_epochs
    ours = arm.by_epoch(printed.figure)[epoch - 1] if epoch <= arm.min_epochs else np.array([])
    ours = ours[np.isfinite(ours)]
    summary, interval = spread(ours), prediction_interval(ours)
    return PublishedRow(
        arm=arm.label,
        figure=printed.figure,
        epoch=epoch,
        published=printed.value,
        rounding=printed.rounding,
        n=summary.n,
        mean=summary.mean,
        sd=summary.sd,
        low=interval.low,
        high=interval.high,
        inside=interval.contains(printed.value, printed.rounding),
        source=source,
    )


def _printed(section: Mapping[str, Any]) -> list[Printed]:
    found = []
    for figure, name, scale in (
        ("train_loss", "loss", section.get("loss_scale") or 1),
        ("train_acc", "train_acc", 1),
        ("test_acc", "test_acc", 1),
    ):
        values = section.get(name) or []
        rounding = _rounding(values) * scale
        found += [Printed(figure, i + 1, value * scale, rounding) for i, value in enumerate(values)]
    norms = section.get("w_norm") or {}
    return found + [Printed("w_norm", None, norm, _rounding([norm]), arm) for arm, norm in norms.items()]


def _rounding(figures: Iterable[float]) -> float:
    """Return half a unit of the last decimal that any of the figures was printed with."""
    exponents = [Decimal(repr(figure)).normalize().as_tuple().exponent for figure in figures]
    return 0.5 * 10.0 ** min((e for e in exponents if isinstance(e, int)), default=0)
