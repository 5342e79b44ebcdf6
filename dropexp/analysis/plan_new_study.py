"""Plan a new study after a pilot: another name, and other seeds or repeats of a search, judged alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from dropexp.config.names import is_name
from dropexp.config.overrides import MAX_RUNS
from dropexp.config.search import TESTED_SEED
from dropexp.config.tune_section import MAX_REPEATS
from dropexp.program import command
from dropexp.runs.find import seeds_of
from dropexp.runs.record import Run
from dropexp.runs.search_records import Records

CONFIRM = "confirm"
ROUND = 100  # the new study's first seed is a multiple of it


@dataclass(frozen=True)
class NewStudy:
    """A study that has no runs yet: its name, its first seed or repeat of a search, and how to train it.

    No run of the pilot, or of an earlier new study of it, has this seed or a later one.
    """

    name: str
    first_seed: int
    tuned: bool = False
    runs_per_seed: int = 1  # one for each arm; with a search, for each arm its trials and a tested run
    train_options: tuple[str, ...] = ("-c", "FILE")  # of `dropexp train`: they select the pilot's config
    missing: str = ""  # "2 of 4 runs are missing" if the pilot is incomplete: nothing can be planned yet

    def has_room(self, pairs: int) -> bool:
        """Return whether a config can have this many pairs: its runs, and its repeats of a search, are limited."""
        if self.tuned and self.first_seed + pairs > MAX_REPEATS:
            return False
        return pairs * self.runs_per_seed <= MAX_RUNS

    def plan(self, pairs: int) -> str:
        """Return the command that trains the study with this many seeds; for a search, the config to train."""
        last = self.first_seed + pairs - 1
        if self.tuned:
            section = f"tune: {{repeats: {self.first_seed}..{last}, …}}"
            return f"train a copy of the config with `name: {self.name}` and `{section}`"
        options = ["--set", f"name={self.name}", "--seeds", f"{self.first_seed}..{last}"]
        return command("train", *self.train_options, *options)


def new_studies_of(
    runs: Sequence[Run],
    records: Mapping[str, Records] | None = None,
    train_options: Mapping[str, tuple[str, ...]] | None = None,
    missing: Mapping[str, str] | None = None,
) -> dict[str, NewStudy]:
    """Return, by study, the new study to which its runs are a pilot.

    The seeds in use are those of the runs, and those in the names of other run folders. `records` has the searches by
    study, `train_options` the options of `dropexp train` that select its config, and `missing` what it lacks.
    """
    by_study: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_study[run.study].append(run)
    planned = {study: _new_study(study, own, (records or {}).get(study, {})) for study, own in by_study.items()}
    known, lacking = train_options or {}, missing or {}
    return {
        study: replace(one, train_options=known.get(study, one.train_options), missing=lacking.get(study, ""))
        for study, one in planned.items()
    }


def _new_study(study: str, runs: Sequence[Run], records: Records) -> NewStudy:
    """Return the new study of a study with these runs and searches. That of `a-confirm` is `a-confirm-2`."""
    folders = {run.folder.path.parent for run in runs}
    first = re.sub(rf"-{CONFIRM}(-\d+)?\Z", "", study)
    taken = {*folders, *(folder.with_name(first) for folder in folders)}
    for name in _names(first):
        beside = {folder.with_name(name) for folder in folders}
        if name != study and not any(folder.exists() for folder in beside):
            break
        taken |= beside
    used = {run.seed or 0 for run in runs}.union(*map(seeds_of, taken))
    arms = len({run.arm_digest for run in runs if run.info is not None})
    if any(run.tuning is not None for run in runs):  # repeat r has the seeds r and 1000 + r
        trials = max((one.num_trials for one in records.values()), default=0)
        return NewStudy(name, max(seed % TESTED_SEED for seed in used) + 1, True, arms * (trials + 1))
    return NewStudy(name, ROUND * (max(used) // ROUND + 1), runs_per_seed=arms)


def _names(study: str) -> Iterator[str]:
    """Yield names of new studies: `a-confirm`, `a-confirm-2` and so on, without the `a-` if that name is not valid."""
    for number in count(1):
        ending = CONFIRM if number == 1 else f"{CONFIRM}-{number}"
        name = f"{study}-{ending}"
        yield name if is_name(name) else ending
