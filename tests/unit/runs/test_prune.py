"""What `dropexp runs --prune` removes, and what it leaves."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.configs import TINY
from helpers.fake_runs import change, set_status, write_run
from helpers.in_process import InProcess

from dropexp.analysis.comparison import compare
from dropexp.errors import NoRuns
from dropexp.runs import prune
from dropexp.runs.folder import RunFolder
from dropexp.runs.prune import Pruning, Removal, checkpoints, remove, without_result
from dropexp.runs.record import Run, read_runs
from dropexp.runs.state_names import Status

SCHEMA_1 = Path(__file__).parents[2] / "schema-1" / "runs"


def run_of(runs_dir: Path, seed: int = 0, status: str = "done", why: str | None = None) -> Path:
    """Write a run with every file that training writes; return its folder."""
    run = write_run(runs_dir, "nn", seed, status=status, why=why)
    (run.path / "config.yaml").write_text("variant: nn\n")
    run.checkpoint.write_bytes(b"0" * 1000)
    (run.path / ".lock").touch()
    return run.path


def listing(runs_dir: Path) -> set[str]:
    return {path.relative_to(runs_dir).as_posix() for path in runs_dir.rglob("*")}


def removals_in(runs_dir: Path, *names: str, **where: object) -> list[Removal]:
    return without_result(names, runs_dir, where).removals


def planned(runs_dir: Path, *names: str, **where: object) -> dict[str, Removal]:
    """Return the removals by the name of their folder."""
    return {removal.path.name: removal for removal in removals_in(runs_dir, *names, **where)}


def second_of(run: Path) -> Path:
    """Copy a run's folder beside it, under a name that an earlier version of its config might have given."""
    return Path(shutil.copytree(run, run.with_name(f"x-renamed-{run.name[-8:]}")))


# What is removed


@pytest.mark.parametrize(
    ("status", "why", "reported"),
    [
        ("failed", "MemoryError: no room", "MemoryError: no room"),
        ("interrupted", None, "at least 2 of 5 epochs in its checkpoint"),
        ("running", None, "at least 2 of 5 epochs in its checkpoint"),  # its process has exited
    ],
)
def test_a_run_without_a_result_is_removed_entirely(
    status: str, why: str | None, reported: str, tmp_path: Path
) -> None:
    run = run_of(tmp_path, status=status, why=why)
    kept = run_of(tmp_path, seed=1)
    (removal,) = removals_in(tmp_path)
    assert (removal.state, removal.path, removal.why) == (status.replace("running", "interrupted"), run, reported)
    assert removal.size == sum(file.stat().st_size for file in run.iterdir())
    assert remove(removal) is None
    assert not run.exists()
    assert {file.name for file in kept.iterdir()} == {"config.yaml", "epochs.csv", "run.json", "checkpoint.pt", ".lock"}


@pytest.mark.parametrize("first", ["done", "interrupted"])
def test_a_second_folder_that_may_be_running_on_another_machine_stays(first: str, tmp_path: Path) -> None:
    second = second_of(run_of(tmp_path, status=first))
    host = {"name": "another machine", "boot": "of its own"}
    change(RunFolder(second), status="running", table=None, provenance={"host": host})
    assert second.name not in planned(tmp_path)


def test_a_folder_without_a_lock_file_is_removed_entirely(tmp_path: Path) -> None:
    run = run_of(tmp_path, status="interrupted")
    (run / ".lock").unlink()
    (removal,) = removals_in(tmp_path)
    assert remove(removal) is None
    assert not run.exists()


@pytest.mark.parametrize("status", ["done", "diverged"])
def test_a_run_with_a_result_stays(status: str, tmp_path: Path) -> None:
    run_of(tmp_path, status=status)
    assert removals_in(tmp_path) == []


def test_an_interrupted_run_without_a_usable_checkpoint_is_listed_with_the_reason(tmp_path: Path) -> None:
    (run_of(tmp_path, status="interrupted") / "checkpoint.pt").unlink()
    shutil.copytree(SCHEMA_1.with_name("half"), tmp_path / "half")
    whys = [removal.why for removal in removals_in(tmp_path, "dropout", "half/schema-1")]
    assert whys == [
        "no checkpoint",
        "its checkpoint was written by an earlier version of dropexp and cannot be resumed",
    ]


def remove_epochs(run: Path) -> None:
    """Remove the files from which training could repair the run."""
    for name in ("checkpoint.pt", "epochs.csv"):
        (run / name).unlink()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"schema": 1, "status": "done"}', None])
