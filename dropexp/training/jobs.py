"""What is to be trained: a job for each run of a study, and a plan that all jobs share. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dropexp.config.digests import canonical
from dropexp.config.planned_run import PlannedRun
from dropexp.config.study import Study
from dropexp.config.tasks import FASHION_MNIST
from dropexp.errors import OtherRun, RunError
from dropexp.runs.find import by_hash
from dropexp.runs.folder import RunFolder
from dropexp.runs.state_names import FINISHED, Status
from dropexp.runs.transitions import status_of
from dropexp.training import device as devices

IN_TRAINING = (Status.RUNNING, Status.BUSY)  # by another process


@dataclass(frozen=True)
class State:
    """The state of a run's folder, and the reason if it is unreadable."""

    status: Status
    why: str | None = None


@dataclass(frozen=True)
class Job:
    """One run to train, and its folder."""

    planned: PlannedRun
    folder: RunFolder

    def state(self) -> State:
        """Return the folder's state; a run of a later version, or another run with the same hash, is unreadable."""
        try:
            return State(status_of(self.folder, self.planned))
        except RunError as error:
            return State(Status.UNREADABLE, str(error))

    @property
    def is_finished(self) -> bool:
        return self.state().status in FINISHED

    @property
    def is_trial(self) -> bool:
        """Return whether the run is a trial of a search."""
        return self.planned.tuning is not None and self.planned.tuning.role == "trial"

    @property
    def needs_no_training(self) -> bool:
        """Return whether the run is done; a trial may also diverge, and then ranks last."""
        status = self.state().status
        return status == Status.DONE or (self.is_trial and status == Status.DIVERGED)

    def is_failure(self, status: Status) -> bool:
        """Return whether this is a failure: neither done, nor in training by another process, nor a diverged trial."""
        return status not in (Status.DONE, *IN_TRAINING) and not (self.is_trial and status == Status.DIVERGED)

    @property
    def has_images(self) -> bool:
        return self.planned.config.task == FASHION_MNIST


@dataclass(frozen=True)
class Plan:
    """What all jobs share: the data's folder, a resolved device, and whether finished runs are trained again."""

    data_root: Path | None  # None: no job has images
    device: str = "cpu"
    force: bool = False
    plugins: tuple[tuple[Path, str], ...] = ()  # each plugin file and the digest of its text, for worker processes
    stacks: bool | None = None  # whether runs of equal shape train side by side; None: only on a CUDA device
    on_ray: bool = False  # whether the connected Ray cluster trains the jobs

    @property
    def stacked(self) -> bool:
        return devices.kind(self.device) == "cuda" if self.stacks is None else self.stacks


def jobs_of(studies: Iterable[Study], runs_dir: Path, device: str) -> list[Job]:
    """Return a job for each run of the studies, each run once; `device` is resolved."""
    kind = devices.kind(device)
    folders: dict[str, dict[str, list[RunFolder]]] = {}  # each study is listed once: it may have 100,000 runs
    jobs: dict[tuple[str, str], Job] = {}
    for study in studies:
        if study.name not in folders:
            folders[study.name] = by_hash(runs_dir / study.name)
        for run in study.runs:
            key = study.name, canonical(run.config.settings(kind))
            if key not in jobs:
                digest = run.digest(kind)
                jobs[key] = Job(run, _folder(run, digest, folders[study.name].get(digest, []), runs_dir))
    return list(jobs.values())


def _folder(run: PlannedRun, digest: str, found: Sequence[RunFolder], runs_dir: Path) -> RunFolder:
    """Return the run's folder: one of those `found` under its hash, preferably with a result, or a new one.

    Among 100,000 runs two are likely to share a hash; their folders differ in the readable part of the name.
    """
    new = RunFolder(runs_dir / run.name / f"{run.cell}-{digest}")
    if found in ([], [new]):
        return new
    own = []
    for folder in found:
        try:
            own.append((status_of(folder, run) not in FINISHED, folder))
        except OtherRun:
            continue
        except RunError:
            own.append((True, folder))
    return min(own, key=lambda pair: pair[0], default=(True, new))[1]
