"""What study.json records of searches: their points, the validation figures of the trials, and the selected trial.

Recorded points take precedence over those that a later scipy would draw. A comparison needs only the figures, not the
folders of the trials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dropexp.config.digests import canonical
from dropexp.config.search import Search
from dropexp.config.search_space import KINDS, RANGES, Dimension
from dropexp.config.study import Study, trials_of
from dropexp.runs.run_json import Figure, Value


class TrialRecord(BaseModel):
    """One trial: its values, how it ended, and its figures after the last epoch if it did not diverge."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    values: dict[str, Value]
    status: Literal["done", "diverged"] | None = None  # None: it has not ended
    val_acc: Figure | None = None
    val_loss: Figure | None = None


class SearchRecord(BaseModel):
    """One search on one kind of device."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    id: str  # the digest of the search
    arm_digest: str  # of what the tested runs of all repeats have in common
    device: str
    arm: str | None
    cell: dict[str, Value]  # the arm's point in the matrix
    fixed: dict[str, Value]  # the keys that are not searched
    space: dict[str, dict[str, list[Value]]]
    repeat: int
    trials: list[TrialRecord] = Field(min_length=1)
    num_trials: int = Field(ge=1)  # that the config defined last; others are of an earlier, larger search
    selected: int | None = None  # the trial; None until all have ended

    @classmethod
    def of(cls, search: Search, device: str, trials: Sequence[TrialRecord], selected: int | None = None) -> Self:
        """Return the record of a search."""
        return cls(
            id=search.digest,
            arm_digest=search.arm_digest,
            device=device,
            arm=search.arm,
            cell=dict(search.cell),
            fixed=dict(search.fixed),
            space={key: one.written for key, one in search.space.items()},
            repeat=search.repeat,
            trials=list(trials),
            num_trials=len(trials),
            selected=selected,
        )

    @model_validator(mode="after")
    def _check_selected(self) -> Self:
        """Check that the selected trial exists, and that its values have positions in their ranges."""
        if self.num_trials > len(self.trials):
            raise ValueError(f"{self.num_trials} trials are defined and {len(self.trials)} recorded")
        if self.selected is not None and not 0 <= self.selected < self.num_trials:
            raise ValueError(f"trial {self.selected} is selected from {self.num_trials}")
        try:
            for key in self.space:
                value: Any = self.best.values[key]
                dimension = self.dimension(key)
                for number in value if isinstance(value, list) else [value]:
                    if dimension.kind in RANGES:
                        dimension.position(number)
        except (ArithmeticError, LookupError, TypeError) as error:
            raise ValueError(f"a value is not in its range: {error}") from None
        return self

    @property
    def best(self) -> TrialRecord:
        """The selected trial; the first one if none is selected."""
        return self.trials[self.selected or 0]

    def dimension(self, key: str) -> Dimension:
        """Return where the values of a key are drawn from."""
        ((kind, values),) = self.space[key].items()
        return Dimension(kind if kind in KINDS else "choice", tuple(values))

    @property
    def points(self) -> list[dict[str, Any]]:
        return [trial.values for trial in self.trials]


Records = Mapping[tuple[str, str], SearchRecord]  # by search and device


def with_recorded(study: Study, records: Records, device: str) -> Study:
    """Return the study with the points that are recorded, and drawn ones for further trials."""
    if not study.searches:
        return study
    searches = [_with_recorded(search, records.get((search.digest, device))) for search in study.searches]
    return replace(study, searches=searches, runs=trials_of(searches))


def _with_recorded(search: Search, record: SearchRecord | None) -> Search:
    if record is None:
        return search
    known = record.points[: len(search.points)]
    recorded = replace(search, points=[*known, *search.points[len(known) :]])
    try:
        return recorded if recorded.trials else search
    except ValidationError:  # recorded by another version, with other rules
        return search


def known_trials(search: Search, record: SearchRecord | None) -> list[TrialRecord]:
    """Return a record per trial of a search, with the figures that are known."""
    known = {} if record is None else {canonical(trial.values): trial for trial in record.trials}
    return [known.get(canonical(dict(point))) or TrialRecord(values=dict(point)) for point in search.points]


def merged(records: Records, new: Sequence[SearchRecord]) -> list[SearchRecord]:
    """Return the records with the new ones merged in. Figures, trials and selections of the old ones alone are kept."""
    found = dict(records)
    for one in new:
        key = one.id, one.device
        found[key] = _merged(records[key], one) if key in records else one
    return [*found.values()]


def _merged(old: SearchRecord, new: SearchRecord) -> SearchRecord:
    known = {canonical(trial.values): trial for trial in old.trials if trial.status is not None}
    trials = [trial if trial.status else known.get(canonical(trial.values), trial) for trial in new.trials]
    selected = new.selected
    if selected is None and old.selected is not None and old.selected < new.num_trials:
        selected = old.selected  # until all new trials have ended
    return new.model_copy(update={"trials": [*trials, *old.trials[len(trials) :]], "selected": selected})
