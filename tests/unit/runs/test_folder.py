"""The run folder: written so that a process may die at any moment, and found again."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from filelock import FileLock

from dropexp.errors import NewerRun, RunError
from dropexp.files import write_whole
from dropexp.lock import Busy
from dropexp.runs import study_file
from dropexp.runs.find import by_hash, folders, study_names
from dropexp.runs.folder import FILES, Damaged, RunFolder, default_runs_dir
from dropexp.runs.study_file import read_study, write_study

ROW: dict[str, Any] = {"epoch": 1, "train_loss": 0.1 + 0.2, "val_loss": None, "test_loss": 1e-5, "lr": 0.5}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "study" / "cell-0123abcd")
    run.path.mkdir(parents=True)
    return run


def make_run(path: Path, status: str = "done") -> RunFolder:
    path.mkdir(parents=True)
    run = RunFolder(path)
    run.write_info({"status": status})
    return run


@contextmanager
def another_process(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A python process that has printed its first line; it is killed at the end."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    process.wait()


# Files that are replaced whole

KEEPS_WRITING = """
import sys
from pathlib import Path
from dropexp.files import write_whole
write_whole(Path(sys.argv[1]), b"a" * 300_000)
print("ready", flush=True)
while True:
    for letter in b"abcdefgh":
        write_whole(Path(sys.argv[1]), bytes([letter]) * 300_000)
"""


def test_a_reader_sees_whole_files_only_even_when_the_writer_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    seen = set()
    for wait in (0.0, 0.003, 0.01, 0.03):
        with another_process(KEEPS_WRITING, str(file)) as writer:
            until = time.monotonic() + wait
            while time.monotonic() < until:
                seen.add(file.read_bytes())
            kill(writer)
        seen.add(file.read_bytes())
    assert all(content == content[:1] * 300_000 for content in seen)


def test_nothing_is_left_beside_a_written_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"one")
    write_whole(tmp_path / "a", b"two")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"two")]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(OSError):
        write_whole(tmp_path / "a", b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


# epochs.csv


def test_rows_come_back_at_full_precision(folder: RunFolder) -> None:
    rows = [
        ROW,
        {"epoch": 2, "train_loss": math.inf, "val_loss": -1.5e-300, "test_loss": 1 / 3, "lr": 100.0},
        {"epoch": 3, "train_loss": -math.inf, "val_loss": 5e-324, "test_loss": 1e22, "lr": 2},
    ]
    for row in rows:
        folder.append_row(row)
    found = folder.read_rows()
    assert found == rows
    assert [type(value) for row in found for value in row.values()] == [
        type(value) for row in rows for value in row.values()
    ]


def test_nan_comes_back(folder: RunFolder) -> None:
    folder.append_row({"epoch": 1, "train_loss": math.nan})
    (row,) = folder.read_rows()
    assert math.isnan(row["train_loss"])


def test_pandas_reads_the_table_without_options(folder: RunFolder) -> None:
    folder.append_row(ROW)
    folder.append_row({**ROW, "epoch": 2, "train_loss": math.nan})
    table = pd.read_csv(folder.path / "epochs.csv")
    assert list(table.columns) == list(ROW)
    assert table["train_loss"][0] == pytest.approx(0.30000000000000004, abs=1e-16)
    assert table["train_loss"].isna().tolist() == [False, True]
    assert table["val_loss"].isna().all()


def test_the_table_has_unix_line_ends_and_one_header(folder: RunFolder) -> None:
    folder.append_row(ROW)
    folder.append_row(ROW)
    content = (folder.path / "epochs.csv").read_bytes()
    assert content == b"epoch,train_loss,val_loss,test_loss,lr\n" + 2 * b"1,0.30000000000000004,,1e-05,0.5\n"


def test_no_table_has_no_rows(folder: RunFolder) -> None:
    assert folder.read_rows() == []


@pytest.mark.parametrize("torn", ["2", "2,0.7", "2,0.7,,0.1,0.", "2,0.7,,0.1,0.5"])
def test_a_torn_last_line_is_left_out(folder: RunFolder, torn: str) -> None:
    folder.append_row(ROW)
    with open(folder.path / "epochs.csv", "a") as file:
        file.write(torn)
    assert folder.read_rows() == [ROW]


def test_a_torn_header_is_no_row(folder: RunFolder) -> None:
    (folder.path / "epochs.csv").write_text("epoch,train_lo")
    assert folder.read_rows() == []


@pytest.mark.parametrize("line", ["x,1,,1,1", "1,1,,1,1,1", "1,1", "1,one,,1,1", "\0,1,,1,1"])
def test_a_damaged_row_is_an_error_that_says_what_happens_to_it(folder: RunFolder, line: str) -> None:
    folder.append_row(ROW)
    with open(folder.path / "epochs.csv", "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(RunError, match=r"epochs\.csv is damaged: .*sets it aside"):
        folder.read_rows()


def test_a_table_that_is_no_text_is_damaged(folder: RunFolder) -> None:
    (folder.path / "epochs.csv").write_bytes(b"epoch\n\xff\xfe\n")
    with pytest.raises(Damaged, match=r"epochs\.csv is damaged"):
        folder.read_rows()


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("torn", ["", "4,0.3"])
def test_the_table_is_cut_to_the_rows_that_count_and_goes_on_from_there(
    folder: RunFolder, count: int, torn: str
) -> None:
    rows = [{**ROW, "epoch": epoch} for epoch in (1, 2, 3)]
    for row in rows:
        folder.append_row(row)
    with open(folder.path / "epochs.csv", "a") as file:
        file.write(torn)
    assert folder.cut_rows(count) == rows[:count]
    for row in rows[count:]:
        folder.append_row(row)
    assert folder.read_rows() == rows


def test_a_torn_header_is_cut_too(folder: RunFolder) -> None:
    (folder.path / "epochs.csv").write_text("epoch,train_lo")
    assert folder.cut_rows(0) == []
    folder.append_row(ROW)
    assert folder.read_rows() == [ROW]


def test_a_table_shorter_than_its_checkpoint_is_an_error(folder: RunFolder) -> None:
    assert folder.cut_rows(0) == []
    folder.append_row(ROW)
    with pytest.raises(RunError, match="has 1 rows where the checkpoint counts 2"):
        folder.cut_rows(2)


KEEPS_APPENDING = """
import sys
from pathlib import Path
from dropexp.runs.folder import RunFolder
print("ready", flush=True)
epoch = 0
while True:
    epoch += 1
    RunFolder(Path(sys.argv[1])).append_row({"epoch": epoch, "twice": 2 * epoch, "loss": 1 / epoch})
