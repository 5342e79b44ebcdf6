"""Counters of what the crash tests have done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counts:
    kills: int = 0  # processes or process groups ended by SIGKILL
    faults: int = 0  # corrupted files, full disks, signals: each injection counts
    checked: int = 0  # runs whose tables were compared with undisturbed ones
    lost: int = 0  # runs that were missing, changed or duplicated

    def __str__(self) -> str:
        return f"kills: {self.kills}, faults: {self.faults}, runs checked: {self.checked}, lost: {self.lost}"


COUNTS = Counts()
