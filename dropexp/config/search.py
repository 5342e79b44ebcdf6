"""A search: the trials of one arm in one repeat, and the run that tests the settings of the best one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from dropexp.config.digests import canonical, digest, searched
from dropexp.config.file import ConfigFile
from dropexp.config.planned_run import PlannedRun, SearchPart, cell_of
from dropexp.config.schema import Config
from dropexp.config.search_points import draw_points
from dropexp.config.search_space import Dimension
from dropexp.config.tasks import LINEAR_REGRESSION
from dropexp.config.tune_section import Tune
from dropexp.config.used_keys import used_keys

TESTED_SEED = 1000  # plus the repeat, the seed of a tested run: no trial has used its split or initialisation


@dataclass(frozen=True)
class Search:
    """One repeat of the search for an arm's settings.

    Trials of repeat r have seed r, validation figures and no test figures. Probes are left to the tested run.
    """

    name: str  # of the study
    arm: str | None
    cell: Mapping[str, Any]  # the arm's point in the matrix
    fixed: Mapping[str, Any]  # the keys that are not searched
    space: Mapping[str, Dimension]  # the keys that are
    repeat: int
    points: Sequence[Mapping[str, Any]]  # the values of each trial
    settings: Mapping[str, Any]  # what the tested runs of all repeats have in common

    @property
    def seed(self) -> int:
        """The seed of the tested run."""
        return TESTED_SEED + self.repeat

    @cached_property
    def trials(self) -> list[PlannedRun]:
        """The trials. If only choices are searched, several can be the same run. Raises pydantic's ValidationError."""
        return [self._trial(trial) for trial in range(len(self.points))]

    def _trial(self, trial: int) -> PlannedRun:
        own = {"seed": self.repeat, "eval_test": False, "probes": []}
        config = Config.model_validate({**self.fixed, **self.points[trial], **own})
        return PlannedRun(self.name, self.arm, self._cell("trial", trial), config, self._tuning("trial", trial))

    def tested(self, trial: int, selection: dict[str, float] | None = None) -> PlannedRun:
        """Return the run that tests the settings of a trial; `selection` has that trial's validation figures."""
        config = Config.model_validate({**self.fixed, **self.points[trial], "seed": self.seed})
        tuning = self._tuning("tested", trial, selection)
        return PlannedRun(self.name, self.arm, self._cell("selected", trial), config, tuning)

    def _tuning(self, role: Any, trial: int, selection: dict[str, float] | None = None) -> SearchPart:
        return SearchPart(
            role=role,
            search=self.digest,
            arm=self.arm_digest,
            repeat=self.repeat,
            trial=trial,
            keys=list(self.space),
            selection=selection,
        )

    def _cell(self, role: str, trial: int) -> str:
        shown = {"arm": self.arm} if self.arm else {}
        seed = self.seed if role == "selected" else self.repeat
        return cell_of({**shown, **self.cell, role: trial, "seed": seed})

    @cached_property
    def arm_digest(self) -> str:
        """Eight hexadecimal digits that the repeats of one arm share: those of its settings and its space."""
        return digest({"settings": self.settings, "space": {key: one.written for key, one in self.space.items()}})

    @cached_property
    def digest(self) -> str:
        """Eight hexadecimal digits that identify the search, whatever its number of trials."""
        return digest({"arm": self.arm_digest, "repeat": self.repeat})


def searches_of(file: ConfigFile, tune: Tune) -> list[Search]:
    """Return a search for each arm, point of the matrix and repeat; add what is wrong to the file's problems."""
    searches: list[Search] = []
    owners: dict[str, str | None] = {}  # arms by what they search
    for arm, own in file.arms.items():
        for values in itertools.product(*file.axes.values()):
            cell = dict(zip(file.axes, values, strict=True))
            found = _valid_repeats(file, tune, arm, cell) if file.has_variant(arm, {**file.base, **own, **cell}) else []
            if not found:
                continue
            settings = canonical(dict(found[0].settings))
            if settings not in owners:
                searches += found
                owners[settings] = arm
            elif owners[settings] != arm:
                file.problems.add(("arms", arm or ""), f"arm {arm!r} searches the same as arm {owners[settings]!r}")
    for key in tune.space:
        if searches and not any(key in search.space for search in searches):
            file.problems.add(("tune", "space", key), f"{key!r} is searched for no arm: each fixes or ignores it")
    return searches


