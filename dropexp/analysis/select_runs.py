"""Select the runs to compare: by name, or exactly those that configs define; note missing and ignored runs.

A study's folder can have runs that its config does not define: of an edited config, of `--set` and `--seeds`, or of
another file of the same name. They change labels and enlarge the family of comparisons.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dropexp.analysis.labels import labels_of
from dropexp.analysis.notes import Noted
from dropexp.analysis.tested_runs import current
from dropexp.config.plugins import files_of
from dropexp.config.study import Study, load_config
from dropexp.config.variant_table import VARIANTS
from dropexp.errors import ComparisonError, NoRuns, RunError
from dropexp.home_folder import expanded
from dropexp.plurals import counted
from dropexp.program import command
from dropexp.runs.best_trial import with_trials
from dropexp.runs.folder import default_runs_dir
from dropexp.runs.record import Run, read_runs
from dropexp.runs.search_records import Records
from dropexp.runs.state_names import FINISHED, NO_RUN
from dropexp.runs.study_file import NO_FILE, Declared, read_searches, read_study

KINDS = ("cpu", "cuda", "mps")  # of devices
MAX_LISTED = 5  # arms or seeds that a note lists


@dataclass(frozen=True)
class Selection:
    """The runs to compare, what the config files of their studies declare, and notes on missing and ignored runs."""

    runs: list[Run]
    declared: dict[str, list[Declared]]  # by study
    records: dict[str, Records]  # the searches, by study
    notes: list[str]
    train_options: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of `dropexp train`, by study, if known
    missing: dict[str, str] = field(default_factory=dict)  # "2 of 4 runs are missing", by study


def select(
    paths_or_names: str | Iterable[str],
    runs_dir: Path | str | None,
    study: Study | str | Path | Mapping[str, Any] | Sequence[Study] | None,
) -> Selection:
    """Return the runs with these names or paths, by default all; or those that `study` defines: a config or several.

    Raises `NoRuns` if there is none, `ComparisonError` if both are given.
    """
    if study is None:
        found = _current(paths_or_names, runs_dir)
        declared = _declared_by(found.runs)
        options = _train_options(found.runs, declared.value, runs_dir)
        notes = [*declared.notes, *found.notes]
        return replace(found, declared=declared.value, notes=notes, train_options=options)
    if paths_or_names:
        raise ComparisonError("give names of runs or a config, not both")
    one = load_config(study) if isinstance(study, str | Path | Mapping) else study
    return _defined_by([one] if isinstance(one, Study) else one, runs_dir)


def _current(
    paths_or_names: str | Iterable[str], runs_dir: Path | str | None, num_trials: Mapping[str, int] | None = None
) -> Selection:
    """Return the runs with these names or paths, without trials. Raises `NoRuns` if there is none.

    `num_trials` has the number of trials to select from, by search; by default the number of the last training.
    """
    runs = read_runs(paths_or_names, runs_dir)
    records: dict[str, Records] = {}
    notes = []
    for folder, run in {run.folder.path.parent: run for run in runs}.items():
        try:
            found = {
                key: with_trials(one, num_trials[one.id]) if num_trials and one.id in num_trials else one
                for key, one in read_searches(folder).items()
            }
            records[run.study] = {**records.get(run.study, {}), **found}
        except RunError as error:
            if any(run.tuning and run.folder.path.parent == folder for run in runs):
                notes.append(f"{folder.name}: its searches are not known: {error}")
    kept = current(runs, records)
    if not kept.value:
        studies = ", ".join(sorted({run.study for run in runs}))
        raise NoRuns(
            f"{studies}: only trials are trained; `dropexp train -c FILE` selects the best settings and tests them"
        )
    return Selection(kept.value, {}, records, [*notes, *kept.notes])


def _declared_by(runs: Iterable[Run]) -> Noted[dict[str, list[Declared]]]:
    """Return what study.json has for the studies of the runs; the notes name files that cannot be read."""
    declared: dict[str, list[Declared]] = {}
    notes = []
    for folder, run in {run.folder.path.parent: run for run in runs}.items():
        try:
            declared.setdefault(run.study, []).extend(read_study(run.folder))
        except RunError as error:
            notes.append(f"{folder.name}: published figures are not shown: {error}")
    return Noted(declared, notes)


def _train_options(
    runs: Iterable[Run], declared: Mapping[str, Sequence[Declared]], runs_dir: Path | str | None
) -> dict[str, tuple[str, ...]]:
    """Return, by study, the options of `dropexp train`: the path of its config if that defines all arms, else FILE.

    Arms of `--set` and `--sweep` are not in the file: training it would train other arms.
    """
    by_study: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.info is not None:
            by_study[run.study].append(run)
    options = {}
    for study, own in by_study.items():
        folders = {run.folder.path.parent for run in own}
        files = {str(path): one for one in declared.get(study, ()) for folder in folders if (path := one.path(folder))}
        defines_all = len(files) == 1 and all(one.defines(run.arm_digest) for one in files.values() for run in own)
        options[study] = ("-c", next(iter(files)) if defines_all else "FILE", *_plugins(own), *_in(runs_dir))
    return options


def _plugins(runs: Iterable[Run]) -> list[str]:
    """Return the options that load the plugins of runs; only the files of loaded plugins are known."""
    variants = {run.variant for run in runs if run.settings.get("plugin")}
    loaded = [str(file) for file, _ in files_of(variants & VARIANTS.keys())]
    files = loaded if variants <= VARIANTS.keys() else ["FILE"]
    return [word for file in files for word in ("--plugin", file)]


def _in(runs_dir: Path | str | None) -> tuple[str, ...]:
    where = os.environ.get("DROPEXP_RUNS") if runs_dir is None else runs_dir  # it may be set for this command only
    return ("--runs-dir", str(where)) if where else ()


def _defined_by(studies: Sequence[Study], runs_dir: Path | str | None) -> Selection:
    """Return the runs that the studies define, on every kind of device; the notes count those that are missing."""
    root = default_runs_dir() if runs_dir is None else expanded(runs_dir)
    more = _in(runs_dir)
    selected: dict[tuple[Path, str], Run] = {}
    declared: dict[str, list[Declared]] = defaultdict(list)
    records: dict[str, Records] = {}
    missing: dict[str, str] = {}
    notes: list[str] = []
    for study in studies:
        try:
            num_trials = {search.digest: len(search.points) for search in study.searches}
            present = _current(str(root / study.name), root, num_trials)
        except NoRuns as error:
            present = Selection([], {}, {}, [str(error)] if (root / study.name).exists() else [])
        found = _runs_of(study, present.runs)
        selected |= {(run.folder.path, run.key if run.info else ""): run for run in found}
        declared[study.name].append(Declared.of(study, root / study.name))
        records |= present.records
        notes += present.notes
        if lacking := _missing(study, found):
            missing[study.name] = lacking
            training = command("train", *study.options, *more)
            saved = "" if study.file else ", with the config saved as FILE"
            others = _others(study, len(present.runs) - len(found))
            notes.append(f"{study.name}: {lacking}; `{training}` trains the missing runs{saved}{others}")
    if not selected:
        raise NoRuns("\n".join(notes))
    train_options = {study.name: (*_without_seeds(study.options), *more) for study in studies}
    return Selection(list(selected.values()), dict(declared), records, notes, train_options, missing)


def _without_seeds(options: Sequence[str]) -> list[str]:
    """Return a study's options without those that set its seeds or its name, which a new study replaces."""
    pairs = list(zip(options[::2], options[1::2], strict=True))
    return [word for option, value in pairs for word in (option, value) if not _names_or_seeds(option, value)]