def test_a_corrupted_run_without_epochs_is_removed(content: bytes | None, tmp_path: Path) -> None:
    run = run_of(tmp_path)
    (run / "run.json").unlink() if content is None else (run / "run.json").write_bytes(content)
    remove_epochs(run)
    (run / "epochs.csv").write_bytes(b"\xff")
    removal = planned(tmp_path)[run.name]
    assert removal.state == "corrupted" and "run.json" in removal.why
    assert remove(removal) is None
    assert not tmp_path.joinpath("dropout").exists()  # the study's folder, which is empty now


@pytest.mark.parametrize("content", [b"{", None, b'{"schema": 1, "status": "done"}'])
@pytest.mark.parametrize("has", ["checkpoint.pt", "epochs.csv"])
def test_a_corrupted_run_with_epochs_stays_with_a_message(has: str, content: bytes | None, tmp_path: Path) -> None:
    run = run_of(tmp_path)
    (run / "run.json").unlink() if content is None else (run / "run.json").write_bytes(content)
    (run / ("epochs.csv" if has == "checkpoint.pt" else "checkpoint.pt")).unlink()
    found = without_result((), tmp_path)
    assert found.removals == []
    (note,) = found.notes
    assert f"{run} is kept, since training may resume it or keep its figures" in note and "run.json" in note


def test_a_run_of_a_later_version_stays(tmp_path: Path) -> None:
    (run_of(tmp_path) / "run.json").write_text('{"schema": 3}')
    assert without_result((), tmp_path) == Pruning([], [])


def test_a_finished_run_of_schema_1_stays_even_if_its_table_is_corrupted(tmp_path: Path) -> None:
    shutil.copytree(SCHEMA_1, tmp_path, dirs_exist_ok=True)
    for table in tmp_path.glob("*/*/epochs.csv"):
        table.write_text("")
    assert without_result((), tmp_path) == Pruning([], [])


