"""Corrupted and edited files in every state of a run: what is renamed or rewritten, and that no figure changes."""

from __future__ import annotations

import functools
import io
import itertools
import operator
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.fake_runs import change, write_raw
from helpers.in_process import InProcess
from helpers.recovery import (
    CORRUPTIONS,
    CPU,
    DONE,
    Corruption,
    a_copy,
    a_digit,
    content_of,
    corrupt_file,
    cut,
    interrupt,
    planned,
    train,
)
from helpers.training import table, train_stack
from helpers.weights import same, saved

from dropexp.analysis.comparison import compare
from dropexp.config.schema import Config
from dropexp.config.study import load_config
from dropexp.data.fashion_mnist import Data
from dropexp.errors import CorruptedFile, RunError
from dropexp.files import add_checksum, has_checksum, has_json_checksum
from dropexp.runs.folder import RunFolder
from dropexp.runs.state_names import Status
from dropexp.runs.study_file import STUDY
from dropexp.runs.transitions import status_of
from dropexp.training import checkpoint
from dropexp.training.api import train as library_train
from dropexp.training.events import Ended, Note
from dropexp.training.trained_network import load_trained

pytestmark = pytest.mark.usefixtures("checkpoint_each_epoch")
COUNTS = "2 runs: 1 done, 1 interrupted\n"  # the last line of a dry run

AUTHORITATIVE = [(name, corrupt) for name in ("checkpoint.pt", "run.json") for corrupt in CORRUPTIONS[name]]
DERIVED = [(name, corrupt) for name in ("epochs.csv", "config.yaml") for corrupt in CORRUPTIONS[name]]

# An interrupted run