"""


def test_a_table_whose_writer_is_killed_has_whole_rows(folder: RunFolder) -> None:
    with another_process(KEEPS_APPENDING, str(folder.path)) as writer:
        time.sleep(0.1)
        kill(writer)
    rows = folder.read_rows()
    assert rows
    assert rows == [{"epoch": n, "twice": 2 * n, "loss": 1 / n} for n in range(1, len(rows) + 1)]


# run.json


def test_info_comes_back_with_its_schema(folder: RunFolder) -> None:
    folder.write_info({"status": "done", "arm": "ü"})
    assert folder.read_info() == {"schema": 1, "status": "done", "arm": "ü"}
    assert "ü" in (folder.path / "run.json").read_text(encoding="utf-8")


def test_missing_info_is_an_error(folder: RunFolder) -> None:
    with pytest.raises(RunError, match=r"run\.json is missing"):
        folder.read_info()
    assert folder.status() == "missing"


@pytest.mark.parametrize("content", [b"", b"{", b'{"schema": 1, "status": "done"', b"\xff"])
def test_broken_info_is_damaged(folder: RunFolder, content: bytes) -> None:
    (folder.path / "run.json").write_bytes(content)
    with pytest.raises(Damaged, match=r"run\.json is damaged"):
        folder.read_info()
    assert folder.status() == "broken"


@pytest.mark.parametrize(
    "info",
    [
        [],
        {},
        {"schema": 1},
        {"status": "done"},
        {"schema": 0, "status": "done"},
        {"schema": "2", "status": "done"},
        {"schema": None, "status": "done"},
        {"schema": 1, "status": "x"},
    ],
)
def test_info_of_no_schema_is_damaged(folder: RunFolder, info: object) -> None:
    (folder.path / "run.json").write_text(json.dumps(info))
    with pytest.raises(Damaged, match=r"is damaged"):
        folder.read_info()
    assert folder.status() == "broken"


@pytest.mark.parametrize(
    "info", [{"schema": 2, "status": "done"}, {"schema": 2, "status": "paused"}, {"schema": 10, "state": {}}]
)
def test_a_run_of_a_later_version_is_neither_missing_nor_to_be_removed(folder: RunFolder, info: object) -> None:
    (folder.path / "run.json").write_text(json.dumps(info))
    for ask in (folder.read_info, folder.status):
        with pytest.raises(NewerRun) as error:
            ask()
        assert isinstance(error.value, RunError)
        assert str(error.value).endswith("is of a later version of dropexp; use that, or another --runs-dir")
        assert str(folder.path / "run.json") in str(error.value)
    assert json.loads((folder.path / "run.json").read_text()) == info


@pytest.mark.parametrize("status", ["done", "interrupted", "diverged", "failed"])
def test_a_status_is_what_was_written(folder: RunFolder, status: str) -> None:
    folder.write_info({"status": status})
    assert folder.status() == status


def test_clearing_leaves_the_lock_alone(folder: RunFolder) -> None:
    with folder.lock():
        folder.write_info({"status": "running"})
        folder.append_row(ROW)
        folder.config_path.write_text("")
        folder.checkpoint.write_text("")
        folder.clear()
        folder.clear()
        assert [path.name for path in folder.path.iterdir()] == [".lock"]
        assert folder.held()


# The lock

HOLDS = """
import sys, time
from pathlib import Path
from dropexp.runs.folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
with folder.lock():
    folder.write_info({"status": "running"})
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_run_is_held_by_one_process_until_that_dies(folder: RunFolder) -> None:
    with another_process(HOLDS, str(folder.path)) as holder:
        assert folder.held()
        assert folder.status() == "running"
        with pytest.raises(Busy), folder.lock():
            pytest.fail("two processes hold the run")
        kill(holder)
    assert not folder.held()
    assert folder.status() == "interrupted"  # run.json still says "running"
    with folder.lock():
        assert folder.held()


