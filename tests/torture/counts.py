"""What the crash tests have done so far, counted where it is done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counts:
    kills: int = 0  # processes or groups of processes ended by SIGKILL
    faults: int = 0  # damaged files, full disks, signals: each once for each time that it was inflicted
    checked: int = 0  # runs whose tables were set beside the undisturbed ones
    lost: int = 0  # runs that were missing, changed or twice

    def __str__(self) -> str:
        return f"kills: {self.kills}, faults: {self.faults}, runs checked: {self.checked}, lost: {self.lost}"


COUNTS = Counts()
