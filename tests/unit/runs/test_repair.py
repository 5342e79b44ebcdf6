"""The derived files of a finished run: which are rewritten, from what, and what is reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.fake_runs import change
from helpers.states import PREDICTED, content, lock

from dropexp.errors import RunError
from dropexp.runs import repair as repairs
from dropexp.runs.folder import CONFIG, EPOCHS, PREDICTIONS, RunFolder
from dropexp.runs.repair import repair_finished


def in_checkpoint(folder: RunFolder) -> bytes:
    """Return the predictions, as if they were read from checkpoint.pt."""
    return PREDICTED


def repair(folder: RunFolder) -> list[str]:
    return repair_finished(folder, in_checkpoint)


@pytest.mark.parametrize(
    "edit", [lambda _: b"", lambda whole: whole[:-3], lambda whole: whole.replace(b"5", b"6"), None]
)
@pytest.mark.parametrize("name", [CONFIG, EPOCHS])
def test_a_derived_file_of_a_finished_run_is_rewritten_when_edited_or_missing(
    name: str, edit: Callable[[bytes], bytes] | None, done: RunFolder
) -> None:
    before = content(done)
    for rewrite in (lambda: repair(done), lambda: getattr(lock(done), "notes", None)):
        (done.path / name).unlink() if edit is None else (done.path / name).write_bytes(edit(before[name]))
        was = "missing" if edit is None else "edited"
        assert rewrite() == [f"{done.path / name} was {was} and is rewritten from run.json"]
        assert content(done) == before
        assert rewrite() == []


def test_a_derived_file_that_cannot_be_rewritten_is_named(done: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError("no space left on device")

    (done.path / EPOCHS).unlink()
    monkeypatch.setattr(repairs, "write_whole", full)
    assert repair(done) == [f"{done.path} is not repaired: no space left on device"]
    outcome = lock(done)
    assert outcome is not None and outcome.status == "done"
    assert outcome.notes == [f"{done.path} is not repaired: no space left on device"]


def test_a_folder_in_place_of_a_derived_file_is_named_and_the_run_stays_finished(done: RunFolder) -> None:
    (done.path / EPOCHS).unlink()
    (done.path / EPOCHS).mkdir()
    (note,) = repair(done)
    assert "is not repaired" in note and "epochs.csv" in note
    outcome = lock(done)
    assert outcome is not None and outcome.status == "done" and outcome.notes == [note]


def test_a_locked_run_is_not_repaired(done: RunFolder) -> None:
    (done.path / EPOCHS).unlink()
    with done.lock():
        assert repair(done) == []
    assert not (done.path / EPOCHS).exists()


def test_the_config_of_a_finished_run_is_rewritten_with_its_own_keys(done: RunFolder) -> None:
    change(done, config={"variant": "scratch", "seed": 0, "lr": 0.25, "key_of_another_time": [1, "x"]})
    repair(done)
    expected = "name: study\nvariant: scratch\nseed: 0\nlr: 0.25\nkey_of_another_time:\n- 1\n- x\n"
    assert (done.path / CONFIG).read_text() == expected


def test_a_finished_run_of_schema_1_is_never_rewritten(old: Path) -> None:
    run = RunFolder(next(old.glob("arm=images*")))
    before = content(run)
    assert repair(run) == []
    (run.path / CONFIG).write_text("")
    assert len(repair(run)) == 1
    assert content(run) == before


@pytest.mark.parametrize("edit", [lambda whole: whole[:-3], lambda _: b"", None])
def test_predictions_that_are_missing_or_were_edited_are_rewritten_from_the_checkpoint(
    edit: Callable[[bytes], bytes] | None, done: RunFolder
) -> None:
    before = content(done)
    path = done.path / PREDICTIONS
    path.unlink() if edit is None else path.write_bytes(edit(PREDICTED))
    was = "missing" if edit is None else "edited"
    assert repair(done) == [f"{path} was {was} and is rewritten from checkpoint.pt"]
    assert content(done) == before
    assert repair(done) == []


def test_the_checkpoint_is_only_read_if_predictions_are_needed(done: RunFolder) -> None:
    def unexpected(folder: RunFolder) -> bytes:
        raise AssertionError(folder)

    (done.path / EPOCHS).unlink()
    assert len(repair_finished(done, unexpected)) == 1


def test_predictions_that_no_checkpoint_has_are_named(done: RunFolder) -> None:
    def gone(folder: RunFolder) -> bytes:
        raise RunError(f"{folder.checkpoint} is missing")

    path = done.path / PREDICTIONS
    path.write_bytes(b"edited")
    why = f"{path} was edited and is not rewritten: "
    assert repair_finished(done, gone) == [f"{why}{done.checkpoint} is missing"]
    assert repair_finished(done, lambda folder: b"others") == [
        f"{why}the predictions in checkpoint.pt have another SHA-256"
    ]
    assert path.read_bytes() == b"edited"


def test_a_run_of_a_version_that_kept_no_predictions_lacks_none(done: RunFolder) -> None:
    (done.path / PREDICTIONS).unlink()
    change(done, predictions_sha256=None)
    assert repair(done) == []
    assert not (done.path / PREDICTIONS).exists()
