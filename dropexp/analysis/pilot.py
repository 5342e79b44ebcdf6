"""Plan a new study after a pilot: another name, and other seeds or repeats of a search, judged alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from dropexp.config.names import is_name
from dropexp.config.search import TESTED_SEED
from dropexp.config.tune import MAX_REPEATS
from dropexp.program import command
from dropexp.runs.find import seeds_of
from dropexp.runs.record import Run

CONFIRM = "confirm"
ROUND = 100  # the new study's first seed is a multiple of it


@dataclass(frozen=True)
class Pilot:
    """The name of a new study that has no runs yet, and its first seed, or its first repeat of a search.

    No run of the pilot, or of an earlier new study of it, has this seed or a later one.
    """

    new_study: str
    first_seed: int
    tuned: bool = False
    words: tuple[str, ...] = ("-c", "FILE")  # options of `dropexp train` that select the pilot's config

    def has_room(self, pairs: int) -> bool:
        """Return whether the new study can have this many pairs: the number of repeats of a search is limited."""
        return not self.tuned or self.first_seed + pairs <= MAX_REPEATS

    def plan(self, pairs: int) -> str:
        """Return the command that trains the new study with this many seeds; for a search, the config to train."""
        last = self.first_seed + pairs - 1
        if self.tuned:
            section = f"tune: {{repeats: {self.first_seed}..{last}, …}}"
            return f"train a copy of the config with `name: {self.new_study}` and `{section}`"
        options = ["--set", f"name={self.new_study}", "--seeds", f"{self.first_seed}..{last}"]
        return command("train", *self.words, *options)


def pilots_of(runs: Sequence[Run], words: Mapping[str, tuple[str, ...]] | None = None) -> dict[str, Pilot]:
    """Return a pilot by study. The seeds in use are those of the runs, and those in the names of other run folders.

    `words` has, by study, the options of `dropexp train` that select its config.
    """
    tuned = {run.study for run in runs if run.tuning is not None}
    used: dict[str, set[int]] = defaultdict(set)
    folders: dict[str, set[Path]] = defaultdict(set)
    for run in runs:
        used[run.study].add(run.seed or 0)
        folders[run.study].add(run.folder.path.parent)
    pilots = {study: _pilot(study, folders[study], seeds, study in tuned) for study, seeds in used.items()}
    known = words or {}
    return {study: replace(one, words=known.get(study, one.words)) for study, one in pilots.items()}


def _pilot(study: str, folders: set[Path], used: set[int], tuned: bool) -> Pilot:
    """Return the pilot of a study in these folders. The new study of `a-confirm` is `a-confirm-2`."""
    first = re.sub(rf"-{CONFIRM}(-\d+)?\Z", "", study)
    taken = {*folders, *(folder.with_name(first) for folder in folders)}
    for name in _names(first):
        beside = {folder.with_name(name) for folder in folders}
        if name != study and not any(folder.exists() for folder in beside):
            break
        taken |= beside
    latest = max(used.union(*map(seeds_of, taken)))
    if tuned:  # repeat r has the seeds r and 1000 + r
        seeds = used.union(*map(seeds_of, taken))
        return Pilot(name, max(seed % TESTED_SEED for seed in seeds) + 1, tuned)
    return Pilot(name, ROUND * (latest // ROUND + 1))


def _names(study: str) -> Iterator[str]:
    """Yield names of new studies: `a-confirm`, `a-confirm-2` and so on, without the `a-` if that name is not valid."""
    for number in count(1):
        ending = CONFIRM if number == 1 else f"{CONFIRM}-{number}"
        name = f"{study}-{ending}"
        yield name if is_name(name) else ending
