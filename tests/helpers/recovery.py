"""Runs on one small data set with files that are corrupted or edited, and what training makes of them."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from helpers.training import end_of, notes_of, rows_of, train_run

from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.data.fashion_mnist import Data
from dropexp.runs.folder import RunFolder
from dropexp.runs.state_names import Status
from dropexp.training.events import Ended

CPU = torch.device("cpu")
DONE = Ended(0, Status.DONE)
Corruption = Callable[[bytes], bytes]


def planned(**keys: Any) -> PlannedRun:
    keys = {"variant": "scratch", "hidden": [16, 8], "batch_size": 64, "epochs": 3, "init": "torch", "lr": 0.1} | keys
    return PlannedRun("study", None, "cell", Config.model_validate(keys))


def train(folder: Path, data: Data, run: PlannedRun | None = None, **options: Any) -> tuple[Ended, list[str], int]:
    """Return how the run ended, the messages, and how many epochs were trained."""
    events = list(train_run(run or planned(), RunFolder(folder), data, CPU, **options))
    return end_of(events), notes_of(events), len(rows_of(events))


def interrupt(folder: Path, data: Data, epochs: int, run: PlannedRun | None = None) -> Path:
    """Train the first `epochs` epochs of a run; return its folder."""
    events = train_run(run or planned(), RunFolder(folder), data, CPU)
    for _ in range(epochs):
        next(events)
    events.close()
    return folder


def a_copy(trained: Path, state: str, to: Path) -> Path:
    """Copy `trained/state`, such as a run's folder "done", into the folder `to`."""
    return Path(shutil.copytree(trained / state, to / state))


def content_of(folder: Path) -> dict[str, bytes]:
    """Return the contents of the files of a run by name, without the lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def a_digit(content: bytes) -> bytes:
    """Change one digit of the figures, so that the file is still well-formed."""
    at = next(i for i in range(len(content) * 2 // 3, len(content)) if content[i : i + 2].isdigit())
    return content[:at] + (b"3" if content[at : at + 1] != b"3" else b"4") + content[at + 1 :]


def a_weight(content: bytes) -> bytes:
    """Change one bit of a weight, which torch reads without an error."""
    saved = torch.load(io.BytesIO(content), weights_only=True)
    at = content.index(bytes(saved["network"]["W1"].untyped_storage())[:64])
    return content[: at + 9] + bytes([content[at + 9] ^ 1]) + content[at + 10 :]


CORRUPTIONS: dict[str, list[Corruption | None]] = {  # None: the file is removed
    "checkpoint.pt": [lambda _: b"", lambda _: b"nonsense", cut, a_weight, lambda content: content[:-20]],
    "run.json": [lambda _: b"", lambda _: b"[]", cut, a_digit, lambda content: content.replace(b"1", b"0", 1)],
    "epochs.csv": [lambda _: b"", lambda _: b"\xff\xfe\n", cut, a_digit, None],
    "config.yaml": [lambda _: b"", cut, a_digit, None],
}


def corrupt_file(path: Path, corrupt: Corruption | None) -> bytes:
    """Corrupt a file, or remove it if `corrupt` is None; return its new content."""
    content = corrupt(path.read_bytes()) if corrupt else b""
    path.write_bytes(content) if corrupt else path.unlink()
    return content
