"""One run: the files it writes, resuming after an interrupt, and that only its config matters."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from helpers.fake_runs import change
from helpers.training import end_of, notes_of, rows_of, table, train_run, train_stack
from helpers.weights import same, saved

from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.config.study import load_config
from dropexp.data.fashion_mnist import Data
from dropexp.nets import matmul
from dropexp.runs import transitions
from dropexp.runs.epochs_table import num_epochs
from dropexp.runs.folder import FILES, RunFolder
from dropexp.runs.run_json import RunInfo
from dropexp.runs.state_names import Status
from dropexp.runs.transitions import status_of
from dropexp.training import checkpoint, run_group
from dropexp.training.events import Ended, Event

CPU = torch.device("cpu")
VARIANTS = ["none", "nn", "scratch"]


def planned(**keys: Any) -> PlannedRun:
    keys = {"hidden": [32, 16], "batch_size": 64, "epochs": 4, "init": "torch", "lr": 0.1} | keys
    return PlannedRun("study", None, "cell", Config.model_validate(keys))


def train(run: PlannedRun, folder: Path, data: Data, **options: Any) -> Ended:
    return end_of(train_run(run, RunFolder(folder), data, CPU, **options))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_leaves_a_table_a_config_a_checkpoint_and_where_it_came_from(
    variant: str, tmp_path: Path, data: Data
) -> None:
    outcome = train(planned(variant=variant), tmp_path, data)
    assert outcome == Ended(0, Status.DONE)
    epochs = pd.read_csv(tmp_path / "epochs.csv")
    assert list(epochs.columns) == [
        *("epoch", "train_loss", "train_acc", "clean_train_loss", "clean_train_acc"),
        *("test_loss", "test_acc", "lr", "seconds"),
    ]
    assert list(epochs["epoch"]) == [1, 2, 3, 4]
    assert epochs["test_acc"].iloc[-1] > 0.3
    info = json.loads((tmp_path / "run.json").read_bytes())
    assert info["status"] == "done" and info["schema"] == 2 and info["epoch"] == 4
    assert info["last"]["test_acc"] == epochs["test_acc"].iloc[-1]
    assert info["table"] == {name: list(epochs[name]) for name in epochs.columns if name != "epoch"}
    for key in ("dropexp", "python", "torch", "platform", "cpu", "commit", "device", "threads", "route", "data"):
        assert key in info["provenance"]
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert checkpoint["epoch"] == 4


def test_the_written_config_trains_the_same_run_again(tmp_path: Path, data: Data) -> None:
    run = planned(variant="scratch", seed=3, momentum=0.5)
    train(run, tmp_path / "a", data)
    again = load_config(tmp_path / "a" / "config.yaml")
    assert again.name == "study"
    assert again.runs[0].config == run.config
    train(again.runs[0], tmp_path / "b", data)
    assert table(tmp_path / "a") == table(tmp_path / "b")
    assert same(saved(tmp_path / "a"), saved(tmp_path / "b"))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "keys",
    [
        *({"variant": variant, "momentum": 0.9} for variant in [*VARIANTS, "dropconnect-per-example"]),
        {"variant": "scratch", "optimizer": "adamw", "lr": 0.01, "weight_decay": 0.01},
        {"variant": "nn", "optimizer": "adam", "lr": 0.01},
    ],
    ids=str,
)
@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupted_run_resumes_to_the_same_table(
    keys: dict[str, Any], after: int, tmp_path: Path, data: Data
) -> None:
    run = planned(**keys, validation_size=50)
    train(run, tmp_path / "whole", data)
    rows = train_run(run, RunFolder(tmp_path / "cut"), data, CPU)
    for _ in range(after):
        next(rows)
    rows.close()
    assert RunFolder(tmp_path / "cut").read_info().status == "interrupted"
    resumed = rows_of(train_run(run, RunFolder(tmp_path / "cut"), data, CPU))
    assert resumed[-1]["epoch"] == 4
    assert len(resumed) < 4  # it did not restart
    assert table(tmp_path / "cut") == table(tmp_path / "whole")
    assert same(saved(tmp_path / "cut"), saved(tmp_path / "whole"))


def test_an_interrupt_before_a_run_resumes_leaves_run_json_unchanged(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, folder = planned(variant="none"), RunFolder(tmp_path)
    rows = train_run(run, folder, data, CPU)
    next(rows)
    rows.close()
    before = (tmp_path / "run.json").read_bytes()

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dropexp.training.active_run.resume", interrupted)
    for training in (train_run(run, folder, data, CPU), train_stack([run], [folder], data, CPU)):
        with pytest.raises(KeyboardInterrupt):
            next(training)
        assert (tmp_path / "run.json").read_bytes() == before


def test_an_interrupt_on_a_full_disk_is_raised_as_an_interrupt(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RunFolder, info: RunInfo) -> None:
        raise OSError("no space left on device")

    run = planned(variant="none")
    lone = train_run(run, RunFolder(tmp_path / "lone"), data, CPU)
    stacked = train_stack([run], [RunFolder(tmp_path / "stacked")], data, CPU)
    next(lone), next(stacked)
    monkeypatch.setattr(RunFolder, "write_info", full)
    for training in (lone, stacked):
        with pytest.raises(KeyboardInterrupt):
            training.throw(KeyboardInterrupt())


@pytest.mark.parametrize("removed", range(2))
@pytest.mark.parametrize("before", ["an epoch", "a result"])
def test_a_run_that_is_killed_while_it_restarts_leaves_no_other_files(
    before: str, removed: int, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kill follows `removed` removals. The run has trained an epoch without a checkpoint, or is forced."""
    run, whole, folder = planned(variant="nn"), tmp_path / "whole", tmp_path / "killed"
    train(run, whole, data)
    if before == "a result":
        train(run, folder, data)
    else:
        events = train_run(run, RunFolder(folder), data, CPU)
        next(events)
        events.close()
        (folder / "checkpoint.pt").unlink()
        change(RunFolder(folder), epoch=0, last={})
    unlink, left = Path.unlink, removed

    def killed(self: Path, missing_ok: bool = False) -> None:
        nonlocal left
        if self.parent == folder and self.name in FILES:
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        train(run, folder, data, force=before == "a result")
    monkeypatch.undo()
    stays = before == "a result" and removed == 0
    assert status_of(RunFolder(folder)) == ("done" if stays else "interrupted")
    assert len(rows_of(train_run(run, RunFolder(folder), data, CPU, force=stays))) == 4  # all its epochs
    assert status_of(RunFolder(folder)) == "done"
    assert {path.name for path in folder.iterdir()} == {*FILES, ".lock"}
    assert table(folder) == table(whole)


