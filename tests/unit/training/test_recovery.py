"""Corrupted and edited files in every state of a run: what is renamed or rewritten, and that no figure changes."""

from __future__ import annotations

import functools
import io
import json
import operator
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from helpers.command import Command
from helpers.fake_runs import change, write_raw
from helpers.training import end_of, notes_of, rows_of, train_run, train_stack
from helpers.weights import same, saved

from dropexp.analysis.comparison import compare
from dropexp.config.schema import Config
from dropexp.config.study import PlannedRun, load_config
from dropexp.data.fashion_mnist import Data
from dropexp.errors import CorruptedFile, RunError
from dropexp.files import add_checksum, encode_json, has_checksum
from dropexp.runs.folder import RunFolder
from dropexp.runs.state import status_of
from dropexp.runs.status import Status
from dropexp.runs.study_file import STUDY
from dropexp.training import checkpoint
from dropexp.training.events import Ended, Note
from dropexp.training.trial import trials_of

CPU = torch.device("cpu")
SCHEMA_1 = Path(__file__).parents[2] / "schema-1"
Harm = Callable[[bytes], bytes]


@pytest.fixture(scope="module", autouse=True)
def one_thread_and_a_checkpoint_each_epoch() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "CHECKPOINT_SHARE", 1e9)
        yield
    torch.set_num_threads(threads)


def planned(**keys: Any) -> PlannedRun:
    keys = {"variant": "scratch", "hidden": [16, 8], "batch_size": 64, "epochs": 3, "init": "torch", "lr": 0.1} | keys
    return PlannedRun("study", None, "cell", Config.model_validate(keys))


def train(folder: Path, data: Data, run: PlannedRun | None = None, **options: Any) -> tuple[Ended, list[str], int]:
    """Return how the run ended, the messages, and how many epochs were trained."""
    events = list(train_run(run or planned(), RunFolder(folder), data, CPU, **options))
    return end_of(events), notes_of(events), len(rows_of(events))


DONE = Ended(0, Status.DONE)


def interrupt(folder: Path, data: Data, epochs: int, run: PlannedRun | None = None) -> Path:
    """Train so many epochs of a run."""
    events = train_run(run or planned(), RunFolder(folder), data, CPU)
    for _ in range(epochs):
        next(events)
    events.close()
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Data) -> Path:
    """A folder with a finished run, and with one that was interrupted after two epochs."""
    root = tmp_path_factory.mktemp("trained")
    train(root / "done", data)
    interrupt(root / "interrupted", data, 2)
    return root


def a_copy(trained: Path, state: str, to: Path) -> Path:
    return Path(shutil.copytree(trained / state, to / state))


