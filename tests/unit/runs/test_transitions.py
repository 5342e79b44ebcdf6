"""The states of a run: how they are recognised, which transition leads where, and what a kill in between leaves."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_runs import change, write_raw
from helpers.processes import another_process, kill
from helpers.states import COLUMNS, PLANNED, SCHEMA_1, content, info_of, lock

from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.errors import NewerRun, OtherRun, RunError
from dropexp.files import write_whole
from dropexp.runs import transitions
from dropexp.runs.epochs_table import to_csv
from dropexp.runs.folder import CHECKPOINT, CONFIG, EPOCHS, FILES, PREDICTIONS, RUN, RunFolder
from dropexp.runs.provenance import this_host
from dropexp.runs.prune import without_result
from dropexp.runs.record import read_run
from dropexp.runs.run_json import RunInfo
from dropexp.runs.state_names import Status
from dropexp.runs.transitions import Outcome, status_of

# How states are recognised


def test_a_run_without_files_is_new(folder: RunFolder) -> None:
    assert status_of(folder) == Status.NEW == status_of(RunFolder(folder.path / "absent"))


@pytest.mark.parametrize("status", ["interrupted", "failed", "diverged", "done"])
def test_the_state_of_a_run_is_the_status_in_its_run_json(status: str, folder: RunFolder) -> None:
    folder.write_info(info_of(status, COLUMNS))
    assert status_of(folder, PLANNED) == status


def test_a_finished_run_needs_no_other_file(done: RunFolder) -> None:
    for name in (CONFIG, EPOCHS, CHECKPOINT):
        (done.path / name).unlink()
    assert status_of(done, PLANNED) == Status.DONE
    assert done.read_table(done.read_info()) == COLUMNS


RUNS = """
import sys, time
from pathlib import Path
from dropexp.runs.folder import RunFolder
with RunFolder(Path(sys.argv[1])).lock():
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_run_is_running_until_its_process_is_killed(folder: RunFolder) -> None:
    folder.write_info(info_of("running", {}))
    with another_process(RUNS, str(folder.path)) as process:
        assert status_of(folder) == Status.RUNNING
        kill(process)
    assert status_of(folder) == Status.INTERRUPTED


ELSEWHERE = {"host": {"name": "another machine", "boot": "of its own"}}