def test_rows_past_the_checkpoint_are_cut_and_trained_again(tmp_path: Path, data: Data) -> None:
    run = planned(variant="nn")
    train(run, tmp_path / "whole", data)
    rows = train_run(run, RunFolder(tmp_path / "cut"), data, CPU)
    next(rows)
    rows.close()
    folder = RunFolder(tmp_path / "cut")
    checkpointed = folder.checkpoint.read_bytes()
    list(zip(range(2), train_run(run, folder, data, CPU), strict=False))
    folder.checkpoint.write_bytes(checkpointed)  # as if it had been killed before the later checkpoints
    with open(folder.path / "epochs.csv", "ab") as file:
        file.write(b"4,0.5,0.")  # and in the middle of a line
    train(run, folder.path, data)
    assert table(tmp_path / "cut") == table(tmp_path / "whole")


def test_a_run_without_its_checkpoint_restarts(tmp_path: Path, data: Data) -> None:
    run = planned(variant="scratch")
    train(run, tmp_path / "whole", data)
    rows = train_run(run, RunFolder(tmp_path / "cut"), data, CPU)
    next(rows)
    rows.close()
    (tmp_path / "cut" / "checkpoint.pt").unlink()
    assert len(rows_of(train_run(run, RunFolder(tmp_path / "cut"), data, CPU))) == 4
    assert table(tmp_path / "cut") == table(tmp_path / "whole")


