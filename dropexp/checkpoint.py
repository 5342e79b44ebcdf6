"""What a run goes on from: its network and generators, saved after an epoch, and when that is worth its time."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from dropexp.linreg import Model
from dropexp.runs import RunFolder
from dropexp.variants import Network

CHECKPOINT_SHARE = 0.02  # of the time since the last one: what writing a checkpoint may cost


@dataclass
class State:
    """What a checkpoint holds."""

    network: Network | Model
    order: torch.Generator
    noise: torch.Generator

    def to_bytes(self, epoch: int, identity: dict[str, str]) -> bytes:
        file = io.BytesIO()
        generators = {"order": self.order.get_state(), "noise": self.noise.get_state()}
        torch.save({"epoch": epoch, "identity": identity, "network": self.network.state(), **generators}, file)
        return file.getvalue()

    def resume(self, folder: RunFolder, identity: dict[str, str]) -> int:
        """Take over the checkpoint and cut the table to it; returns the number of epochs done, 0 if none counts."""
        try:
            saved = torch.load(folder.checkpoint, map_location="cpu", weights_only=True)
            if saved["identity"] != identity:  # begun on another route, say: two roundings are not mixed
                return 0
            epoch = int(saved["epoch"])
            folder.cut_rows(epoch)
            self.network.load(saved["network"])
            self.order.set_state(saved["order"])
            self.noise.set_state(saved["noise"])
        except Exception:  # missing, or damaged in whatever way: to train anew is cheap, a wrong number is not
            return 0
        return epoch


class Checkpoints:
    """When to write them: after the last epoch, and before it as often as CHECKPOINT_SHARE of the time allows."""

    def __init__(self) -> None:
        self.saved_at, self.cost = time.perf_counter(), 0.0

    def due(self, epoch: int, epochs: int) -> bool:
        return epoch == epochs or self.cost <= CHECKPOINT_SHARE * (time.perf_counter() - self.saved_at)

    @contextmanager
    def writing(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.saved_at = time.perf_counter()
        self.cost = self.saved_at - began
