"""The runs to compare of a study with searches: the tested runs of the selections that study.json has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pydantic import ValidationError

from dropexp.analysis.notes import Noted
from dropexp.config.digests import canonical
from dropexp.config.planned import Tuning
from dropexp.config.schema import Config
from dropexp.config.search import TESTED_SEED
from dropexp.runs.record import Run
from dropexp.runs.searches import Records, SearchRecord


def current(runs: Iterable[Run], records: Mapping[str, Records]) -> Noted[list[Run]]:
    """Return the runs without trials, and without tested runs of settings that study.json no longer selects.

    A run that tests the selections of several arms is there once for each.
    """
    kept: list[Run] = []
    stale: dict[str, int] = defaultdict(int)
    selections = {
        (study, one.arm_digest, one.repeat, one.device): (one.id, one.selected)
        for study, own in records.items()
        for one in own.values()
        if one.selected is not None
    }
    for run in runs:
        if run.tuning is None:
            kept.append(run)
        elif run.tuning.role == "tested":
            tested = run.tuning.search, run.tuning.trial
            key = run.study, run.arm_digest, run.tuning.repeat, str(run.settings.get("device"))
            if selections.get(key, tested) == tested:
                kept.append(run)
            else:
                stale[run.study] += 1
    shared = _shared(kept, records)
    notes = [
        f"{study}: {count} tested runs are left out: study.json has another selection since"
        for study, count in stale.items()
    ]
    notes += [
        f"{run.study}: {other.arm} and {run.arm} share a tested run, seed {run.seed}: they selected the same settings"
        for run, other in shared
    ]
    return Noted([*kept, *(run for run, _ in shared)], notes)


def _shared(tested: Iterable[Run], records: Mapping[str, Records]) -> list[tuple[Run, Run]]:
    """Return, for each selection without a run of its own, the run with its settings: as its own, and as it is."""
    by_settings = {(run.study, canonical(run.settings)): run for run in tested if run.tuning}
    own = {
        (run.study, run.tuning.search, str(run.settings.get("device"))) for run in by_settings.values() if run.tuning
    }
    found = []
    for study, searches in records.items() if by_settings else ():
        for one in searches.values():
            if one.selected is not None and (study, one.id, one.device) not in own:
                run = by_settings.get((study, _settings(one)))
                if run is not None and run.info is not None:
                    tuning = _tuning(one)
                    as_own = run.info.model_copy(update={"arm": one.arm, "tune": tuning})
                    found.append((replace(run, info=as_own), run))
    return found


def _settings(record: SearchRecord) -> str:
    """Return the settings of the run that tests a selection; "" if they are of another version."""
    keys = {**record.fixed, **record.best.values, "seed": TESTED_SEED + record.repeat}
    try:
        return canonical(Config.model_validate(keys).settings(record.device))
    except ValidationError:
        return ""


def _tuning(record: SearchRecord) -> Tuning:
    return Tuning(
        role="tested",
        search=record.id,
        repeat=record.repeat,
        trial=record.selected or 0,
        keys=list(record.space),
    )
