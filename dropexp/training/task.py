"""What is to be trained: one task per run, and a plan that all tasks share. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dropexp.config.study import PlannedRun
from dropexp.config.tasks import FASHION_MNIST
from dropexp.runs.folder import RunFolder
from dropexp.training.device import kind


@dataclass(frozen=True)
class Task:
    """One run to train, and its folder."""

    planned: PlannedRun
    folder: RunFolder

    def status(self) -> str:
        """Return the folder's status. Raises `NewerRun`, or `OtherRun` if the folder is another run's."""
        return self.folder.status(self.planned.has)

    @property
    def has_images(self) -> bool:
        return self.planned.config.task == FASHION_MNIST


@dataclass(frozen=True)
class Plan:
    """What all tasks share: the data's folder, a resolved device, and whether finished runs are trained again."""

    data_root: Path | None  # None: no task has images
    device: str = "cpu"
    force: bool = False
    plugins: tuple[tuple[Path, str], ...] = ()  # each plugin file and the digest of its text, for worker processes
    stacks: bool | None = None  # whether runs of equal shape train side by side; None: only on a CUDA device
    on_ray: bool = False  # whether the connected Ray cluster trains the tasks

    @property
    def stacked(self) -> bool:
        return kind(self.device) == "cuda" if self.stacks is None else self.stacks
