"""What study.json records of searches: their points win over drawn ones, and stay when the rest is rewritten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.fake_runs import declare
from helpers.tuned import TUNED, tuned

from dropexp.config.search import Search
from dropexp.config.study import Study
from dropexp.errors import CorruptedFile
from dropexp.lock import locked
from dropexp.runs.folder import RunFolder
from dropexp.runs.search_records import SearchRecord, TrialRecord, known_trials, with_recorded
from dropexp.runs.study_file import read_searches, read_study, write_searches, write_study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return tuned(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "tuned"


def record_of(search: Search, device: str = "cpu") -> SearchRecord:
    return SearchRecord.of(search, device, known_trials(search, None))


def records_of(study: Study, **changed: Any) -> list[SearchRecord]:
    return [record_of(search).model_copy(update=changed) for search in study.searches]


def with_lr(record: SearchRecord, lr: float) -> SearchRecord:
    """Return the record with another lr in every trial, as another version of scipy might draw it."""
    trials = [TrialRecord(values={**trial.values, "lr": lr}) for trial in record.trials]
    return record.model_copy(update={"trials": trials})


def by_search(records: list[SearchRecord]) -> dict[tuple[str, str], SearchRecord]:
    return {(one.id, one.device): one for one in records}


def test_records_are_read_as_they_were_written(study: Study, folder: Path) -> None:
    records = records_of(study)
    figures = TrialRecord(values=records[0].trials[0].values, status="done", val_acc=0.1 + 0.2, val_loss=float("inf"))
    records[0] = records[0].model_copy(update={"trials": [figures, *records[0].trials[1:]], "selected": 0})
    write_study(folder.parent, study)
    assert write_searches(folder, records) == []
    assert [*read_searches(folder).values()] == records
    assert records[0].best == figures
    first = study.searches[0]
    assert {key: records[0].dimension(key) for key in first.space} == first.space
    assert records[0].points == [dict(point) for point in first.points]


def test_recorded_points_win_over_drawn_ones(study: Study) -> None:
    records = [with_lr(record, 0.25) for record in records_of(study)]
    recorded = with_recorded(study, by_search(records), "cpu")
    assert {run.config.lr for run in recorded.runs} == {0.25}
    assert [search.digest for search in recorded.searches] == [search.digest for search in study.searches]
    assert [run.config.drop_probs for run in recorded.runs[-3:]] == [run.config.drop_probs for run in study.runs[-3:]]


def test_further_trials_are_drawn_and_fewer_leave_out_the_last_ones(study: Study, tmp_path: Path) -> None:
    records = by_search([with_lr(record, 0.25) for record in records_of(study)])
    more = with_recorded(tuned(tmp_path, TUNED.replace("trials: 3", "trials: 5")), records, "cpu").searches[0]
    assert [point["lr"] for point in more.points[:3]] == [0.25] * 3
    assert len(more.points) == 5 and 0.25 not in [point["lr"] for point in more.points[3:]]
    fewer = with_recorded(tuned(tmp_path, TUNED.replace("trials: 3", "trials: 2")), records, "cpu").searches[0]
    assert [point["lr"] for point in fewer.points] == [0.25] * 2


def test_the_figures_of_trials_are_known_by_their_values(study: Study, tmp_path: Path) -> None:
    search = study.searches[0]
    trials = [
        TrialRecord(values=dict(point), status="done", val_acc=index / 10) for index, point in enumerate(search.points)
    ]
    more = tuned(tmp_path, TUNED.replace("trials: 3", "trials: 4")).searches[0]
    known = known_trials(more, SearchRecord.of(search, "cpu", trials))
    assert known == [*trials, TrialRecord(values=dict(more.points[3]))]


def test_points_of_another_device_or_that_are_no_longer_allowed_are_not_used(study: Study) -> None:
    for records, device in (
        ([with_lr(record, 0.25) for record in records_of(study)], "cuda"),
        ([with_lr(record, -1) for record in records_of(study)], "cpu"),
    ):
        assert with_recorded(study, by_search(records), device) == study


def test_a_study_without_searches_is_unchanged(tmp_path: Path) -> None:
    study = tuned(tmp_path, "variant: nn\n")
    assert with_recorded(study, {}, "cpu") is study


def test_searches_stay_when_the_entry_of_the_config_is_rewritten(study: Study, folder: Path, tmp_path: Path) -> None:
    write_study(folder.parent, study)
    write_searches(folder, records_of(study))
    before = read_searches(folder)
    edited = tuned(tmp_path, TUNED.replace("none: {variant: none}", "none: {variant: none, lr: 0.1}"))
    assert write_study(folder.parent, edited) == []
    (declared,) = read_study(RunFolder(folder / "a-00000000"))
    assert declared.seeds == edited.seeds != study.seeds
    assert read_searches(folder) == before


def test_the_entry_of_the_config_stays_when_searches_are_written(study: Study, folder: Path) -> None:
    write_study(folder.parent, study)
    before = read_study(RunFolder(folder / "a-00000000"))
    for selected in (None, 1):
        assert write_searches(folder, records_of(study, selected=selected)) == []
        assert {one.selected for one in read_searches(folder).values()} == {selected}
    assert read_study(RunFolder(folder / "a-00000000")) == before


def test_searches_of_an_edited_space_do_not_replace_the_earlier_ones(
    study: Study, folder: Path, tmp_path: Path
) -> None:
    write_study(folder.parent, study)
    write_searches(folder, records_of(study))
    wider = tuned(tmp_path, TUNED.replace("0.8]", "0.9]"))  # which only the arm "units" searches
    write_searches(folder, records_of(wider)[2:])
    found = read_searches(folder)
    expected = {search.digest for search in [*study.searches, *wider.searches]}
    assert {digest for digest, _ in found} == expected and len(expected) == 6
    assert {one.arm for one in found.values()} == {"none", "units"}


def test_what_is_known_of_trials_is_kept_when_a_search_is_trained_again(study: Study, folder: Path) -> None:
    """By another process that read study.json before, with fewer trials, or with --force."""
    write_study(folder.parent, study)
    done = [
        TrialRecord(values=dict(point), status="done", val_acc=0.5, val_loss=1.0) for point in study.searches[0].points
    ]
    write_searches(folder, [SearchRecord.of(study.searches[0], "cpu", done, 1)])
    write_searches(folder, [record_of(study.searches[0])])
    (known,) = read_searches(folder).values()
    assert (known.trials, known.num_trials, known.selected) == (done, 3, 1)
    fewer = SearchRecord.of(study.searches[0], "cpu", done[:1], 0)
    write_searches(folder, [fewer])
    (known,) = read_searches(folder).values()
    assert (known.trials, known.num_trials, known.selected) == (done, 1, 0)


def test_records_of_another_device_are_records_of_their_own(study: Study, folder: Path) -> None:
    write_study(folder.parent, study)
    for device in ("cpu", "cuda"):
        write_searches(folder, [record_of(search, device) for search in study.searches])
    assert len(read_searches(folder)) == 8


def test_searches_that_are_written_already_are_not_written_again(study: Study, folder: Path) -> None:
    write_study(folder.parent, study)
    write_searches(folder, records_of(study))
    before = (folder / "study.json").stat()
    write_searches(folder, records_of(study)[1:2])
    after = (folder / "study.json").stat()  # reading the file may change its time of access
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)


def test_a_folder_that_another_process_has_locked_is_reported(study: Study, folder: Path) -> None:
    write_study(folder.parent, study)
    with locked(folder):
        (note,) = write_searches(folder, records_of(study))
    assert "is not written: another process has locked its folder" in note
    assert read_searches(folder) == {}


@pytest.mark.parametrize(
    "changed",
    [
        {"trials": []},
        {"repeat": "0"},
        {"selected": 1.5},
        {"selected": -1},
        {"selected": 3},
        {"space": {"lr": {}}},
        {"space": {"lr": {"log": [0, 1]}}},
        {"space": {"lr": {"log": [1, 1]}}},
        {"space": {"lr": {"uniform": [0]}}},
        {"space": {"lr": {"uniform": ["a", "b"]}}},
        {"space": {"momentum": {"uniform": [0, 1]}}},
        {"trials": [{"values": {"lr": "high"}}]},
        {"odd": 1},
        {"trials": [{"values": {}, "val_acc": "high"}]},
        {"trials": [{"values": {"lr": float("inf")}}]},
    ],
)
def test_searches_that_no_training_writes_are_corruption(changed: dict[str, Any], study: Study, folder: Path) -> None:
    folder.mkdir(parents=True)
    content = records_of(study)[0].model_dump(mode="json") | changed
    declare(folder.parent, "tuned", {"configs": [], "searches": [content]})
    with pytest.raises(CorruptedFile, match=r"study\.json is corrupted \(invalid"):
        read_searches(folder)


@pytest.mark.parametrize("searches", [5, "x", [5], [{}]])
def test_searches_that_are_not_a_list_of_records_are_corruption(searches: Any, folder: Path) -> None:
    folder.mkdir(parents=True)
    declare(folder.parent, "tuned", {"configs": [], "searches": searches})
    with pytest.raises(CorruptedFile, match=r"study\.json is corrupted"):
        read_searches(folder)


def test_a_corrupted_file_loses_its_searches_which_are_drawn_again(study: Study, folder: Path) -> None:
    write_study(folder.parent, study)
    write_searches(folder, records_of(study))
    path = folder / "study.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptedFile):
        read_searches(folder)
    (note,) = write_searches(folder, records_of(study))
    assert "is not written" in note
    (note,) = write_study(folder.parent, study)
    assert "is renamed to study.json.corrupted-1" in note
    assert write_searches(folder, records_of(study)) == []
    assert [*read_searches(folder).values()] == records_of(study)