def test_a_run_that_was_never_locked_is_not_held_and_asking_writes_nothing(folder: RunFolder) -> None:
    assert not folder.held()
    assert list(folder.path.iterdir()) == []
    assert not RunFolder(folder.path / "absent").held()


def test_the_lock_ends_with_an_error_inside_it(folder: RunFolder) -> None:
    with pytest.raises(ZeroDivisionError), folder.lock():
        _ = 1 / 0
    assert not folder.held()


HANGS_AS_IT_WRITES = """
import os, sys, time
from pathlib import Path
from dropexp.runs.folder import RunFolder
def replace(*paths):
    print("ready", flush=True)
    time.sleep(600)
os.replace = replace
folder = RunFolder(Path(sys.argv[1]))
with folder.lock():
    folder.write_info({"status": "running"})
"""


def test_the_lock_removes_what_a_killed_writer_left_and_nothing_else(folder: RunFolder) -> None:
    folder.write_info({"status": "running"})
    folder.append_row(ROW)
    with another_process(HANGS_AS_IT_WRITES, str(folder.path)) as writer:
        kill(writer)
    (folder.path / "notes.tmp").write_text("")
    (folder.path / ".notes").write_text("")
    files = {".lock", "run.json", "epochs.csv", "notes.tmp", ".notes"}
    (leftover,) = {path.name for path in folder.path.iterdir()} - files
    assert leftover.startswith(".run.json.")
    with folder.lock():
        assert {path.name for path in folder.path.iterdir()} == files
        assert folder.read_info()["status"] == "running"
        assert folder.read_rows() == [ROW]


def test_the_lock_removes_half_written_files_of_this_program_only(folder: RunFolder) -> None:
    for name in (".run.json.1.tmp", ".checkpoint.pt.22.tmp", ".notes.1.tmp", ".run.json.tmp", ".run.json.x.tmp"):
        (folder.path / name).write_text("")
    with folder.lock():
        left = {path.name for path in folder.path.iterdir()}
    assert left == {".lock", ".notes.1.tmp", ".run.json.tmp", ".run.json.x.tmp"}


def test_a_linked_run_is_read_and_never_written(tmp_path: Path) -> None:
    elsewhere = make_run(tmp_path / "elsewhere" / "cell-0123abcd")
    link = RunFolder(tmp_path / "runs" / "study" / "cell-0123abcd")
    link.path.parent.mkdir(parents=True)
    link.path.symlink_to(elsewhere.path, target_is_directory=True)
    assert link.status() == "done"
    with pytest.raises(RunError, match="is a link, which no training follows"), link.lock():
        pytest.fail("it was followed")
    assert [path.name for path in elsewhere.path.iterdir()] == ["run.json"]


