"""Run folders as training writes them, without training."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from dropexp.config.planned_run import PlannedRun
from dropexp.files import encode_json, sha256
from dropexp.runs.epochs_table import Columns, Row, add_row, last_figures, num_epochs, to_csv
from dropexp.runs.folder import EPOCHS, PREDICTIONS, RUN, RunFolder
from dropexp.runs.predictions import Predictions, encode
from dropexp.runs.run_json import SCHEMA, RunInfo
from dropexp.runs.state_names import FINISHED, Status
from dropexp.runs.study_file import STUDY

DEFAULTS: dict[str, Any] = {
    "hidden": [256, 256],
    "drop_probs": [0.2, 0.5],
    "lr": 0.5,
    "epochs": 5,
    "batch_size": 256,
    "mask": "rand",
    "eval_train": True,
}


def epoch_row(epoch: int, test_acc: float, *, eval_train: bool = True, seconds: float = 1.0) -> dict[str, Any]:
    """Return a row whose losses and other accuracies are linear in the test accuracy."""
    clean = {"clean_train_loss": 1.9 - 2 * test_acc, "clean_train_acc": test_acc + 0.03} if eval_train else {}
    return {
        "epoch": epoch,
        "train_loss": 2 - 2 * test_acc,
        "train_acc": test_acc - 0.01,
        **clean,
        "test_loss": 2.1 - 2 * test_acc,
        "test_acc": test_acc,
        "lr": 0.5,
        "seconds": seconds,
    }


def write_run(
    runs_dir: Path,
    variant: str = "nn",
    seed: int = 0,
    test_acc: float | list[float] = 0.8,
    *,
    name: str = "dropout",
    arm: str | None = None,
    status: str = "done",
    why: str | None = None,
    device: str = "cpu",
    seconds: list[float] | None = None,
    probed: dict[str, float] | None = None,
    **changed: Any,
) -> RunFolder:
    """Write a run with the test accuracies `test_acc` by epoch; a number x means [x - 0.1, x].

    `probed` has further figures of the last epoch; in the other epochs they are twice as large. With `eval_test=False`
    the figures are those of validation rows. With `eval_every`, other epochs have no evaluation.
    """
    curve = [test_acc - 0.1, test_acc] if isinstance(test_acc, float) else test_acc
    config = {"variant": variant, "seed": seed, **DEFAULTS, **changed}
    times = seconds or [1.0] * len(curve)
    rows = [epoch_row(i + 1, acc, eval_train=config["eval_train"], seconds=times[i]) for i, acc in enumerate(curve)]
    for row in rows:
        row |= {key: value * (1 if row is rows[-1] else 2) for key, value in (probed or {}).items()}
    if changed.get("eval_test") is False:
        rows = [{name.replace("test_", "val_"): value for name, value in row.items()} for row in rows]
    every_epoch = ("epoch", "train_loss", "train_acc", "lr", "seconds")
    for row in rows[:-1]:
        if row["epoch"] % changed.get("eval_every", 1):
            row |= dict.fromkeys(row.keys() - {*every_epoch})
    return _write(runs_dir, config, changed, rows, name, arm, status, why, device)


def write_regression(
    runs_dir: Path,
    variant: str = "scratch",
    seed: int = 0,
    test_loss: float | list[float] = 0.01,
    *,
    name: str = "weight-decay",
    validation: bool = False,
    **changed: Any,
) -> RunFolder:
    """Write a run of linear regression with the losses `test_loss` by epoch; a number x means [100x, 10x, x]."""
    curve = [100 * test_loss, 10 * test_loss, test_loss] if isinstance(test_loss, float) else test_loss
    changed = {"task": "linear-regression", **changed}
    config = {"variant": variant, "seed": seed, "lr": 0.003, "weight_decay": 0.0, "l1": 0.0, **changed}
    rows = [
        {
            "epoch": i + 1,
            "train_loss": loss / 2,
            **({"val_loss": 1.1 * loss} if validation else {}),
            "test_loss": loss,
            "w_norm": 10 * loss**0.5,
            "lr": 0.003,
            "seconds": 0.01,
        }
        for i, loss in enumerate(curve)
    ]
    return _write(runs_dir, config, changed, rows, name, None, "done", None, "cpu")


def _write(
    runs_dir: Path,
    config: dict[str, Any],
    changed: dict[str, Any],
    rows: list[Row],
    name: str,
    arm: str | None,
    status: str,
    why: str | None,
    device: str,
) -> RunFolder:
    """Write run.json, with the table only if the run is finished, and epochs.csv; there is no checkpoint."""
    variant, seed = config["variant"], config["seed"]
    settings = {"variant": variant, **changed, **({"seed": seed} if seed else {}), "device": device}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    cell = f"variant={variant},seed={seed}"
    run = RunFolder(runs_dir / name / f"{cell}-{digest}")
    run.path.mkdir(parents=True, exist_ok=True)
    columns: Columns = {}
    for row in rows:
        add_row(columns, row)
    info = RunInfo(
        status=Status(status),
        why=why,
        name=name,
        arm=arm,
        cell=cell,
        hash=digest,
        config=config,
        settings=settings,
        epoch=len(rows),
        last={**last_figures(columns)},
        table=columns if status in FINISHED else None,
    )
    run.write_info(info)
    if rows:
        (run.path / EPOCHS).write_bytes(to_csv(columns))
    return run


def info_of(planned: PlannedRun, status: str, columns: Columns) -> RunInfo:
    """Return the run.json of a planned run with these figures."""
    return RunInfo(
        status=Status(status),
        name=planned.name,
        arm=planned.arm,
        cell=planned.cell,
        hash=planned.digest("cpu"),
        config=planned.config.model_dump(),
        settings=planned.config.settings("cpu"),
        epoch=num_epochs(columns),
        last={**last_figures(columns)},
        table=columns if status in FINISHED else None,
    )


def write_planned(run: RunFolder, planned: PlannedRun, status: str) -> None:
    """Write the run.json of a planned run with one epoch."""
    run.path.mkdir(parents=True, exist_ok=True)
    run.write_info(info_of(planned, status, {"test_acc": [0.8]}))


def change(run: RunFolder, **changed: Any) -> None:
    """Rewrite run.json with some fields changed."""
    if "status" in changed:
        changed["status"] = Status(changed["status"])
    run.write_info(run.read_info().model_copy(update=changed))


def set_status(run: RunFolder, status: str) -> None:
    """Write another status into run.json, with the table of epochs.csv if it is the status of a finished run."""
    change(run, status=status, table=run.read_table() if status in FINISHED else None)


def write_raw(run: RunFolder, **changed: Any) -> None:
    """Write a run.json with the right checksum and with fields that no training writes."""
    content = run.read_info().model_dump(by_alias=True, mode="json") | changed
    (run.path / RUN).write_bytes(encode_json(content))


def write_arm(
    runs_dir: Path, variant: str, test_accs: list[float], *, first_seed: int = 0, **more: Any
) -> list[RunFolder]:
    """Write a run per final test accuracy, with the seeds `first_seed`, `first_seed` + 1, …"""
    return [write_run(runs_dir, variant, first_seed + i, acc, **more) for i, acc in enumerate(test_accs)]


def write_predictions(
    run: RunFolder, *epochs: int, correct: float = 0.8, images: int = 50, seed: int = 0, unsure: int = 0
) -> None:
    """Write the predictions of a run after these epochs; the last labels are wrong, the first `unsure` guessed."""
    labels = (np.arange(images) % 10).astype(np.uint8)
    draw = np.random.default_rng(seed)
    wrong = np.arange(images) >= round(correct * images)
    confidences = draw.uniform(0.5, 1, images)
    confidences[:unsure] = 0.12
    predictions = Predictions(
        labels=labels,
        classes=((labels + wrong) % 10).astype(np.uint8),
        confidences=confidences.astype(np.float16),
        losses=draw.exponential(size=images).astype(np.float16),
    )
    content = encode(dict.fromkeys(epochs, predictions))
    (run.path / PREDICTIONS).write_bytes(content)
    change(run, predictions_sha256=sha256(content))


def publish(runs_dir: Path, name: str = "dropout", **published: Any) -> None:
    """Write published figures into the study.json of a study as an earlier version did: for all of its runs."""
    declare(runs_dir, name, {"published": published})


def declare(runs_dir: Path, name: str, content: dict[str, Any]) -> None:
    """Write a study.json with any content."""
    (runs_dir / name / STUDY).write_bytes(encode_json({"schema": SCHEMA, **content}))
