"""Studies of fake runs."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

from helpers.fake_runs import change, publish, write_arm, write_regression, write_run

from dropexp.config.study import load_config
from dropexp.runs.study_file import write_study


def write_realistic_study(
    runs_dir: Path, name: str = "dropout", seeds: int = 5, epochs: int = 5, **changed: Any
) -> None:
    """Write runs of none, nn and scratch whose curves rise and flatten, and whose seeds scatter."""
    for i, variant in enumerate(("none", "nn", "scratch")):
        for seed in range(seeds):
            noise = random.Random(seed * 10 + i)
            accs = [0.86 - 0.12 / (e + 1) + 0.003 * i + noise.gauss(0, 0.006) for e in range(epochs)]
            write_run(runs_dir, variant, seed, accs, name=name, epochs=epochs, **changed)


def write_runs_of(config: Path, runs_dir: Path, seeds: str | None = None, *settings: str, device: str = "cpu") -> None:
    """Write the runs of a config, with the names, hashes and settings that training gives them, and study.json."""
    study = load_config(config, settings, seeds)
    for run in study.runs:
        keys = run.config.model_dump()
        figures = [0.8 + 0.001 * run.config.seed] * min(run.config.epochs, 10)  # enough for published figures
        if run.config.task == "linear-regression":
            folder = write_regression(runs_dir, test_loss=figures, name=run.name, **keys)
        else:
            folder = write_run(runs_dir, test_acc=figures, name=run.name, **keys)
        change(folder, arm=run.arm, hash=run.digest(device), settings=run.config.settings(device), cell=run.cell)
        named = folder.path.with_name(f"{run.cell}-{run.digest(device)}")
        shutil.rmtree(named, ignore_errors=True)
        folder.path.rename(named)
    write_study(runs_dir, study)


def rising(top: float, epochs: int = 5) -> list[float]:
    """Return accuracies by epoch that rise towards `top`."""
    return [round(top - 0.3 / epoch**2, 4) for epoch in range(1, epochs + 1)]


def write_two_arms(runs_dir: Path) -> None:
    """Write none and nn over four seeds, and published figures of nn."""
    for seed, shift in enumerate((0.0, 0.01, -0.01, 0.005)):
        write_run(runs_dir, "none", seed, rising(0.82 + shift))
        write_run(runs_dir, "nn", seed, rising(0.84 + 0.9 * shift))
    publish(runs_dir, arm="nn", source="a book", test_acc=[*rising(0.84)[:4], 0.7], train_acc=rising(0.83))


def write_three_arms(runs_dir: Path) -> None:
    """Write none, nn and scratch over three seeds, and with a fourth seed a diverged nn and an interrupted scratch."""
    write_arm(runs_dir, "none", [0.80, 0.82, 0.84])
    write_arm(runs_dir, "nn", [0.81, 0.84, 0.87])
    write_arm(runs_dir, "scratch", [0.79, 0.80, 0.81])
    write_run(runs_dir, "nn", 3, status="diverged", why="the loss is nan in epoch 2")
    write_run(runs_dir, "scratch", 3, status="interrupted")


def write_sweeps(runs_dir: Path) -> None:
    """Write three studies: learning rates over a factor of 500, of two variants; drop probabilities; batch sizes."""
    for i, lr in enumerate((0.001, 0.01, 0.5)):
        for variant in ("nn", "scratch"):
            write_arm(runs_dir, variant, [0.7 + 0.05 * i, 0.71 + 0.05 * i], lr=lr, name="lr")
    for drop_probs in ([0.2, 0.5], [0.5, 0.5]):
        write_arm(runs_dir, "nn", [0.8, 0.81 + drop_probs[0] / 10], drop_probs=drop_probs, name="drop")
    write_arm(runs_dir, "none", [0.79, 0.8], name="drop")
    for batch_size in (64, 128):
        write_arm(runs_dir, "nn", [0.8, 0.81], batch_size=batch_size, name="batch")
