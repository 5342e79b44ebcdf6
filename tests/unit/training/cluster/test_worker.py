"""What the driver and the worker do without a cluster: files, updates, chunks and the fingerprint."""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from helpers.training import notes_of, rows_of, train_run

from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.files import write_whole
from dropexp.runs import transitions
from dropexp.runs.folder import FILES, PREDICTIONS, RunFolder
from dropexp.runs.run_json import RunInfo
from dropexp.runs.state_names import FINISHED, Status
from dropexp.runs.transitions import status_of
from dropexp.training.cluster import worker
from dropexp.training.cluster.driver import _Driver
from dropexp.training.cluster.worker import RunFiles, Shared, Update
from dropexp.training.events import Ended, Event
from dropexp.training.jobs import Plan

OF_REGRESSION = [name for name in FILES if name != PREDICTIONS]


def events_of(updates: Iterable[Update]) -> list[Event]:
    return [event for update in updates for event in update.events]


def test_a_change_of_any_module_changes_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "dropexp"
    for name in ("cli/main.py", "nets/from_scratch.py", "training/cluster/worker.py", "errors.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("x = 1\n")
    monkeypatch.setattr(worker, "__file__", str(package / "training" / "cluster" / "worker.py"))
    found = [worker.fingerprint.__wrapped__()]
    for file in sorted(package.rglob("*.py")):
        file.write_text("x = 2\n")
        found.append(worker.fingerprint.__wrapped__())
    assert len(set(found)) == len(found) == 5
    assert "dropexp" in found[0] and "torch" in found[0]


def test_line_ends_of_windows_do_not_change_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "training" / "cluster" / "worker.py"
    file.parent.mkdir(parents=True)
    monkeypatch.setattr(worker, "__file__", str(file))
    found = []
    for text in (b"x = 1\ny = 2\n", b"x = 1\r\ny = 2\r\n"):
        file.write_bytes(text)
        found.append(worker.fingerprint.__wrapped__())
    assert found[0] == found[1]


def test_runs_are_sent_in_chunks_that_become_smaller_towards_the_end() -> None:
    sender = object.__new__(_Driver)  # without a cluster
    sender.waiting, sender.max_locks = deque([index] for index in range(200)), 1000
    sizes = []
    while sender.waiting:
        sizes.append(len(sender._next_groups(slots=4)))
    assert sum(sizes) == 200 and sizes[0] == 8 and sizes[-1] == 1
    assert sizes == sorted(sizes, reverse=True)


def test_a_run_resumes_wherever_the_writing_of_its_files_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    keys = {"task": "linear-regression", "variant": "scratch", "lr": 0.003, "batch_size": 5, "epochs": 6}
    run = PlannedRun("drawn", None, "cell", Config.model_validate(keys))
    whole = RunFolder(tmp_path / "whole")
    list(train_run(run, whole, None, torch.device("cpu")))
    updates = list(worker.train(Shared(Plan(None)), [[RunFiles(0, run, {})]], pace=0.0))
    assert events_of(updates)[-1] == Ended(0, Status.DONE)
    steps = sum(len(files) for update in updates for files in update.files.values())
    assert steps > 10
    for count in range(steps + 2):  # one more for the run.json of a new folder
        folder, left = RunFolder(tmp_path / str(count)), count
        folder.path.mkdir()

        def interrupted(path: Path, content: bytes, *, sync: bool) -> None:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            write_whole(path, content, sync=sync)

        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(transitions, "write_whole", interrupted)
            for update in updates:
                transitions.receive(folder, update.files.get(0, {}))
        assert (status_of(folder) in FINISHED) == (count == steps + 1)
        assert status_of(folder) != "corrupted"
        list(train_run(run, folder, None, torch.device("cpu")))
        kept, expected = ({**one.read_table(), "seconds": []} for one in (folder, whole))
        assert kept == expected
        assert not list(folder.path.glob("*.corrupted-*"))


def test_a_run_resumes_from_the_files_that_are_sent_and_those_it_cannot_use_come_back_renamed(
    tmp_path: Path, one_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"task": "linear-regression", "variant": "scratch", "lr": 0.003, "batch_size": 5, "epochs": 6}
    run = PlannedRun("drawn", None, "cell", Config.model_validate(keys))
    half = RunFolder(tmp_path / "half")
    rows = train_run(run, half, None, torch.device("cpu"))
    next(rows), next(rows)
    rows.close()
    files = {name: (half.path / name).read_bytes() for name in OF_REGRESSION}
    resumed = rows_of(events_of(worker.train(Shared(Plan(None)), [[RunFiles(0, run, files)]], 0.0)))
    assert resumed[0]["epoch"] > 1 and resumed[-1]["epoch"] == 6
    corrupted = files | {"checkpoint.pt": b"corrupted"}
    updates = list(worker.train(Shared(Plan(None)), [[RunFiles(0, run, corrupted)]], 0.0))
    events = events_of(updates)
    assert notes_of(events)[0].startswith("checkpoint.pt was corrupted")
    assert [row["epoch"] for row in rows_of(events)] == [1, 2, 3, 4, 5, 6]
    for update in updates:
        transitions.receive(half, update.files.get(0, {}))
    assert (half.path / "checkpoint.pt.corrupted-1").read_bytes() == b"corrupted"
    assert status_of(half) == "done"
    monkeypatch.setattr(torch, "__version__", "another")
    for update in worker.train(Shared(Plan(None)), [[RunFiles(0, run, files)]], 0.0):
        transitions.receive(half, update.files.get(0, {}))
    for name in ("checkpoint.pt", "epochs.csv"):
        assert (half.path / f"{name}.before-1").read_bytes() == files[name]


def test_the_figures_of_a_run_that_a_node_cannot_read_are_kept(tmp_path: Path, one_thread: None) -> None:
    keys = {"task": "linear-regression", "variant": "scratch", "lr": 0.003, "batch_size": 5, "epochs": 2}
    run = PlannedRun("drawn", None, "cell", Config.model_validate(keys))
    folder = RunFolder(tmp_path / "folder")
    list(train_run(run, folder, None, torch.device("cpu")))
    (folder.path / "run.json").write_bytes(b"corrupted")
    folder.checkpoint.unlink()
    table = (folder.path / "epochs.csv").read_bytes()
    files = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    updates = list(worker.train(Shared(Plan(None)), [[RunFiles(0, run, files)]], 0.0))
    for update in updates:
        transitions.receive(folder, update.files.get(0, {}))
    assert any("epochs.csv.corrupted-1" in note for note in notes_of(events_of(updates)))
    assert (folder.path / "epochs.csv.corrupted-1").read_bytes() == table
    assert status_of(folder) == "done"


def test_files_missing_on_a_node_are_removed_run_json_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    for name in FILES:
        (tmp_path / name).write_text(name)
    unlink, removed = Path.unlink, []

    def noted(self: Path, missing_ok: bool = False) -> None:
        removed.append(self.name)
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", noted)
    transitions.receive(folder, dict.fromkeys(FILES))
    assert [name for name in removed if name in FILES] == [*reversed(FILES)]


@pytest.mark.parametrize("there", [True, False])
def test_what_arrives_from_a_node_is_written_in_an_order_that_lets_the_run_resume(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    keys = {"task": "linear-regression", "variant": "scratch", "lr": 0.003, "batch_size": 5, "epochs": 2}
    node, folder = RunFolder(tmp_path / "node"), RunFolder(tmp_path / "folder")
    list(train_run(PlannedRun("drawn", None, "cell", Config.model_validate(keys)), node, None, torch.device("cpu")))
    folder.path.mkdir()
    if there:
        (folder.path / "run.json").touch()
    written: list[tuple[str, bytes]] = []
    monkeypatch.setattr(transitions, "write_whole", lambda path, content, sync: written.append((path.name, content)))
    files = {name: (node.path / name).read_bytes() for name in reversed(OF_REGRESSION)}
    transitions.receive(folder, files | {"epochs.csv.corrupted-1": b"kept"})
    header = [] if there else ["run.json"]
    assert [name for name, _ in written] == ["epochs.csv.corrupted-1", *header, *OF_REGRESSION]
    if not there:
        begun = RunInfo.from_bytes(folder.path / "run.json", written[1][1])
        assert begun.status == "running" and begun.table is None


def test_a_node_trains_in_a_folder_on_its_own_machine_not_in_a_shared_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # instead of the system's folder
    keys = {"task": "linear-regression", "variant": "scratch", "lr": 0.003, "batch_size": 5, "epochs": 6}
    run = PlannedRun("drawn", None, "cell", Config.model_validate(keys))
    updates = worker.train(Shared(Plan(None)), [[RunFiles(0, run, {})]], pace=0.0)
    next(updates)
    (folder,) = tmp_path.iterdir()
    assert (folder / "0").is_dir()
    assert list(updates) and not list(tmp_path.iterdir())


def test_a_group_of_runs_of_one_shape_trains_as_a_stack(
    real_root: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    monkeypatch.setenv("DROPEXP_DATA", str(real_root.resolve()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))
    keys = {"variant": "scratch", "train_size": 500, "hidden": [16, 16], "epochs": 2}
    runs = [PlannedRun("s", None, f"{seed}", Config.model_validate(keys | {"seed": seed})) for seed in (0, 1)]
    here = Shared(Plan(real_root, stacks=True), packed=object())  # not read where there is data
    updates = list(worker.train(here, [[RunFiles(5, runs[0], {}), RunFiles(7, runs[1], {})]], pace=0.0))
    assert {event for event in events_of(updates) if isinstance(event, Ended)} == {
        Ended(5, Status.DONE),
        Ended(7, Status.DONE),
    }
    for index in (5, 7):
        last = [update.files[index]["run.json"] for update in updates if update.files.get(index, {}).get("run.json")][
            -1
        ]
        assert last is not None and json.loads(last)["provenance"]["stack"] == 2