def test_a_linked_study_is_written_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "study").symlink_to(tmp_path / "large disk", target_is_directory=True)
    write_study(tmp_path / "runs", "study", {"published": {"loss": [1.0]}})
    with RunFolder(tmp_path / "runs" / "study" / "cell-0123abcd").lock():
        assert (tmp_path / "large disk" / "cell-0123abcd").is_dir()
    assert (tmp_path / "large disk" / "study.json").exists()


def test_who_does_not_get_the_lock_removes_nothing(folder: RunFolder) -> None:
    with another_process(HANGS_AS_IT_WRITES, str(folder.path)):
        (writes,) = folder.path.glob(".*.tmp")
        with pytest.raises(Busy), folder.lock():
            pytest.fail("two processes hold the run")
        assert writes.exists()


def test_a_folder_that_is_pruned_as_its_lock_is_waited_for_is_made_again(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruning = ExitStack()
    pruning.enter_context(folder.lock())

    def prune(seconds: float) -> None:
        if folder.path.exists():
            (folder.path / ".lock").unlink()
            pruning.close()
            folder.path.rmdir()

    monkeypatch.setattr(time, "sleep", prune)  # as whoever waits for the lock does between two tries
    with folder.lock():
        folder.write_info({"status": "running"})
    assert folder.read_info()["status"] == "running"


def test_locking_makes_the_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a" / "b")
    with run.lock():
        assert run.path.is_dir()


# Finding runs


def test_a_run_is_found_by_its_hash_whatever_its_cell(tmp_path: Path) -> None:
    there = make_run(tmp_path / "study" / "arm=old,seed=0-0123abcd")
    make_run(tmp_path / "other" / "seed=0-89abcdef")
    assert by_hash(tmp_path / "study") == {"0123abcd": [there]}


def test_a_study_that_is_not_there_has_no_runs(tmp_path: Path) -> None:
    assert by_hash(tmp_path / "study") == {}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """runs/ with two runs of study "one" and one of "two", under the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("one/a-00000000", "one/b-00000001", "two/a-00000000"):
        make_run(tmp_path / "runs" / name)
    (tmp_path / "runs" / "two" / "empty").mkdir()
    (tmp_path / "runs" / "notes.txt").write_text("")
    return tmp_path / "runs"


def found(tree: Path, *names: str) -> list[str]:
    return [run.path.resolve().relative_to(tree).as_posix() for run in folders(names, tree)]


ONE, TWO = ["one/a-00000000", "one/b-00000001"], ["two/a-00000000"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ONE + TWO),
        (["one"], ONE),
        (["two", "one"], TWO + ONE),
        (["runs/one"], ONE),
        (["./runs/one/"], ONE),
        (["runs/one/b-00000001"], ONE[1:]),
        (["one/b-00000001"], ONE[1:]),
        (["runs"], ONE + TWO),
        (["one", "runs/one/a-00000000"], ONE),
        (["."], ONE + TWO),
    ],
)
def test_runs_are_named_by_study_or_path(tree: Path, names: list[str], expected: list[str]) -> None:
    assert found(tree, *names) == expected


def test_runs_are_named_by_an_absolute_path(tree: Path) -> None:
    assert found(tree, str(tree / "one")) == ONE


@pytest.mark.parametrize("name", ["three", "runs/three", "two/empty", "notes.txt", "runs/notes.txt"])
def test_what_holds_no_runs_is_named_with_what_there_is(tree: Path, name: str) -> None:
    with pytest.raises(RunError) as error:
        folders(["one", name], tree)
    assert str(error.value) == f"no runs at {name!r}: neither a name under {tree} (one, two) nor a folder of runs"


def test_a_link_to_itself_hides_no_runs(tree: Path) -> None:
    (tree / "one" / "study.json").symlink_to("study.json")
    assert found(tree) == ONE + TWO


def test_where_nothing_is_there_are_no_runs(tmp_path: Path) -> None:
    assert folders([], tmp_path / "absent") == []
    assert study_names(tmp_path / "absent") == []
    with pytest.raises(RunError, match="nothing yet"):
        folders(["one"], tmp_path / "absent")


def test_studies_are_named_once_and_in_order(tree: Path) -> None:
    assert study_names(tree) == ["one", "two"]


def test_the_environment_says_where_runs_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPEXP_RUNS", str(Path("some", "where")))
    assert default_runs_dir() == Path("some", "where")
    monkeypatch.setenv("DROPEXP_RUNS", "")
    assert default_runs_dir() == Path("runs")


# study.json


def test_what_is_said_of_a_study_is_read_from_each_of_its_runs(tmp_path: Path) -> None:
    write_study(tmp_path, "one", {"published": {"loss": [1.0]}})
    run = make_run(tmp_path / "one" / "a-00000000")
    assert read_study(run) == {"schema": 1, "published": {"loss": [1.0]}}


def test_a_study_of_which_nothing_was_said_is_empty(tmp_path: Path) -> None:
    write_study(tmp_path, "one", {})
    assert not (tmp_path / "one").exists()
    assert read_study(make_run(tmp_path / "one" / "a-00000000")) == {}


def test_what_was_said_of_a_study_stays_where_a_config_says_nothing_of_it(tmp_path: Path) -> None:
    for said in ({"published": {"loss": [1.0]}}, {}):
        assert write_study(tmp_path, "one", said) is None
    assert read_study(make_run(tmp_path / "one" / "a-00000000"))["published"] == {"loss": [1.0]}
    write_study(tmp_path, "one", {"published": {"loss": [2.0]}})
    assert read_study(RunFolder(tmp_path / "one" / "a-00000000"))["published"] == {"loss": [2.0]}


def test_what_is_damaged_stays_where_a_config_says_nothing_of_the_study(tmp_path: Path) -> None:
    write_study(tmp_path, "one", {"published": {"loss": [1.0]}})
    path = tmp_path / "one" / "study.json"
    path.write_bytes(damaged := path.read_bytes().replace(b"1.0", b"2.0"))
    note = write_study(tmp_path, "one", {})
    assert note is not None and "a config with a section `published` makes it anew" in note
    assert path.read_bytes() == damaged


def test_a_study_that_another_process_holds_is_left_to_it_with_a_note(tmp_path: Path) -> None:
    said = {"published": {"loss": [1.0]}}
    with RunFolder(tmp_path / "one").lock():
        note = write_study(tmp_path, "one", said)
        assert note is not None and "study.json is not written, since another process holds its folder" in note
    assert write_study(tmp_path, "one", said) is None
    with RunFolder(tmp_path / "one").lock():
        assert write_study(tmp_path, "one", said) is None  # what is to be written stands there


def test_what_another_process_wrote_of_a_study_meanwhile_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"published": {"loss": [1.0]}}
    write_study(tmp_path / "other", "one", said)
    acquire = FileLock.acquire

    def late(self: FileLock, *arguments: Any, **options: Any) -> Any:
        shutil.copy(tmp_path / "other" / "one" / "study.json", tmp_path / "one" / "study.json")
        return acquire(self, *arguments, **options)

    monkeypatch.setattr(FileLock, "acquire", late)
    monkeypatch.setattr(study_file, "write_whole", lambda *_: pytest.fail("it was written again"))
    assert write_study(tmp_path, "one", said) is None


def test_the_table_is_plain_csv(folder: RunFolder) -> None:
    folder.append_row(ROW)
    with open(folder.path / "epochs.csv", newline="") as file:
        header, row = csv.reader(file)
    assert dict(zip(header, row, strict=True))["train_loss"] == repr(0.1 + 0.2)


def test_a_disk_without_locks_costs_a_study_its_remarks_not_the_command(tmp_path: Path, no_locks: None) -> None:
    note = write_study(tmp_path, "study", {"published": {"loss": [1.0]}})
    assert note is not None and "is not written" in note and "where locks do not work" in note


@pytest.mark.parametrize("renamed", [1, 2, 3])
def test_setting_a_result_aside_that_was_cut_short_is_gone_on_with(
    renamed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    folder.write_info({"status": "done"})
    for name in ("config.yaml", "epochs.csv", "checkpoint.pt"):
        (tmp_path / name).write_text(name)
    replace, left = os.replace, renamed

    def cut_short(source: Path, target: Path) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        replace(source, target)

    monkeypatch.setattr(os, "replace", cut_short)
    with pytest.raises(KeyboardInterrupt):
        folder.begin_anew()
    monkeypatch.undo()
    folder.begin_anew()
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.before-1" for name in FILES}
    assert (tmp_path / "epochs.csv.before-1").read_text() == "epochs.csv"


def test_a_result_in_a_folder_that_cannot_be_written_is_not_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    folder.write_info({"status": "done"})
    (tmp_path / "epochs.csv").touch()

    def full(self: RunFolder, info: dict[str, Any]) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(RunFolder, "write_info", full)
    with pytest.raises(OSError):
        folder.clear()
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", "epochs.csv"}