def test_the_second_folder_of_a_run_is_removed_and_the_result_stays(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    spare = second_of(run)
    assert list(planned(tmp_path)) == [spare.name]
    assert planned(tmp_path)[spare.name].why == f"the same run as {run}"
    assert remove(planned(tmp_path)[spare.name]) is None
    assert run.exists() and not spare.exists()
    assert compare((), tmp_path).arms["n"].sum() == 1


@pytest.mark.parametrize("unfinished", ["interrupted", "failed"])
@pytest.mark.parametrize("result", ["done", "diverged"])
@pytest.mark.parametrize("first", [True, False])
def test_pruning_keeps_the_folder_with_the_result(first: bool, result: str, unfinished: str, tmp_path: Path) -> None:
    run = run_of(tmp_path)
    other = second_of(run)
    for path, status in ((run, result), (other, unfinished)) if first else ((run, unfinished), (other, result)):
        set_status(RunFolder(path), status)
    assert list(planned(tmp_path)) == [(other if first else run).name]


def test_of_two_folders_none_is_removed_while_the_result_that_would_stay_is_corrupted(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    second_of(run)
    (run / "run.json").write_text("nonsense\n")
    assert planned(tmp_path) == {}


# Leftovers


def test_renamed_and_half_written_files_are_removed_and_the_run_stays(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    before = listing(tmp_path)
    names = ("checkpoint.pt.corrupted-1", "epochs.csv.corrupted-12", "run.json.damaged-1", "config.yaml.before-2")
    for name in (*names, ".run.json.4711.tmp"):
        (run / name).write_text("x")
    removal = planned(tmp_path)[run.name]
    assert removal.state == "leftover" and len(removal.files) == 5 and removal.size == 5
    assert remove(removal) is None
    assert listing(tmp_path) == before


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_renamed_files_of_an_unfinished_run_are_listed_apart_and_removed_with_it(status: str, tmp_path: Path) -> None:
    run = run_of(tmp_path, status=status)
    for name in ("epochs.csv.before-1", "checkpoint.pt.before-1", "run.json.corrupted-1"):
        (run / name).write_text("x")
    leftover, whole = removals_in(tmp_path)
    assert (leftover.state, leftover.path, leftover.size) == ("leftover", run, 3)
    assert (whole.state, whole.path) == (status, run) and not {*whole.files} & {*leftover.files}
    assert [remove(leftover), remove(whole)] == [None, None]
    assert not run.exists()


def test_a_folder_with_two_removals_counts_once(cli: InProcess) -> None:
    run = run_of(cli.folder / "runs", status="interrupted")
    (run / "checkpoint.pt.before-1").write_text("x")
    assert "removed from 1 folder:" in cli("runs", "--prune", "--yes").stderr
    assert not run.exists()


def test_a_run_that_never_started_and_leftovers_of_a_study_are_removed(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    study = run.parent
    before = listing(tmp_path)
    (study / "seed=7-0123abcd").mkdir()
    (study / "seed=7-0123abcd" / ".lock").touch()
    (study / "study.json.corrupted-1").write_text("{")
    (study / ".study.json.1.tmp").write_text("")
    busy = f"{study} is not removed: another process has locked it"
    with RunFolder(study).lock():  # as a process does that writes study.json
        assert [remove(one) for one in removals_in(tmp_path) if one.path == study] == [busy]
    for removal in removals_in(tmp_path):
        assert remove(removal) is None
    assert listing(tmp_path) == before | {"dropout/.lock"}


def test_leftovers_are_removed_where_there_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "study" / "seed=7-0123abcd").mkdir(parents=True)
    (tmp_path / "study" / "seed=7-0123abcd" / ".lock").touch()
    (removal,) = removals_in(tmp_path)
    remove(removal)
    assert listing(tmp_path) == set()
    with pytest.raises(NoRuns):
        removals_in(tmp_path)


# What is never touched


def test_a_run_that_is_trained_now_stays(tmp_path: Path) -> None:
    run = run_of(tmp_path, status="interrupted")
    (removal,) = removals_in(tmp_path)
    with RunFolder(run).lock():
        assert removals_in(tmp_path) == []
        assert remove(removal) == f"{run} is not removed: another process has locked it"
    assert (run / "run.json").exists()


def test_a_run_that_has_changed_since_its_removal_was_planned_stays(tmp_path: Path) -> None:
    run = run_of(tmp_path, status="interrupted")
    (removal,) = removals_in(tmp_path)
    set_status(RunFolder(run), "done")  # as another process does
    assert remove(removal) == f"{run} is not removed: it has changed since"
    assert (run / "checkpoint.pt").exists()


@pytest.mark.parametrize("status", ["interrupted", "failed", "corrupted", "duplicate"])
def test_a_run_that_is_finished_while_others_are_read_stays(
    status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(tmp_path, status="failed" if status == "failed" else "interrupted")
    folder = RunFolder(run)
    info = folder.read_info().model_copy(update={"status": Status.DONE, "table": folder.read_table()})
    if status == "duplicate":
        second_of(run)
    if status == "corrupted":
        (run / "run.json").write_text("nonsense")
        for name in ("checkpoint.pt", "epochs.csv"):
            (run / name).unlink()
    finished: list[RunFolder] = []

    def read(*arguments: Any) -> list[Run]:
        found = read_runs(*arguments)
        finished.extend(one.folder for one in found if one.status == status)
        finished[0].write_info(info)  # as another process would
        return found

    monkeypatch.setattr(prune, "read_runs", read)
    removals = removals_in(tmp_path)
    assert len(finished) == 1 and finished[0].path not in [removal.path for removal in removals]


@pytest.mark.parametrize("files", range(4))
def test_an_interrupted_removal_continues(files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(tmp_path, status="failed")
    unlink, left = Path.unlink, iter(range(files))

    def until_killed(self: Path, missing_ok: bool = False) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        unlink(self, missing_ok)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", until_killed)
        remove(planned(tmp_path)[run.name])
    assert len(list(run.iterdir())) == 5 - files
    assert remove(planned(tmp_path)[run.name]) is None
    assert not run.exists()


def test_files_that_dropexp_does_not_write_stay_and_are_named(tmp_path: Path) -> None:
    run = run_of(tmp_path, status="failed", why="no room")
    (run / "notes.txt").write_text("mine")
    (run / "plots").mkdir()
    removal = planned(tmp_path)[run.name]
    assert removal.why == "no room; the folder and its notes.txt, plots are kept"
    assert remove(removal) is None
    assert {path.name for path in run.iterdir()} == {"notes.txt", "plots"}


def test_no_link_is_followed(tmp_path: Path) -> None:
    elsewhere = run_of(tmp_path / "elsewhere", status="failed")
    run = run_of(tmp_path / "runs", status="failed")
    (run / "checkpoint.pt").unlink()
    (run / "checkpoint.pt").symlink_to(elsewhere / "checkpoint.pt")
    (run.parent / "linked-0123abcd").symlink_to(elsewhere, target_is_directory=True)
    (tmp_path / "runs" / "study").symlink_to(elsewhere.parent, target_is_directory=True)
    before = listing(tmp_path / "elsewhere")
    for removal in removals_in(tmp_path / "runs"):
        assert removal.path == run
        remove(removal)
    assert listing(tmp_path / "elsewhere") == before
    assert [path.name for path in run.iterdir()] == ["checkpoint.pt"]  # the link, which dropexp does not write


def test_a_runs_folder_that_is_a_link_itself_is_pruned(tmp_path: Path) -> None:
    run = run_of(tmp_path / "large disk", status="failed")
    (tmp_path / "runs").symlink_to(tmp_path / "large disk", target_is_directory=True)
    (removal,) = removals_in(tmp_path / "runs")
    assert remove(removal) is None
    assert not run.exists()


def test_names_and_filters_select_what_is_removed(tmp_path: Path) -> None:
    for seed in range(2):
        run_of(tmp_path, seed, "failed")
    other = write_run(tmp_path, "nn", name="other", status="failed").path
    corrupted = run_of(tmp_path, 2)
    (corrupted / "run.json").write_text("{")
    remove_epochs(corrupted)
    second = second_of(run_of(tmp_path, 3))
    assert len(removals_in(tmp_path)) == 5
    assert [removal.path for removal in removals_in(tmp_path, "other")] == [other]
    assert [removal.path.name[:18] for removal in removals_in(tmp_path, seed=1)] == ["variant=nn,seed=1-"]
    assert [removal.path for removal in removals_in(tmp_path, seed=3)] == [second]
    with pytest.raises(NoRuns):
        removals_in(tmp_path, seed=9)


def test_a_file_that_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_of(tmp_path, status="failed")
    (removal,) = removals_in(tmp_path)

    def refused(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", refused)
    file = removal.path / "checkpoint.pt"
    assert remove(removal) == f"{file} is not removed: Permission denied"


# Checkpoints


def test_only_checkpoints_of_finished_runs_are_removed(tmp_path: Path) -> None:
    done, diverged, interrupted = (run_of(tmp_path, i, s) for i, s in enumerate(("done", "diverged", "interrupted")))
    before = listing(tmp_path)
    removals = checkpoints((), tmp_path)
    assert [(removal.path, removal.size) for removal in removals] == [(done, 1000), (diverged, 1000)]
    assert [remove(removal) for removal in removals] == [None, None]
    removed = {(run / "checkpoint.pt").relative_to(tmp_path).as_posix() for run in (done, diverged)}
    assert listing(tmp_path) == before - removed
    assert checkpoints((), tmp_path) == []
    assert interrupted.joinpath("checkpoint.pt").exists()


def test_the_checkpoint_of_a_corrupted_run_stays(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    assert len(checkpoints((), tmp_path)) == 1
    (run / "run.json").write_text("nonsense")
    assert checkpoints((), tmp_path) == []


# The command


def test_nothing_is_removed_without_yes(cli: InProcess) -> None:
    runs_dir = cli.folder / "runs"
    run = run_of(runs_dir, status="failed", why="no room")
    run_of(runs_dir, 1)
    before = listing(runs_dir)
    done = cli("runs", "--prune")
    for text in ("state", "size", "why", "path", "failed", "kB", "no room", str(run.relative_to(cli.folder))):
        assert text in done.stdout
    assert "--yes" in done.stderr
    (row,) = json.loads(cli("runs", "--prune", "--format", "json").stdout)
    assert (row["state"], row["why"]) == ("failed", "no room") and row["size"] > 1000
    assert "failed" in cli("runs", "--prune", "--format", "csv").stdout
    assert listing(runs_dir) == before
    assert "removed from 1 folder:" in cli("runs", "--prune", "--yes").stderr
    assert not run.exists()
    for yes in ([], ["--yes"]):
        again = cli("runs", "--prune", *yes)
        assert (again.stdout, again.stderr) == ("", "nothing to remove\n")


def test_a_run_without_its_checkpoint_is_done_and_compared_but_not_evaluated(cli: InProcess) -> None:
    config = cli.write("tiny.yaml", TINY)
    cli("train", "-c", config, "--jobs", "1", "-q")
    compared = cli("compare", "--format", "json").stdout
    assert cli("runs", "--prune", "--checkpoints", "--yes", "--filter", "variant=scratch").stdout.count("\n") > 2
    assert len(list(cli.folder.glob("runs/tiny/*/checkpoint.pt"))) == 1
    assert "2 runs: 0 trained now, 2 before" in cli("train", "-c", config).stderr
    assert cli("compare", "--format", "json").stdout == compared
    cli("report", "-o", "page.html")
    refused = cli("evaluate", "variant=scratch,seed=0", code=5).stderr
    assert "its checkpoint was removed; `dropexp train -c FILE --force` trains the run again" in refused
    cli("evaluate", "variant=none,seed=0")


def test_a_pruned_run_is_trained_again_to_the_same_table(cli: InProcess) -> None:
    config = cli.write("tiny.yaml", TINY)
    cli("train", "-c", config, "--jobs", "1", "-q")
    whole = cli.tables()
    corrupted = next(cli.folder.glob("runs/tiny/*none*"))
    (corrupted / "run.json").write_text("{")
    assert "is kept, since training may resume it" in cli("runs", "--prune", "--yes").stderr
    assert (corrupted / "checkpoint.pt").exists()
    remove_epochs(corrupted)
    cli("runs", "--prune", "--yes")
    assert not corrupted.exists()
    assert "2 runs: 1 trained now, 1 before" in cli("train", "-c", config).stderr
    assert cli.tables() == whole
