"""Choose the runs to compare in a study with searches: those that test the settings selected in study.json."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pydantic import ValidationError

from dropexp.analysis.notes import Noted
from dropexp.config.digests import canonical
from dropexp.config.planned_run import SearchPart
from dropexp.config.schema import Config
from dropexp.config.search import TESTED_SEED
from dropexp.plurals import counted
from dropexp.runs.record import Run
from dropexp.runs.search_records import Records, SearchRecord


def current(runs: Iterable[Run], records: Mapping[str, Records]) -> Noted[list[Run]]:
    """Return the runs except trials, and except tested runs whose settings study.json does not select.

    A run that tests the selections of several searches is returned once for each. If a run's search is not in
    study.json, the run is kept as it is.
    """
    kept: list[Run] = []
    tested: dict[tuple[str, str], Run] = {}  # by study and settings
    for run in runs:
        if run.tuning is None:
            kept.append(run)
        elif run.is_tested:
            tested[run.study, canonical(run.settings)] = run
    used: dict[tuple[str, str], list[str]] = defaultdict(list)  # the arms of each tested run
    for study, searches in records.items() if tested else ():
        for record in searches.values():
            key = study, _settings(record)
            if record.selected is not None and key in tested:
                kept.append(_as_tested(tested[key], record))
                used[key].append(str(record.arm))
    stale: Counter[str] = Counter()
    for key, run in tested.items():
        if key not in used and run.tuning is not None:
            known = (run.tuning.search, str(run.settings.get("device"))) in records.get(run.study, {})
            stale[run.study] += known
            kept += [] if known else [run]
    notes = [
        f"{study}: {counted(count, 'tested run')} {'is' if count == 1 else 'are'} left out: "
        "study.json selects other settings, or none yet"
        for study, count in stale.items()
        if count
    ]
    notes += [
        f"{study}: {' and '.join(dict.fromkeys(arms))} share a tested run, seed {tested[study, settings].seed}: "
        "they selected the same settings"
        for (study, settings), arms in used.items()
        if len({*arms}) > 1
    ]
    return Noted(kept, notes)


def _as_tested(run: Run, record: SearchRecord) -> Run:
    """Return the run as the test of this search; its run.json may name another search that selected its settings."""
    part = SearchPart(
        role="tested",
        search=record.id,
        arm=record.arm_digest,
        repeat=record.repeat,
        trial=record.selected or 0,
        keys=list(record.space),
    )
    info = run.info and run.info.model_copy(update={"arm": record.arm, "tune": part})
    return replace(run, info=info)


def _settings(record: SearchRecord) -> str:
    """Return the settings of the run that tests a selection; "" without one, or if this version rejects them."""
    if record.selected is None:
        return ""
    keys = {**record.fixed, **record.best.values, "seed": TESTED_SEED + record.repeat}
    try:
        return canonical(Config.model_validate(keys).settings(record.device))
    except ValidationError:
        return ""