@pytest.mark.parametrize(
    ("locked", "provenance", "expected", "why"),
    [
        (True, ELSEWHERE, Status.RUNNING, ""),
        (None, {}, Status.UNKNOWN, "this user cannot see its lock"),
        (False, ELSEWHERE, Status.UNKNOWN, "it may be running on another machine"),
        (False, {"host": this_host()}, Status.INTERRUPTED, ""),
        (False, {}, Status.INTERRUPTED, ""),
    ],
)
def test_a_run_that_may_be_running_is_not_interrupted(
    locked: bool | None,
    provenance: dict[str, object],
    expected: Status,
    why: str,
    folder: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder.write_info(info_of("running", {}).model_copy(update={"provenance": provenance}))
    monkeypatch.setattr(RunFolder, "is_locked", lambda folder: locked)
    run = read_run(folder)
    assert run.status == expected and why in (run.why or "")
    assert without_result(runs_dir=folder.path.parent.parent).removals == [] or expected == Status.INTERRUPTED


def test_a_run_that_ends_while_it_is_read_has_ended(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write_info(info_of("running", {}))

    def finish_first(folder: RunFolder) -> bool:
        folder.write_info(info_of("done", COLUMNS))  # as its process does before it unlocks the folder
        return False

    monkeypatch.setattr(RunFolder, "is_locked", finish_first)
    run = read_run(folder)
    assert (run.status, run.columns()) == ("done", COLUMNS)
    folder.write_info(info_of("running", {}))
    assert status_of(folder) == Status.DONE


@pytest.mark.parametrize("edit", [lambda _: b"", lambda _: b"[]", lambda whole: whole[:-9], lambda whole: whole + b" "])
def test_an_edited_run_json_is_a_corrupted_run(edit: Callable[[bytes], bytes], done: RunFolder) -> None:
    (done.path / RUN).write_bytes(edit((done.path / RUN).read_bytes()))
    assert status_of(done) == Status.CORRUPTED


@pytest.mark.parametrize("left", [EPOCHS, CHECKPOINT])
def test_a_run_without_its_run_json_is_corrupted(left: str, folder: RunFolder) -> None:
    (folder.path / left).write_text("")
    assert status_of(folder) == Status.CORRUPTED


def test_settings_with_another_hash_than_the_folder_are_corrupted(done: RunFolder) -> None:
    wrong: list[dict[str, Any]] = [{}, PLANNED.config.settings("cpu") | {"lr": 7.0}]
    for settings in wrong:
        change(done, settings=settings)
        assert status_of(done, PLANNED) == Status.CORRUPTED
        assert status_of(done) == Status.DONE  # without a plan there is nothing to compare


def test_another_run_of_the_same_hash_is_not_this_run(done: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transitions, "digest", lambda settings: "0123abcd")
    other = PlannedRun("study", None, "cell", Config.model_validate({"variant": "scratch", "lr": 0.5}))
    with pytest.raises(OtherRun, match="holds another run with the same hash"):
        status_of(done, other)


def test_the_status_of_a_run_of_a_later_version_is_an_error(done: RunFolder) -> None:
    write_raw(done, schema=3)
    with pytest.raises(NewerRun):
        status_of(done)


# Schema 1


def test_finished_runs_of_schema_1_are_finished(old: Path) -> None:
    found = {path.name.partition(",")[0]: RunFolder(path) for path in old.glob("arm=*")}
    assert {arm: str(status_of(run)) for arm, run in found.items()} == {
        "arm=images": "done",
        "arm=lines": "done",
        "arm=diverges": "diverged",
    }
    table = found["arm=images"].read_table(found["arm=images"].read_info())
    assert to_csv(table) == (found["arm=images"].path / EPOCHS).read_bytes()


@pytest.mark.parametrize("content", [b"", None, b"epoch,train_loss\n1,0.5\n2,0.5\n3,0.5\n"])
def test_a_finished_run_of_schema_1_with_another_table_is_corrupted(content: bytes | None, old: Path) -> None:
    run = RunFolder(next(old.glob("arm=lines*")))
    (run.path / EPOCHS).unlink() if content is None else (run.path / EPOCHS).write_bytes(content)
    assert status_of(run) == Status.CORRUPTED
    with pytest.raises(RunError, match=r"epochs\.csv is corrupted"):
        run.read_table(run.read_info())


# Locking


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_an_unfinished_run_is_locked(status: str, folder: RunFolder) -> None:
    folder.write_info(info_of(status, COLUMNS))
    with ExitStack() as locks:
        assert transitions.lock_unfinished(folder, PLANNED, locks, force=False) is None
        assert folder.is_locked()
    assert not folder.is_locked()


def test_a_finished_run_is_left_as_it_is_unless_forced(done: RunFolder) -> None:
    before = content(done)
    assert lock(done) == Outcome(Status.DONE)
    assert lock(done, force=True) is None
    assert content(done) == before


def test_a_run_of_another_process_is_busy(done: RunFolder) -> None:
    with done.lock():
        assert lock(done) == Outcome(Status.BUSY, "another process is training it")


def test_a_linked_run_is_read_and_never_trained(done: RunFolder, tmp_path: Path) -> None:
    link = RunFolder(tmp_path / "runs" / "cell-0123abcd")
    link.path.parent.mkdir()
    link.path.symlink_to(done.path, target_is_directory=True)
    before = content(done)
    assert status_of(link) == Status.DONE
    outcome = lock(link, force=True)
    assert outcome is not None and outcome.status == "failed" and "is a link" in str(outcome.why)
    assert content(done) == before


def test_a_disk_without_locks_is_named(folder: RunFolder, no_locks: None) -> None:
    outcome = lock(folder)
    assert outcome is not None and "is on a disk where locks do not work" in str(outcome.why)
    assert "--runs-dir" in str(outcome.why)


# Transitions


def test_a_run_starts_with_a_run_json_and_a_config_and_no_table(folder: RunFolder) -> None:
    assert transitions.start(folder, info_of("running", {}), {}) == []
    assert set(content(folder)) == {RUN, CONFIG}
    assert folder.read_info().epoch == 0


@pytest.mark.parametrize("further", [b"", b"3,0.1,0.1,0.1,1.0\n", b"3,0.1,0.", b"3,0.5,\0\0\n"])
def test_rows_after_the_last_checkpoint_are_cut_without_a_message(further: bytes, folder: RunFolder) -> None:
    (folder.path / EPOCHS).write_bytes(to_csv(COLUMNS) + further)
    assert transitions.start(folder, info_of("running", COLUMNS), COLUMNS) == []
    assert (folder.path / EPOCHS).read_bytes() == to_csv(COLUMNS)


@pytest.mark.parametrize("edited", [b"", b"epoch\n", to_csv(COLUMNS).replace(b"0.25", b"0.26"), None])
def test_an_edited_table_is_rewritten_from_the_checkpoint_with_a_message(
    edited: bytes | None, folder: RunFolder
) -> None:
    if edited is not None:
        (folder.path / EPOCHS).write_bytes(edited)
    (note,) = transitions.start(folder, info_of("running", COLUMNS), COLUMNS)
    assert "epochs.csv" in note and "rewritten from checkpoint.pt" in note
    assert (folder.path / EPOCHS).read_bytes() == to_csv(COLUMNS)


def test_a_restart_removes_what_was_written(done: RunFolder) -> None:
    change(done, status="interrupted", table=None)
    assert transitions.start(done, info_of("running", {}), {}) == []
    assert set(content(done)) == {RUN, CONFIG}


def test_a_restart_keeps_figures_whose_run_json_is_gone(done: RunFolder) -> None:
    (done.path / RUN).unlink()
    (note,) = transitions.start(done, info_of("running", {}), {})
    assert "epochs.csv may be of a finished run and is renamed to epochs.csv.corrupted-1" in note
    assert (done.path / "epochs.csv.corrupted-1").read_bytes() == to_csv(COLUMNS)


@pytest.mark.parametrize("writes", range(8))
@pytest.mark.parametrize("before", ["new", "interrupted", "done"])
def test_a_kill_while_a_run_starts_again_leaves_the_result_or_a_run_that_starts_again(
    before: str, writes: int, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any number of renames and removals; "done" is a run that is forced."""
    if before != "new":
        (folder.path / EPOCHS).write_bytes(to_csv(COLUMNS))
        folder.checkpoint.write_bytes(b"checkpoint")
        folder.write_info(info_of(before, COLUMNS))
    left = writes

    def killed(do: Callable[..., object]) -> Callable[..., object]:
        def perhaps(*arguments: Any, **options: Any) -> object:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return do(*arguments, **options)

        return perhaps

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed(os.replace))
        patch.setattr(Path, "unlink", killed(Path.unlink))
        try:
            transitions.start(folder, info_of("running", {}), {})
        except KeyboardInterrupt:
            pass
        else:
            assert writes >= 5
    status = status_of(folder)
    assert status in (Status.INTERRUPTED, Status(before))
    if status == Status.INTERRUPTED:
        assert not folder.checkpoint.exists() or writes == 0
    assert not list(folder.path.glob("*.corrupted-*"))
    assert transitions.start(folder, info_of("running", {}), {}) == []
    assert {path.name for path in folder.path.iterdir() if not path.name.endswith(".tmp")} == {RUN, CONFIG}


def test_a_stopped_run_keeps_the_epoch_and_figures_of_its_checkpoint(folder: RunFolder) -> None:
    transitions.start(folder, info_of("running", {}), {})
    transitions.save(folder, b"checkpoint", info_of("running", COLUMNS))
    transitions.stop(folder, Status.INTERRUPTED)
    info = folder.read_info()
    assert (info.status, info.epoch, info.last["test_loss"]) == ("interrupted", 2, 0.3)
    assert info.provenance["ended"] is not None
    transitions.stop(folder, Status.FAILED, "no room", "Traceback …")
    info = folder.read_info()
    assert (info.status, info.why, info.traceback, info.epoch) == ("failed", "no room", "Traceback …", 2)


def test_stopping_a_finished_or_failed_run_changes_nothing(done: RunFolder) -> None:
    before = content(done)
    for status in (Status.INTERRUPTED, Status.FAILED):
        transitions.stop(done, status, "late")
    assert content(done) == before
    change(done, status="failed", why="no room", table=None)
    transitions.stop(done, Status.INTERRUPTED)
    assert (done.read_info().status, done.read_info().why) == ("failed", "no room")


def test_a_run_is_marked_unless_another_process_has_locked_it(folder: RunFolder) -> None:
    transitions.mark(folder, Status.FAILED, "there is no run.json yet")
    transitions.start(folder, info_of("running", COLUMNS), COLUMNS)
    with folder.lock():
        transitions.mark(folder, Status.FAILED, "its worker process ended")
    assert folder.read_info().status == "running"
    transitions.mark(folder, Status.FAILED, "its worker process ended")
    assert (folder.read_info().status, folder.read_info().why) == ("failed", "its worker process ended")


def test_an_unfinished_run_of_schema_1_is_never_rewritten(tmp_path: Path) -> None:
    (source,) = (SCHEMA_1 / "half" / "schema-1").glob("arm=lines*")
    run = RunFolder(Path(shutil.copytree(source, tmp_path / source.name)))
    before = content(run)
    assert status_of(run) == Status.INTERRUPTED
    transitions.stop(run, Status.FAILED, "no room")
    assert content(run) == before


def test_a_finished_run_keeps_its_predictions_until_its_restart_on_another_machine_is_written(
    done: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = {CONFIG: b"", RUN: info_of("running", {}).to_bytes()}
    with monkeypatch.context() as killed:
        killed.setattr(transitions, "write_whole", lambda *args, **options: sys.exit("killed"))
        with pytest.raises(SystemExit):
            transitions.receive(done, running, restart=True)
    assert status_of(done) == Status.DONE
    assert set(content(done)) == {RUN, CONFIG, EPOCHS, PREDICTIONS}
    transitions.receive(done, running, restart=True)
    assert set(content(done)) == {RUN, CONFIG}


@pytest.mark.parametrize("writes", range(6))
def test_a_kill_while_a_restart_on_another_machine_is_written_never_mixes_two_results(
    done: RunFolder, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = to_csv({name: values[:1] for name, values in COLUMNS.items()})
    files = {CONFIG: b"", EPOCHS: epochs, CHECKPOINT: b"of the restart", RUN: info_of("running", COLUMNS).to_bytes()}
    left = writes

    def killed(path: Path, content: bytes, *, sync: bool) -> None:
        nonlocal left
        if left == 0:
            sys.exit("killed")
        left -= 1
        write_whole(path, content, sync=sync)

    with monkeypatch.context() as patch, suppress(SystemExit):
        patch.setattr(transitions, "write_whole", killed)
        transitions.receive(done, files, restart=True)
    if status_of(done) == Status.DONE:
        assert set(content(done)) == {RUN, CONFIG, EPOCHS, PREDICTIONS}
        assert content(done)[EPOCHS] == to_csv(COLUMNS)
    else:
        assert status_of(done) == Status.INTERRUPTED
        assert done.read_info().epoch == (2 if writes == 5 else 0)
    assert (status_of(done) == Status.DONE) == (writes == 0)


def test_a_result_on_a_full_disk_is_not_cleared(done: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: RunFolder, info: RunInfo) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(RunFolder, "write_info", full)
    with pytest.raises(OSError):
        transitions.start(done, info_of("running", {}), {})
    assert status_of(done) == Status.DONE
    assert set(content(done)) == {RUN, CONFIG, EPOCHS, PREDICTIONS}


def test_run_json_is_plain_json_with_the_table_and_the_schema(done: RunFolder) -> None:
    found = json.loads((done.path / RUN).read_bytes())
    assert found["table"] == COLUMNS and found["schema"] == 2
    assert {path.name for path in done.path.iterdir()} == {*FILES}