@pytest.mark.parametrize(("name", "corrupt"), AUTHORITATIVE)
def test_a_corrupted_authoritative_file_of_an_interrupted_run_is_renamed_and_the_run_ends_with_the_same_table(
    name: str, corrupt: Corruption, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    content = corrupt_file(folder / name, corrupt)
    ended, (note,), epochs = train(folder, data)
    assert ended == DONE
    assert str(folder / name) in note and f"is renamed to {name}.corrupted-1" in note and "\n" not in note
    lost = "the run restarts, 2 epochs are lost; kept as epochs.csv.before-1"
    assert note.endswith("the run resumes after epoch 2" if name == "run.json" else lost)
    assert (folder / f"{name}.corrupted-1").read_bytes() == content
    assert epochs == (1 if name == "run.json" else 3)
    assert table(folder) == table(trained / "done") and same(saved(folder), saved(trained / "done"))
    assert status_of(RunFolder(folder)) == "done"


@pytest.mark.parametrize(("name", "corrupt"), DERIVED)
def test_an_edited_derived_file_of_an_interrupted_run_is_rewritten(
    name: str, corrupt: Corruption | None, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    corrupt_file(folder / name, corrupt)
    ended, notes, epochs = train(folder, data)
    assert (ended, epochs) == (DONE, 1)
    if name == "epochs.csv":  # config.yaml is written at each start
        assert notes == [f"{folder / name} was missing or edited and is rewritten from checkpoint.pt"]
    assert table(folder) == table(trained / "done")
    assert (folder / "config.yaml").read_bytes() == (trained / "done" / "config.yaml").read_bytes()
    assert not list(folder.glob("*.corrupted-*"))


def test_torn_or_invalid_rows_after_the_checkpoint_are_cut(trained: Path, tmp_path: Path, data: Data) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    with open(folder / "epochs.csv", "ab") as file:
        file.write(b"3,0.5,\0\0\0\n4,0.")
    assert train(folder, data)[1:] == ([], 1)
    assert table(folder) == table(trained / "done")


def test_a_run_restarts_under_another_torch_with_a_message_and_keeps_its_files(
    trained: Path, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, version = a_copy(trained, "interrupted", tmp_path), str(torch.__version__)
    before = content_of(folder)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "another")
        ended, (note,), epochs = train(folder, data)
    assert (ended, epochs) == (DONE, 3)
    assert note == (
        f"{folder / 'checkpoint.pt'} was written with another torch ({version} → another); the run restarts, "
        "2 epochs are lost; kept as epochs.csv.before-1 and checkpoint.pt.before-1"
    )
    files = content_of(folder)
    assert files.pop("predictions.npz")  # the run is finished now
    kept = {name: content for name, content in files.items() if name not in before}
    assert kept == {f"{name}.before-1": before[name] for name in ("epochs.csv", "checkpoint.pt")}
    for name in ("epochs.csv", "checkpoint.pt"):  # under the old version it would have resumed
        (folder / f"{name}.before-1").replace(folder / name)
    (folder / "run.json").write_bytes(before["run.json"])
    assert train(folder, data) == (DONE, [], 1)
    assert table(folder) == table(trained / "done")


def test_the_lost_epochs_of_a_restart_include_those_after_the_checkpoint(
    trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    (folder / "epochs.csv").write_bytes((trained / "done" / "epochs.csv").read_bytes())
    (folder / "checkpoint.pt").unlink()
    ended, (note,), epochs = train(folder, data)
    assert (ended, epochs) == (DONE, 3)
    missing = f"{folder / 'checkpoint.pt'} is missing; the run restarts, 3 epochs are lost; kept as epochs.csv.before-1"
    assert note == missing


def test_a_restart_that_is_killed_after_it_has_renamed_a_file_restarts_again(
    trained: Path, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__version__", "another")
    replace = os.replace
    for done in range(3):
        folder = a_copy(trained, "interrupted", tmp_path / str(done))
        left = iter(range(done))

        def killed(source: Path, target: Path, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt
            replace(source, target)

        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(os, "replace", killed)
            train(folder, data)
        ended, notes, epochs = train(folder, data)
        assert (ended, epochs, len(notes)) == (DONE, 3, 1) and "2 epochs are lost" in notes[0]
        assert {path.name for path in folder.glob("*.before-*")} == {"epochs.csv.before-1", "checkpoint.pt.before-1"}
        assert table(folder) == table(trained / "done")


def test_a_renamed_file_is_not_overwritten(trained: Path, tmp_path: Path, data: Data) -> None:
    for content in (b"one", b"two"):
        folder = a_copy(trained, "interrupted", tmp_path / content.decode())
        (folder / "checkpoint.pt").write_bytes(content)
        if content == b"two":
            (folder / "checkpoint.pt.corrupted-1").write_bytes(b"one")
        train(folder, data)
    kept = [path.read_bytes() for path in sorted(folder.glob("checkpoint.pt.corrupted-*"))]
    assert kept == [b"one", b"two"]


def test_in_a_stack_each_run_with_a_corrupted_file_is_named(tmp_path: Path, data: Data) -> None:
    runs = [planned(seed=seed) for seed in range(2)]
    folders = [RunFolder(tmp_path / str(seed)) for seed in range(2)]
    events = train_stack(runs, folders, data, CPU)
    for _ in range(2):
        next(events)
    events.close()
    folders[1].checkpoint.write_bytes(b"nonsense")
    found = list(train_stack(runs, folders, data, CPU))
    (note,) = [event for event in found if isinstance(event, Note)]
    assert note.job == 1 and "checkpoint.pt.corrupted-1" in note.text
    assert [event.status for event in found if isinstance(event, Ended)] == ["done", "done"]


# A finished run


@pytest.mark.parametrize("corrupt", CORRUPTIONS["run.json"])
@pytest.mark.parametrize("torch_is", ["the same", "another"])
def test_a_finished_run_with_a_corrupted_run_json_is_finished_at_once_from_its_checkpoint(
    torch_is: str, corrupt: Corruption, trained: Path, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_copy(trained, "done", tmp_path)
    before = content_of(folder)
    content = corrupt_file(folder / "run.json", corrupt)
    assert status_of(RunFolder(folder)) == "corrupted"
    with monkeypatch.context() as patch:
        if torch_is == "another":
            patch.setattr(torch, "__version__", "another")
        ended, (note,), epochs = train(folder, data)
    assert (ended, epochs) == (DONE, 0)
    assert "run.json.corrupted-1" in note and note.endswith("the run resumes after epoch 3")
    after = content_of(folder)
    assert after.pop("run.json.corrupted-1") == content
    assert {**after, "run.json": b""} == {**before, "run.json": b""}
    assert status_of(RunFolder(folder)) == "done"


def test_a_stopped_run_with_a_corrupted_run_json_is_finished_at_once_under_another_torch(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned(epochs=40, early_stopping=1, validation_size=100, lr=0.5)
    train(tmp_path, data, run)
    before = table(tmp_path)
    assert len(before.splitlines()) < 41
    (tmp_path / "run.json").write_text("{")
    monkeypatch.setattr(torch, "__version__", "another")
    ended, _, epochs = train(tmp_path, data, run)
    assert (ended, epochs, table(tmp_path)) == (DONE, 0, before)


@pytest.mark.parametrize("corrupt", CORRUPTIONS["checkpoint.pt"])
def test_a_finished_run_stays_finished_if_its_checkpoint_is_corrupted(
    corrupt: Corruption, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "done", tmp_path)
    corrupt_file(folder / "checkpoint.pt", corrupt)
    before = content_of(folder)
    assert train(folder, data) == (DONE, [], 0)
    assert content_of(folder) == before
    with pytest.raises(RunError, match=r"checkpoint\.pt is corrupted .*--force"):
        load_trained(RunFolder(folder))


@pytest.mark.parametrize("checkpoint_is", ["missing", "corrupted"])
def test_a_finished_run_without_any_authoritative_file_restarts_and_keeps_its_figures(
    checkpoint_is: str, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "done", tmp_path)
    figures = (folder / "epochs.csv").read_bytes()
    (folder / "run.json").write_bytes(b"{")
    corrupt_file(folder / "checkpoint.pt", cut if checkpoint_is == "corrupted" else None)
    ended, notes, epochs = train(folder, data)
    assert (ended, epochs) == (DONE, 3)
    assert len(notes) == (3 if checkpoint_is == "corrupted" else 2)
    assert notes[-2].endswith("the run restarts") and "epochs.csv.corrupted-1" in notes[-1]
    assert (folder / "epochs.csv.corrupted-1").read_bytes() == figures
    assert table(folder) == table(trained / "done")


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize(("name", "corrupt"), DERIVED)
def test_an_edited_derived_file_of_a_finished_run_is_rewritten_whatever_its_checkpoint(
    name: str, corrupt: Corruption | None, stacked: bool, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "done", tmp_path)
    (folder / "checkpoint.pt").unlink()
    before = content_of(folder)
    corrupt_file(folder / name, corrupt)
    assert status_of(RunFolder(folder)) == "done"
    ended, (note,), epochs = train(folder, data, stacked=stacked)
    assert (ended, epochs) == (DONE, 0)
    assert str(folder / name) in note and note.endswith("is rewritten from run.json")
    assert content_of(folder) == before


def test_a_comparison_reads_run_json_alone(tmp_path: Path, data: Data) -> None:
    for seed in range(3):
        folder = tmp_path / "study" / f"seed={seed}-0000000{seed}"
        train(folder, data, planned(seed=seed))
        for name in ("epochs.csv", "config.yaml", "predictions.npz", "checkpoint.pt", ".lock"):
            (folder / name).unlink()
    corrupted = tmp_path / "study" / "seed=1-00000001" / "run.json"
    assert list(compare("study", tmp_path).arms["n"]) == [3]
    corrupt_file(corrupted, a_digit)
    result = compare("study", tmp_path)
    assert list(result.arms["n"]) == [2]
    assert any("left out" in note and f"{corrupted} is corrupted" in note for note in result.notes)
    assert not [path for path in tmp_path.glob("study/*/*") if path.name != "run.json"]  # nothing was written


def test_a_result_stays_if_its_repair_runs_out_of_memory(
    trained: Path, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*arguments: object) -> None:
        raise MemoryError("no memory")

    folder = a_copy(trained, "done", tmp_path)
    corrupt_file(folder / "run.json", cut)
    before = content_of(folder)
    monkeypatch.setattr(checkpoint.TrainingState, "fresh", no_memory)
    assert train(folder, data)[0] == Ended(0, Status.FAILED, "MemoryError: no memory")
    assert content_of(folder) == before


def test_a_run_json_with_settings_of_another_hash_is_rewritten_from_the_checkpoint(
    trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "done", tmp_path)
    change(RunFolder(folder), settings=RunFolder(folder).read_info().settings | {"lr": 7.0})
    ended, (note,), epochs = train(folder, data)
    assert (ended, epochs) == (DONE, 0) and "another hash" in note
    assert status_of(RunFolder(folder), planned()) == "done"


def test_a_run_json_that_no_training_writes_is_renamed(trained: Path, tmp_path: Path, data: Data) -> None:
    folder = a_copy(trained, "done", tmp_path)
    write_raw(RunFolder(folder), arm=5)
    assert has_json_checksum((folder / "run.json").read_bytes())
    ended, (note,), epochs = train(folder, data)
    assert (ended, epochs) == (DONE, 0) and "invalid: arm" in note


# Reading


def test_any_changed_bit_of_a_checkpoint_is_detected(trained: Path, tmp_path: Path) -> None:
    folder = RunFolder(a_copy(trained, "done", tmp_path))
    content = folder.checkpoint.read_bytes()
    draw = random.Random(0)
    for at in [*draw.sample(range(len(content)), 60), *range(len(content) - 73, len(content))]:
        folder.checkpoint.write_bytes(content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :])
        with pytest.raises(CorruptedFile):
            checkpoint.read(folder)


def test_torch_loads_a_checkpoint_with_its_checksum(trained: Path) -> None:
    content = (trained / "done" / "checkpoint.pt").read_bytes()
    assert has_checksum(content)
    assert torch.load(trained / "done" / "checkpoint.pt", weights_only=True)["schema"] == 2


def fields(tree: Any) -> list[tuple[Any, ...]]:
    """Return the path of keys and indices to every value in nested mappings and lists."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path for key, value in items for path in ((key,), *((key, *rest) for rest in fields(value)))]


@pytest.mark.parametrize("variant", ["scratch", "nn"])
@pytest.mark.parametrize("task", ["fashion-mnist", "linear-regression"])
def test_a_checkpoint_with_any_field_removed_or_of_another_type_changes_no_figure(
    task: str, variant: str, tmp_path: Path, data: Data
) -> None:
    """Except the figures and column names of its table, which only the checksum protects."""
    run = planned(variant=variant, momentum=0.9, weight_decay=1e-4, epochs=2, batch_size=300)
    if task == "linear-regression":
        config = {"task": task, "variant": variant, "weight_decay": 3, "epochs": 2}
        run = replace(run, config=Config.model_validate(config))
    train(tmp_path / "done", data, run)
    interrupt(tmp_path / "interrupted", data, 1, run)
    whole = torch.load(tmp_path / "interrupted" / "checkpoint.pt", weights_only=True)
    others = itertools.cycle(("x", 0.5, torch.zeros(3)))
    for *path, last in fields(whole):
        for other in (None, next(others)):  # None: it is removed
            if path[:1] == ["columns"] and (isinstance(other, float) if len(path) == 2 else other is None):
                continue
            changed = deepcopy(whole)
            parent = functools.reduce(operator.getitem, path, changed)
            if other is None:
                del parent[last]
            else:
                parent[last] = other
            file = io.BytesIO()
            torch.save(changed, file)
            folder = a_copy(tmp_path, "interrupted", tmp_path / "changed")
            (folder / "checkpoint.pt").write_bytes(add_checksum(file.getvalue()))  # so that the checksum is right
            ended, notes, _ = train(folder, data, run)
            assert ended == DONE, (path, last, other, ended)
            assert table(folder) == table(tmp_path / "done"), (path, last, other, notes)
            assert same(saved(folder), saved(tmp_path / "done")), (path, last, other, notes)
            shutil.rmtree(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
@pytest.mark.parametrize("name", ["checkpoint.pt", "epochs.csv", "run.json"])
def test_a_named_pipe_in_place_of_a_file_is_rejected_without_waiting(name: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    readers: dict[str, Callable[[], object]] = {
        "run.json": folder.read_info,
        "epochs.csv": folder.read_table,
        "checkpoint.pt": lambda: checkpoint.read(folder),
    }
    os.mkfifo(tmp_path / name)
    with pytest.raises(RunError, match=f"{name} is not a file"):
        readers[name]()


# The command

TINY = "name: tiny\ntask: linear-regression\nepochs: 3\nmatrix:\n  variant: [scratch]\n  seed: 0..3\n"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_command_names_each_corrupted_file_and_leaves_other_runs_unchanged(jobs: str, cli: InProcess) -> None:
    config = cli.write("tiny.yaml", TINY + "published: {loss: [1]}\n")
    cli("train", "-c", config, "--jobs", "1", "-q")
    whole = cli.tables()
    one, two, *others = sorted((cli.folder / "runs" / "tiny").glob("*seed=*"))
    before = [(path / "run.json").stat().st_mtime_ns for path in others]
    (one / "epochs.csv").write_bytes(a_digit((one / "epochs.csv").read_bytes()))
    (two / "run.json").write_bytes(b"{")
    (one.parent / STUDY).write_bytes(b"{")
    messages = cli("train", "-c", config, "--jobs", jobs, "-q").stderr
    for path, what in (
        (one / "epochs.csv", "edited"),
        (two / "run.json", "corrupted"),
        (one.parent / STUDY, "corrupted"),
    ):
        assert f"{path.relative_to(cli.folder)} was {what}" in messages
    assert len(messages.splitlines()) == 3
    assert cli.tables() == whole
    assert [(path / "run.json").stat().st_mtime_ns for path in others] == before
    assert cli("train", "-c", config, "-q").stderr == ""
    (two / "run.json").write_bytes(b"{")
    assert "run.json is corrupted" in cli("evaluate", two.name, code=5).stderr


@pytest.mark.parametrize("keys", ["task: linear-regression", "train_size: 100\nhidden: [8]\ndrop_probs: [0.5]"])
def test_a_dry_run_reports_which_runs_would_restart_and_writes_nothing(
    keys: str, cli: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = cli.write("tiny.yaml", f"{keys}\nvariant: nn\nepochs: 4\nmatrix: {{seed: 0..1}}\n")
    study = load_config(cli.folder / config)
    rows = library_train(study, runs_dir=cli.folder / "runs", data_dir=cli.environment["DROPEXP_DATA"], device="cpu")
    for _ in range(6):
        next(rows)
    rows.close()
    assert cli("train", "-c", config, "--device", "cpu", "--dry-run").stderr == COUNTS
    (checkpoint,) = cli.folder.glob("runs/tiny/seed=1-*/checkpoint.pt")
    before = content_of(checkpoint.parent)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "another")
        done = cli("train", "-c", config, "--device", "cpu", "--dry-run")
        assert cli("train", "-c", config, "--device", "cpu", "--dry-run", "--force").stderr == COUNTS
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["done", "interrupted"]
    assert done.stderr == (
        f"{COUNTS}note: {checkpoint.relative_to(cli.folder)} was written with another torch "
        f"({torch.__version__} → another); the run restarts, 2 epochs are lost\n"
    )
    assert content_of(checkpoint.parent) == before
    checkpoint.write_bytes(b"x")
    stderr = cli("train", "-c", config, "--device", "cpu", "--dry-run").stderr
    assert "checkpoint.pt is corrupted (" in stderr and stderr.endswith("; the run restarts, 2 epochs are lost\n")


def test_a_resumed_run_keeps_the_time_of_its_first_epoch(tmp_path: Path, data: Data) -> None:
    folder = interrupt(tmp_path / "run", data, 1)
    began = RunFolder(folder).read_info().provenance["began"]
    for _ in range(2):
        train(folder, data)
        assert RunFolder(folder).read_info().provenance["first_began"] == began