def _names_or_seeds(option: str, value: str) -> bool:
    return option == "--seeds" or (option == "--set" and value.partition("=")[0].strip() in ("name", "seed"))


def _runs_of(study: Study, present: Sequence[Run]) -> list[Run]:
    """Return the runs that a study defines, and unreadable folders that have the name of one of them."""
    seeds = _sets([study.seeds])
    runs = [run for run in present if run.info is not None and run.seed in seeds.get(run.arm_digest, ())]
    if unreadable := [run for run in present if run.info is None]:
        names = {run.digest(kind) for run in study.runs for kind in KINDS}
        runs += [run for run in unreadable if run.folder.path.name.rpartition("-")[2] in names]
    return runs


def _others(study: Study, count: int) -> str:
    """Return a hint on runs that the study does not define: they may have been trained with options such as --set."""
    if not count:
        return ""
    exist = "exists" if count == 1 else "exist"
    remedy = "to compare them, repeat the options of their training, such as --set"
    return f"; {counted(count, 'other run')} of {study.name} {exist}: {remedy}"


def _missing(study: Study, found: Sequence[Run]) -> str:
    """Return "2 of 4 runs are missing", or "" if none is; each kind of device with a run needs all of them."""
    total = sum(map(len, study.seeds.values()))
    unreadable = sum(run.info is None for run in found)
    kinds = Counter(str(run.settings.get("device")) for run in found if run.status not in NO_RUN)
    gaps = {kind: total - count - unreadable for kind, count in kinds.items()} or {"": total - unreadable}
    left = {kind: gap for kind, gap in sorted(gaps.items()) if gap > 0}
    on = {kind: f" on {kind}" if len(kinds) > 1 else "" for kind in left}
    parts = [f"{gap} of {counted(total, 'run')}{on[kind]}" for kind, gap in left.items()]
    return f"{' and '.join(parts)} {'is' if sum(left.values()) == 1 else 'are'} missing" if parts else ""


