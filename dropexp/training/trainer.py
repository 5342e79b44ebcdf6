"""Train trials in this process, alone or as a stack. Imports torch only to train."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from dropexp.interrupts import import_torch
from dropexp.training.events import Event, Note, Started
from dropexp.training.stack_shape import stack_shape
from dropexp.training.trial import Plan, Trial

if TYPE_CHECKING:
    from dropexp.data.fashion_mnist import Data


class Trainer:
    """Trains trials in this process; the data is loaded once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.data: Data | None = None

    def events(self, trials: dict[int, Trial]) -> Generator[Event]:
        """Train one trial, or several of one shape as a stack; the keys are their indexes.

        Interrupts are delayed while torch loads, before the first event.
        """
        import_torch()
        import torch

        from dropexp.data.fashion_mnist import load
        from dropexp.training.group import train_group

        yield from [Started(index) for index in trials]
        device = torch.device(self.plan.device)
        if self.data is None and self.plan.data_root is not None:
            self.data = load(self.plan.data_root).to(device)
            yield from [Note(None, note) for note in self.data.notes]
        stacked = self.plan.stacked and all(stack_shape(trial.planned.config) for trial in trials.values())
        for group in [trials] if stacked else [{index: trial} for index, trial in trials.items()]:
            yield from train_group(group, self.data, device, stacked=stacked, force=self.plan.force)
