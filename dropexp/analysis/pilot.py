"""A study whose seeds are the pilot of a new one: other seeds, another name, judged alone."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dropexp.config.names import is_name
from dropexp.runs.find import seeds_of
from dropexp.runs.record import Run

CONFIRM = "confirm"
ROUND = 100  # the new study's first seed is a multiple of it


@dataclass(frozen=True)
class Pilot:
    """A study, and the first seed of a new one: no run of the study has this seed or a later one."""

    study: str
    first_seed: int

    def command(self, seeds: int) -> str:
        """Return the command that trains a new study with so many seeds."""
        name = f"{self.study}-{CONFIRM}"
        setting = f"name={name if is_name(name) else CONFIRM}"
        last = self.first_seed + seeds - 1
        return shlex.join(["dropexp", "train", "-c", "FILE", "--set", setting, "--seeds", f"{self.first_seed}..{last}"])


def pilots_of(runs: Sequence[Run]) -> dict[str, Pilot]:
    """Return a pilot by study. The seeds in use are those of the runs, and those in the names of the folders beside."""
    used: dict[str, set[int]] = defaultdict(set)
    for run in runs:
        used[run.study].add(run.seed or 0)
    for study, folder in dict.fromkeys((run.study, run.folder.path.parent) for run in runs):
        used[study] |= seeds_of(folder)
    return {study: Pilot(study, ROUND * (max(seeds) // ROUND + 1)) for study, seeds in used.items()}