def notes_on_others(runs: Sequence[Run], declared: Mapping[str, Sequence[Declared]]) -> list[str]:
    """Return a note per study that has runs which its config does not define, or the runs of several configs.

    Studies without a known config get no note.
    """
    labels = labels_of(runs)
    notes = []
    for study, files in declared.items():
        finished = [run for run in runs if run.study == study and run.status in FINISHED]
        if not finished or not files or any(file.seeds is None for file in files):
            continue
        folder = finished[0].folder.path.parent
        paths = [shlex.quote(str(path)) for file in files if (path := file.path(folder))]
        unsaved = [
            file for file in files if file.file is None and any(file.defines(run.arm_digest) for run in finished)
        ]
        sources = [*paths, *(NO_FILE for _ in unsaved)] if paths else []
        if len(sources) > 1:
            notes.append(f"{study} has the runs of {' and '.join(sources)}; -c FILE compares those of one file")
        defined = _sets(file.seeds or {} for file in files)
        others = [run for run in finished if run.seed not in defined.get(run.arm_digest, ())]
        if others:
            arms = sorted({labels[study, run.key] for run in others if run.arm_digest not in defined})
            seeds = sorted({run.seed or 0 for run in others if run.arm_digest in defined})
            which = ", ".join([*_listed("arm", arms), *_listed("seed", seeds)])
            are = "is" if len(others) == 1 else "are"
            what = f"{len(others)} of {counted(len(finished), 'run')} {are} not defined by "
            what += " or ".join(sources) or "its config"
            hint = "; `train --set name=NAME` keeps such runs apart" if arms else ""
            option = f"-c {paths[0] if len(sources) == 1 else 'FILE'}"
            notes.append(f"{study}: {what} ({which}); {option} instead of the name leaves them out{hint}")
    return notes


def _listed(what: str, names: Sequence[object]) -> list[str]:
    """Return "arms a, b and 3 more", or nothing if there are none."""
    if not names:
        return []
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return [f"{what}{'s' if len(names) > 1 else ''} {', '.join(map(str, names[:MAX_LISTED]))}{more}"]


def _sets(seeds: Iterable[Mapping[str, Iterable[int]]]) -> dict[str, set[int]]:
    """Return the seeds of each arm that any of these defines."""
    defined: dict[str, set[int]] = defaultdict(set)
    for one in seeds:
        for arm, own in one.items():
            defined[arm].update(own)
    return dict(defined)