def test_a_run_started_with_another_matmul_backend_is_not_resumed(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned(variant="none")
    rows = train_run(run, RunFolder(tmp_path), data, CPU)
    next(rows)
    rows.close()
    other = "plain" if matmul.best_backend() == "onednn" else "onednn"
    monkeypatch.setattr(matmul, "best_backend", lambda rows: other)
    monkeypatch.setattr(torch, "__version__", "99.0")
    events = list(train_run(run, RunFolder(tmp_path), data, CPU))
    assert len(rows_of(events)) == 4
    (note,) = notes_of(events)
    assert "checkpoint.pt was written with another matmul backend (" in note and f"→ {other}), torch (" in note
    assert "→ 99.0); the run restarts, 1 epoch is lost; kept as " in note


def test_a_finished_run_is_left_alone_unless_forced(tmp_path: Path, data: Data) -> None:
    run = planned(variant="nn")
    train(run, tmp_path, data)
    before = (tmp_path / "epochs.csv").stat().st_mtime_ns
    assert train(run, tmp_path, data) == Ended(0, Status.DONE)
    assert (tmp_path / "epochs.csv").stat().st_mtime_ns == before
    train(run, tmp_path, data, force=True)
    assert (tmp_path / "epochs.csv").stat().st_mtime_ns != before


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_a_forced_run_that_cannot_start_keeps_the_old_result(
    error: type[BaseException], stacked: bool, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*args: object) -> None:
        raise error

    run = planned(variant="scratch")
    train(run, tmp_path, data)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(checkpoint.TrainingState, "fresh", none)
    with pytest.raises(KeyboardInterrupt) if error is KeyboardInterrupt else nullcontext():
        if stacked:
            list(train_stack([run], [RunFolder(tmp_path)], data, CPU, force=True))
        else:
            assert train(run, tmp_path, data, force=True).status == "failed"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_stack_that_is_forced_trains_again(tmp_path: Path, data: Data) -> None:
    run = planned(variant="scratch")
    for _ in range(2):
        events = list(train_stack([run], [RunFolder(tmp_path)], data, CPU, force=True))
        assert len(rows_of(events)) == run.config.epochs == num_epochs(RunFolder(tmp_path).read_table())
        assert end_of(events) == Ended(0, Status.DONE)


def test_an_interrupt_while_the_result_is_written_marks_the_run_as_interrupted(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(transitions, "finish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(planned(variant="none"), tmp_path, data)
    assert RunFolder(tmp_path).read_info().status == "interrupted"
    assert train(planned(variant="none"), tmp_path, data) == Ended(0, Status.DONE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(variant: str, tmp_path: Path, data: Data) -> None:
    run = planned(variant=variant, lr=1e30)
    outcome = train(run, tmp_path, data)
    assert outcome.status == "diverged"
    assert "not finite in epoch 1" in str(outcome.why)
    assert len(pd.read_csv(tmp_path / "epochs.csv")) == 1
    json.loads((tmp_path / "run.json").read_text(), parse_constant=pytest.fail)  # strict JSON has no NaN
    assert train(run, tmp_path, data).status == "diverged"  # a result: not trained again


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_diverged_run_killed_before_it_was_recorded_ends_the_same(epochs: int, tmp_path: Path, data: Data) -> None:
    run = planned(variant="scratch", lr=1e30, epochs=epochs)
    train(run, tmp_path / "whole", data)
    rows = train_run(run, RunFolder(tmp_path / "cut"), data, CPU)
    next(rows)  # the row whose loss is not finite
    rows.close()
    assert train(run, tmp_path / "cut", data).status == "diverged"
    assert table(tmp_path / "cut") == table(tmp_path / "whole")


def test_a_folder_that_cannot_be_created_fails_the_run_with_a_message(tmp_path: Path, data: Data) -> None:
    (tmp_path / "file").write_text("")
    outcome = train(planned(variant="none"), tmp_path / "file" / "run", data)
    assert outcome.status == "failed"
    assert outcome.why == f"its folder cannot be written: {tmp_path / 'file'} is a file, not a folder"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("done", [False, True])
def test_the_folder_of_another_run_is_left_unchanged(
    done: bool, force: bool, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("config.planned_run", "runs.transitions"):
        monkeypatch.setattr(f"dropexp.{module}.digest", lambda settings: "0123abcd")
    one, other = (planned(variant="none", seed=seed) for seed in (0, 1))
    rows = train_run(one, RunFolder(tmp_path), data, CPU)
    list(rows) if done else next(rows)
    rows.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    outcome = train(other, tmp_path, data, force=force)
    assert outcome.status == "failed"
    assert f"{tmp_path} holds another run with the same hash" in str(outcome.why)
    assert list(train_stack([other], [RunFolder(tmp_path)], data, CPU, force=force)) == [outcome]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_run_folder_that_is_a_link_is_rejected(tmp_path: Path, data: Data) -> None:
    run = planned(variant="none")
    train(run, tmp_path / "elsewhere", data)
    before = {path.name: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()}
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    outcome = train(run, tmp_path / "run", data, force=True)
    assert outcome.status == "failed" and f"{tmp_path / 'run'} is a link" in str(outcome.why)
    assert {path.name: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()} == before


def test_a_disk_without_locks_fails_the_run_with_a_message(tmp_path: Path, data: Data, no_locks: None) -> None:
    outcome = train(planned(variant="none"), tmp_path, data)
    assert outcome.status == "failed"
    assert "is on a disk where locks do not work" in str(outcome.why) and "--runs-dir" in str(outcome.why)


def test_the_error_of_a_failed_run_is_kept_and_the_next_command_trains_it_again(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **options: object) -> None:
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(run_group, "fit", broken)
        outcome = train(planned(variant="none"), tmp_path, data)
    assert outcome == Ended(0, Status.FAILED, "MemoryError: no room")
    assert RunFolder(tmp_path).read_info().why == "MemoryError: no room"
    assert train(planned(variant="none"), tmp_path, data).status == "done"


def test_a_run_that_is_being_trained_is_busy(tmp_path: Path, data: Data) -> None:
    first = train_run(planned(variant="none"), RunFolder(tmp_path), data, CPU)
    next(first)
    assert train(planned(variant="none"), tmp_path, data) == Ended(0, Status.BUSY, "another process is training it")
    first.close()


@pytest.mark.parametrize("variant", VARIANTS)
def test_runs_trained_in_turn_in_one_process_do_not_disturb_each_other(
    variant: str, tmp_path: Path, data: Data
) -> None:
    runs = [planned(variant=variant, seed=seed) for seed in (0, 1)]
    for run in runs:
        train(run, tmp_path / f"alone{run.config.seed}", data)
    before = torch.get_rng_state()
    generators: list[Generator[Event]] = [
        train_run(run, RunFolder(tmp_path / f"turn{run.config.seed}"), data, CPU) for run in runs
    ]
    for events in zip(*generators, strict=True):
        if rows := rows_of(events):  # none in the last events
            assert len({row["test_loss"] for row in rows}) == 2
    assert torch.equal(torch.get_rng_state(), before)  # nor torch's default generator
    for seed in (0, 1):
        assert table(tmp_path / f"turn{seed}") == table(tmp_path / f"alone{seed}")
        assert same(saved(tmp_path / f"turn{seed}"), saved(tmp_path / f"alone{seed}"))


def test_variants_of_one_seed_share_data_order_and_initial_parameters(tmp_path: Path, data: Data) -> None:
    """Without noise, all three then train equally within rounding."""
    losses = {}
    for variant in VARIANTS:
        run = planned(variant=variant, drop_probs=[0.0, 0.0], train_size=300, validation_size=60, epochs=2)
        train(run, tmp_path / variant, data)
        losses[variant] = pd.read_csv(tmp_path / variant / "epochs.csv")["val_loss"]
    assert losses["nn"].to_list() == pytest.approx(losses["none"].to_list(), rel=1e-5)
    assert losses["scratch"].to_list() == pytest.approx(losses["none"].to_list(), rel=1e-5)


def test_fused_false_trains_the_reference_implementation(tmp_path: Path, data: Data) -> None:
    for fused in (True, False):
        train(planned(variant="none", fused=fused, epochs=2), tmp_path / str(fused), data)
    tuned, reference = (pd.read_csv(tmp_path / name / "epochs.csv")["test_loss"] for name in ("True", "False"))
    assert tuned.to_list() == pytest.approx(reference.to_list(), rel=1e-5)
    assert planned(variant="none", fused=False).digest("cpu") != planned(variant="none").digest("cpu")


def test_columns_that_a_config_does_not_request_are_absent(tmp_path: Path, data: Data) -> None:
    train(planned(variant="none", eval_train=False, epochs=1), tmp_path, data)
    assert "clean_train_loss" not in pd.read_csv(tmp_path / "epochs.csv").columns
    assert "val_acc" not in pd.read_csv(tmp_path / "epochs.csv").columns