def _open_keys(tune: Tune, fixed: Mapping[str, Any]) -> dict[str, Dimension]:
    """Return the dimensions of the keys that an arm does not fix, and uses with at least one value of the others."""
    defaults = {key: info.default for key, info in Config.model_fields.items()}
    last = {key: one.values[-1] for key, one in tune.space.items()}
    values = [(key, value) for key, one in tune.space.items() for value in one.values]
    used = {name for key, value in values for name in used_keys({**defaults, **last, key: value, **fixed})}
    return {key: one for key, one in tune.space.items() if key in used and key not in fixed}


def _repeats(file: ConfigFile, tune: Tune, arm: str | None, cell: dict[str, Any]) -> list[Search]:
    """Return the searches of an arm at a point of the matrix. Raises pydantic's ValidationError."""
    fixed = {**file.base, **file.arms[arm], **cell}
    space = _open_keys(tune, fixed)
    num_layers = len(_hidden(fixed, space))
    example = {key: [one.values[0]] * num_layers if one.kind == "each" else one.values[0] for key, one in space.items()}
    settings = Config.model_validate({**fixed, **example}).settings("any")
    stream = {"settings": searched(settings, space), "space": {key: one.written for key, one in space.items()}}
    return [
        Search(
            name=file.name,
            arm=arm,
            cell=cell,
            fixed=fixed,
            space=space,
            repeat=repeat,
            points=draw_points(space, num_layers, tune.trials, {**stream, "repeat": repeat}),
            settings=searched(settings, space),
        )
        for repeat in tune.repeats
    ]


def _hidden(fixed: Mapping[str, Any], space: Mapping[str, Dimension]) -> Sequence[int]:
    """Return the widths of an arm's hidden layers. If searched: the first choice, or the default if not by choice."""
    default: Sequence[int] = Config.model_fields["hidden"].default
    given: Sequence[int] = fixed.get("hidden", default)
    if "hidden" in space:
        given = space["hidden"].values[0] if space["hidden"].kind == "choice" else default
    return given


def _layers_differ(space: Mapping[str, Dimension]) -> bool:
    """Return whether the number of layers is searched and another key has an entry for each of them."""
    hidden = space.get("hidden")
    several = hidden is not None and hidden.kind == "choice" and len({len(widths) for widths in hidden.values}) > 1
    return several and any(one.kind == "each" for one in space.values())


def _valid_repeats(file: ConfigFile, tune: Tune, arm: str | None, cell: dict[str, Any]) -> list[Search]:
    """Return the searches of an arm at a point of the matrix, none if a run of theirs is invalid. Add the problems."""
    if _layers_differ(_open_keys(tune, {**file.base, **file.arms[arm], **cell})):
        what = "has choices with several numbers of layers, and `each` draws an entry per layer; use one number"
        file.problems.add(("tune", "space", "hidden"), f"tune.space.hidden {what}")
        return []
    try:
        searches = _repeats(file, tune, arm, cell)
        configs = [one.tested(trial).config for one in searches for trial in range(len(one.trials))]
    except ValidationError as error:
        file.problems.add_conflicts(error, arm)
        return []
    if configs[0].task == LINEAR_REGRESSION:
        file.problems.add(("tune",), "tune is not supported by linear-regression, which has no accuracy to select by")
    elif not configs[0].validation_size:
        what = "tune selects settings on validation images; set validation_size, such as 10000"
        file.problems.add(("tune",), what)
    return searches