def table(folder: Path) -> str:
    """epochs.csv without its one column that differs from run to run."""
    return pd.read_csv(folder / "epochs.csv", dtype=str).drop(columns="seconds").to_csv(index=False)


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def a_digit(content: bytes) -> bytes:
    """With one digit of the figures changed, so that it reads as well as before."""
    at = next(i for i in range(len(content) * 2 // 3, len(content)) if content[i : i + 2].isdigit())
    return content[:at] + (b"3" if content[at : at + 1] != b"3" else b"4") + content[at + 1 :]


def a_weight(content: bytes) -> bytes:
    """With one bit of a weight changed, which torch reads without an error."""
    saved = torch.load(io.BytesIO(content), weights_only=True)
    at = content.index(bytes(saved["network"]["W1"].untyped_storage())[:64])
    return content[: at + 9] + bytes([content[at + 9] ^ 1]) + content[at + 10 :]


HARMS: dict[str, list[Harm | None]] = {  # None: the file is removed
    "checkpoint.pt": [lambda _: b"", lambda _: b"nonsense", cut, a_weight, lambda content: content[:-20]],
    "run.json": [lambda _: b"", lambda _: b"[]", cut, a_digit, lambda content: content.replace(b"1", b"0", 1)],
    "epochs.csv": [lambda _: b"", lambda _: b"\xff\xfe\n", cut, a_digit, None],
    "config.yaml": [lambda _: b"", cut, a_digit, None],
}
TRUTHS = [(name, harm) for name in ("checkpoint.pt", "run.json") for harm in HARMS[name]]
DERIVED = [(name, harm) for name in ("epochs.csv", "config.yaml") for harm in HARMS[name]]


def do_harm(path: Path, harm: Harm | None) -> bytes:
    """Change a file; return its new content."""
    content = harm(path.read_bytes()) if harm else b""
    path.write_bytes(content) if harm else path.unlink()
    return content


# An interrupted run


@pytest.mark.parametrize(("name", "harm"), TRUTHS)
def test_a_corrupted_truth_of_an_interrupted_run_is_renamed_and_the_run_ends_with_the_same_table(
    name: str, harm: Harm, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    harmed = do_harm(folder / name, harm)
    ended, (note,), epochs = train(folder, data)
    assert ended == DONE
    assert str(folder / name) in note and f"is renamed to {name}.corrupted-1" in note and "\n" not in note
    assert note.endswith("the run resumes after epoch 2" if name == "run.json" else "the run restarts")
    assert (folder / f"{name}.corrupted-1").read_bytes() == harmed
    assert epochs == (1 if name == "run.json" else 3)
    assert table(folder) == table(trained / "done") and same(saved(folder), saved(trained / "done"))
    assert status_of(RunFolder(folder)) == "done"


@pytest.mark.parametrize(("name", "harm"), DERIVED)
def test_an_edited_derived_file_of_an_interrupted_run_is_rewritten(
    name: str, harm: Harm | None, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    do_harm(folder / name, harm)
    ended, notes, epochs = train(folder, data)
    assert (ended, epochs) == (DONE, 1)
    if name == "epochs.csv":  # config.yaml is written at each start
        assert notes == [f"{folder / name} was missing or edited and is rewritten from checkpoint.pt"]
    assert table(folder) == table(trained / "done")
    assert (folder / "config.yaml").read_bytes() == (trained / "done" / "config.yaml").read_bytes()
    assert not list(folder.glob("*.corrupted-*"))


def test_rows_after_the_checkpoint_may_be_torn_or_nonsense(trained: Path, tmp_path: Path, data: Data) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    with open(folder / "epochs.csv", "ab") as file:
        file.write(b"3,0.5,\0\0\0\n4,0.")
    assert train(folder, data)[1:] == ([], 1)
    assert table(folder) == table(trained / "done")


def test_a_run_that_was_never_finished_restarts_under_another_torch_with_a_message(
    trained: Path, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, version = a_copy(trained, "interrupted", tmp_path), str(torch.__version__)
    monkeypatch.setattr(torch, "__version__", "another")
    note = f"{folder / 'checkpoint.pt'} is of another torch ({version} → another); the run restarts"
    assert train(folder, data) == (DONE, [note], 3)
    assert set(content_of(folder)) == {"checkpoint.pt", "config.yaml", "epochs.csv", "run.json"}


def test_a_renamed_file_is_not_overwritten(trained: Path, tmp_path: Path, data: Data) -> None:
    for harm in (b"one", b"two"):
        folder = a_copy(trained, "interrupted", tmp_path / harm.decode())
        (folder / "checkpoint.pt").write_bytes(harm)
        if harm == b"two":
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
    assert note.trial == 1 and "checkpoint.pt.corrupted-1" in note.text
    assert [event.status for event in found if isinstance(event, Ended)] == ["done", "done"]


# A finished run


@pytest.mark.parametrize("harm", HARMS["run.json"])
@pytest.mark.parametrize("torch_is", ["the same", "another"])
def test_a_finished_run_with_a_corrupted_run_json_is_finished_at_once_from_its_checkpoint(
    torch_is: str, harm: Harm, trained: Path, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_copy(trained, "done", tmp_path)
    before = content_of(folder)
    harmed = do_harm(folder / "run.json", harm)
    assert status_of(RunFolder(folder)) == "corrupted"
    with monkeypatch.context() as patch:
        if torch_is == "another":
            patch.setattr(torch, "__version__", "another")
        ended, (note,), epochs = train(folder, data)
    assert (ended, epochs) == (DONE, 0)
    assert "run.json.corrupted-1" in note and note.endswith("the run resumes after epoch 3")
    after = content_of(folder)
    assert after.pop("run.json.corrupted-1") == harmed
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


@pytest.mark.parametrize("harm", HARMS["checkpoint.pt"])
def test_the_checkpoint_of_a_finished_run_may_be_corrupted(
    harm: Harm, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "done", tmp_path)
    do_harm(folder / "checkpoint.pt", harm)
    before = content_of(folder)
    assert train(folder, data) == (DONE, [], 0)
    assert content_of(folder) == before
    with pytest.raises(RunError, match=r"checkpoint\.pt is corrupted .*--force"):
        checkpoint.load_trained(RunFolder(folder))


@pytest.mark.parametrize("checkpoint_is", ["missing", "corrupted"])
def test_a_finished_run_without_any_truth_restarts_and_keeps_its_figures(
    checkpoint_is: str, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "done", tmp_path)
    figures = (folder / "epochs.csv").read_bytes()
    (folder / "run.json").write_bytes(b"{")
    do_harm(folder / "checkpoint.pt", cut if checkpoint_is == "corrupted" else None)
    ended, notes, epochs = train(folder, data)
    assert (ended, epochs) == (DONE, 3)
    assert len(notes) == (3 if checkpoint_is == "corrupted" else 2)
    assert notes[-2].endswith("the run restarts") and "epochs.csv.corrupted-1" in notes[-1]
    assert (folder / "epochs.csv.corrupted-1").read_bytes() == figures
    assert table(folder) == table(trained / "done")


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize(("name", "harm"), DERIVED)
def test_an_edited_derived_file_of_a_finished_run_is_rewritten_whatever_its_checkpoint(
    name: str, harm: Harm | None, stacked: bool, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "done", tmp_path)
    (folder / "checkpoint.pt").unlink()
    before = content_of(folder)
    do_harm(folder / name, harm)
    assert status_of(RunFolder(folder)) == "done"
    ended, (note,), epochs = train(folder, data, stacked=stacked)
    assert (ended, epochs) == (DONE, 0)
    assert str(folder / name) in note and note.endswith("is rewritten from run.json")
    assert content_of(folder) == before


def test_a_comparison_reads_run_json_alone(tmp_path: Path, data: Data) -> None:
    for seed in range(3):
        folder = tmp_path / "study" / f"seed={seed}-0000000{seed}"
        train(folder, data, planned(seed=seed))
        for name in ("epochs.csv", "config.yaml", "checkpoint.pt", ".lock"):
            (folder / name).unlink()
    harmed = tmp_path / "study" / "seed=1-00000001" / "run.json"
    assert list(compare("study", tmp_path).arms["n"]) == [3]
    do_harm(harmed, a_digit)
    result = compare("study", tmp_path)
    assert list(result.arms["n"]) == [2]
    assert any("left out" in note and f"{harmed} is corrupted" in note for note in result.notes)
    assert not [path for path in tmp_path.glob("study/*/*") if path.name != "run.json"]  # nothing was written


def test_a_result_stays_if_the_training_that_would_repair_it_cannot_start(
    trained: Path, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*arguments: object) -> None:
        raise MemoryError("no memory")

    folder = a_copy(trained, "done", tmp_path)
    do_harm(folder / "run.json", cut)
    before = content_of(folder)
    monkeypatch.setattr(checkpoint.TrainingState, "fresh", no_memory)
    assert train(folder, data)[0] == Ended(0, Status.FAILED, "MemoryError: no memory")
    assert content_of(folder) == before


def test_settings_that_are_not_those_of_the_folder_s_hash_are_corrupted(
    trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "done", tmp_path)
    change(RunFolder(folder), settings=RunFolder(folder).read_info().settings | {"lr": 7.0})
    ended, (note,), epochs = train(folder, data)
    assert (ended, epochs) == (DONE, 0) and "another hash" in note
    assert status_of(RunFolder(folder), planned()) == "done"


# Checkpoints


def test_any_changed_bit_of_a_checkpoint_is_found(trained: Path, tmp_path: Path) -> None:
    folder = RunFolder(a_copy(trained, "done", tmp_path))
    content = folder.checkpoint.read_bytes()
    draw = random.Random(0)
    for at in [*draw.sample(range(len(content)), 60), *range(len(content) - 73, len(content))]:
        folder.checkpoint.write_bytes(content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :])
        with pytest.raises(CorruptedFile):
            checkpoint.read(folder)


def test_a_checkpoint_with_its_checksum_is_still_one_that_torch_reads(trained: Path) -> None:
    content = (trained / "done" / "checkpoint.pt").read_bytes()
    assert has_checksum(content)
    assert torch.load(trained / "done" / "checkpoint.pt", weights_only=True)["schema"] == 2


def fields(tree: Any) -> list[tuple[Any, ...]]:
    """Return the way to every value in nested mappings and lists, by their keys."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [way for key, value in items for way in ((key,), *((key, *rest) for rest in fields(value)))]


@pytest.mark.parametrize("variant", ["scratch", "nn"])
@pytest.mark.parametrize("task", ["classification", "linear-regression"])
def test_a_checkpoint_with_any_field_removed_or_of_another_type_changes_no_figure(
    task: str, variant: str, tmp_path: Path, data: Data
) -> None:
    """The figures and names of its table aside, which nothing but the checksum vouches for."""
    run = planned(variant=variant, momentum=0.9, weight_decay=1e-4, epochs=2)
    if task == "linear-regression":
        config = {"task": task, "variant": variant, "weight_decay": 3, "epochs": 2}
        run = replace(run, config=Config.model_validate(config))
    train(tmp_path / "done", data, run)
    interrupt(tmp_path / "interrupted", data, 1, run)
    whole = torch.load(tmp_path / "interrupted" / "checkpoint.pt", weights_only=True)
    for *way, last in fields(whole):
        for other in (None, "x", 0.5, torch.zeros(3)):  # None: it is removed
            if way[:1] == ["columns"] and (isinstance(other, float) if len(way) == 2 else other is None):
                continue
            changed = deepcopy(whole)
            parent = functools.reduce(operator.getitem, way, changed)
            if other is None:
                del parent[last]
            else:
                parent[last] = other
            file = io.BytesIO()
            torch.save(changed, file)
            folder = a_copy(tmp_path, "interrupted", tmp_path / "changed")
            (folder / "checkpoint.pt").write_bytes(add_checksum(file.getvalue()))  # so that the checksum is right
            ended, notes, _ = train(folder, data, run)
            assert ended == DONE, (way, last, other, ended)
            assert table(folder) == table(tmp_path / "done"), (way, last, other, notes)
            assert same(saved(folder), saved(tmp_path / "done")), (way, last, other, notes)
            shutil.rmtree(folder)


# Other versions


@pytest.mark.parametrize("name", ["run.json", "checkpoint.pt"])
def test_a_run_of_a_later_version_is_refused_and_left_as_it_is(
    name: str, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    if name == "run.json":
        (folder / name).write_bytes(json.dumps({"schema": 3, "state": "paused", "sha256": "elsewhere"}).encode())
    else:
        file = io.BytesIO()
        torch.save({**torch.load(folder / name, weights_only=True), "schema": 3}, file)
        (folder / name).write_bytes(add_checksum(file.getvalue()))
    before = content_of(folder)
    for force in (False, True) if name == "run.json" else (False,):
        ended, notes, epochs = train(folder, data, force=force)
        assert ended.status == "failed" and notes == [] and epochs == 0
        assert str(ended.why).startswith(f"{folder / name} was written by a later version of dropexp")
        assert content_of(folder) == before


def test_a_changed_schema_is_corruption_and_no_later_version(trained: Path, tmp_path: Path, data: Data) -> None:
    folder = a_copy(trained, "done", tmp_path)
    do_harm(folder / "run.json", lambda content: content.replace(b'"schema": 2', b'"schema": 9'))
    ended, (note,), epochs = train(folder, data)
    assert (ended, epochs) == (DONE, 0) and "run.json.corrupted-1" in note


def schema_1(kind: str, to: Path) -> dict[str, tuple[PlannedRun, Path]]:
    """Copy runs that commit 84262e3 trained; return each by its arm, as it is planned now."""
    shutil.copytree(SCHEMA_1 / kind, to)
    trials = trials_of([load_config(SCHEMA_1 / "schema-1.yaml")], to, "cpu")
    return {str(trial.planned.arm): (trial.planned, trial.folder.path) for trial in trials}


def test_finished_runs_of_schema_1_are_finished_and_evaluated(tmp_path: Path, data: Data) -> None:
    runs = schema_1("runs", tmp_path / "runs")
    before = {arm: content_of(path) for arm, (_, path) in runs.items()}
    for arm, (run, path) in runs.items():
        ended, notes, epochs = train(path, data, run)
        assert (ended.status, notes, epochs) == ("diverged" if arm == "diverges" else "done", [], 0)
    assert {arm: content_of(path) for arm, (_, path) in runs.items()} == before
    assert list(compare(runs_dir=tmp_path / "runs", where={"task": "fashion-mnist"}).arms["n"]) == [1]
    found = checkpoint.load_trained(RunFolder(runs["images"][1]))
    assert found.epoch == 3 and not found.remarks


@pytest.mark.parametrize("harm", HARMS["epochs.csv"])
def test_a_finished_run_of_schema_1_whose_table_is_corrupted_is_trained_again(
    harm: Harm | None, tmp_path: Path, data: Data
) -> None:
    run, path = schema_1("runs", tmp_path / "runs")["lines"]
    before = table(path)
    harmed = do_harm(path / "epochs.csv", harm)
    ended, notes, epochs = train(path, data, run)
    assert (ended, epochs) == (DONE, 3)
    assert str(path / "epochs.csv") in notes[0] and notes[-1].endswith("the run restarts")
    if harm:
        assert (path / "epochs.csv.corrupted-1").read_bytes() == harmed
    assert table(path) == before and RunFolder(path).read_info().version == 2


def test_an_interrupted_run_of_schema_1_restarts_with_a_message(tmp_path: Path, data: Data) -> None:
    run, path = schema_1("half", tmp_path / "half")["lines"]
    ended, (note,), epochs = train(path, data, run)
    assert (ended, epochs) == (DONE, 3)
    assert "earlier version" in note and note.endswith("the run restarts")
    _, whole = schema_1("runs", tmp_path / "runs")["lines"]
    assert table(path) == table(whole)


# The command

TINY = "name: tiny\ntask: linear-regression\nepochs: 3\nmatrix:\n  variant: [scratch]\n  seed: 0..3\n"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_command_names_what_is_corrupted_and_leaves_other_runs_alone(jobs: str, command: Command) -> None:
    config = command.write("tiny.yaml", TINY + "published: {loss: [1]}\n")
    command("train", "-c", config, "--jobs", "1", "-q")
    whole = command.tables()
    one, two, *others = sorted((command.folder / "runs" / "tiny").glob("*seed=*"))
    before = [(path / "run.json").stat().st_mtime_ns for path in others]
    (one / "epochs.csv").write_bytes(a_digit((one / "epochs.csv").read_bytes()))
    (two / "run.json").write_bytes(b"{")
    (one.parent / STUDY).write_bytes(b"{")
    messages = command("train", "-c", config, "--jobs", jobs, "-q").stderr
    for path, what in (
        (one / "epochs.csv", "edited"),
        (two / "run.json", "corrupted"),
        (one.parent / STUDY, "corrupted"),
    ):
        assert f"{path.relative_to(command.folder)} was {what}" in messages
    assert len(messages.splitlines()) == 3
    assert command.tables() == whole
    assert [(path / "run.json").stat().st_mtime_ns for path in others] == before
    assert command("train", "-c", config, "-q").stderr == ""
    (two / "run.json").write_bytes(b"{")
    assert "run.json is corrupted" in command("evaluate", two.name, code=5).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes among its files")
@pytest.mark.parametrize("name", ["checkpoint.pt", "epochs.csv", "run.json"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(name: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    readers: dict[str, Callable[[], object]] = {
        "run.json": folder.read_info,
        "epochs.csv": folder.read_table,
        "checkpoint.pt": lambda: checkpoint.read(folder),
    }
    os.mkfifo(tmp_path / name)
    with pytest.raises(RunError, match=f"{name} is not a file"):
        readers[name]()


def test_a_run_json_that_no_training_writes_is_renamed(trained: Path, tmp_path: Path, data: Data) -> None:
    folder = a_copy(trained, "done", tmp_path)
    write_raw(RunFolder(folder), arm=5)
    assert encode_json(json.loads((folder / "run.json").read_bytes()))  # which is JSON with a right checksum
    ended, (note,), epochs = train(folder, data)
    assert (ended, epochs) == (DONE, 0) and "invalid: arm" in note
