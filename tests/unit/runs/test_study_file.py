"""study.json: what the config files of a study define and declare, beside the runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from dropexp.config.study import Study, load_config
from dropexp.errors import CorruptedFile, NewerRun
from dropexp.files import encode_json
from dropexp.lock import locked
from dropexp.runs import study_file
from dropexp.runs.folder import RunFolder
from dropexp.runs.study_file import Declared, read_study, write_study

SCHEMA_1 = Path(__file__).parents[2] / "schema-1" / "runs"
FIGURES = "published: {source: a book, loss: [0.5, 0.25, 0.125]}\n"
ONE = f"name: one\nvariant: nn\nmatrix: {{seed: 0..2}}\n{FIGURES}"


def study_of(file: Path, text: str = ONE, *settings: str, seeds: str | None = None) -> Study:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return load_config(file, settings, seeds)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "one" / "a-00000000")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "one" / "study.json"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return study_of(tmp_path / "one.yaml")


def test_the_file_has_what_a_config_defines_and_declares(
    run: RunFolder, runs: Path, study: Study, tmp_path: Path
) -> None:
    assert write_study(runs, study) == []
    (declared,) = read_study(run)
    assert declared.file == "../../one.yaml"
    assert declared.seeds == {study.runs[0].arm_digest: [0, 1, 2]}
    assert declared.published == {"source": "a book", "loss": [0.5, 0.25, 0.125]}
    assert declared.path(run.path.parent) == tmp_path / "one.yaml"


@pytest.mark.parametrize("options", [("lr=0.1",), (), ("seed=7",)])
def test_options_that_keep_the_name_do_not_change_what_the_file_defines(
    options: tuple[str, ...], run: RunFolder, runs: Path, study: Study, tmp_path: Path
) -> None:
    write_study(runs, study)
    before = read_study(run)
    write_study(runs, study_of(tmp_path / "one.yaml", ONE, *options, seeds=None if options else "7..9"))
    assert read_study(run) == before


def test_options_that_give_another_name_make_a_study_of_its_own(runs: Path, tmp_path: Path) -> None:
    other = study_of(tmp_path / "one.yaml", ONE, "lr=0.1", "name=other", seeds="7..9")
    write_study(runs, other)
    (declared,) = read_study(RunFolder(runs / "other" / "a-00000000"))
    assert declared.seeds == {other.runs[0].arm_digest: [7, 8, 9]}
    assert declared.published == other.published != {}


def test_a_file_that_needs_options_is_recorded_with_them(run: RunFolder, runs: Path, tmp_path: Path) -> None:
    study = study_of(tmp_path / "one.yaml", "name: one\n", "variant=none", seeds="3")
    write_study(runs, study)
    (declared,) = read_study(run)
    assert declared.seeds == {study.runs[0].arm_digest: [3]}


def test_a_config_that_is_edited_and_trained_again_replaces_what_it_declared(
    run: RunFolder, runs: Path, study: Study, tmp_path: Path
) -> None:
    write_study(runs, study)
    edited = study_of(tmp_path / "one.yaml", ONE.replace(FIGURES, "lr: 0.1\n"))
    assert write_study(runs, edited) == []
    (declared,) = read_study(run)
    assert (declared.seeds, declared.published) == ({edited.runs[0].arm_digest: [0, 1, 2]}, {})


def test_two_files_of_one_name_are_two_entries_with_a_message(run: RunFolder, runs: Path, tmp_path: Path) -> None:
    a = study_of(tmp_path / "a" / "one.yaml")
    b = study_of(tmp_path / "b" / "one.yaml", "name: one\nvariant: none\n")
    assert write_study(runs, a) == []
    for study, other in ((b, a), (a, b), (b, a)):
        (note,) = write_study(runs, study)
        assert str(other.file) in note and str(study.file) not in note and "`name: …`" in note
    entries = {declared.file: declared for declared in read_study(run)}
    assert [*entries] == ["../../a/one.yaml", "../../b/one.yaml"]
    assert entries["../../a/one.yaml"].published and not entries["../../b/one.yaml"].published


@pytest.mark.parametrize("how", ["removed", "moved", "copied"])
def test_a_removed_moved_or_copied_file_adds_no_second_entry(
    how: str, run: RunFolder, runs: Path, study: Study, tmp_path: Path
) -> None:
    write_study(runs, study)
    text = ONE if how != "removed" else ONE.replace("nn", "none")
    other = study_of(tmp_path / "other" / "one.yaml", text)
    if how != "copied":
        (tmp_path / "one.yaml").unlink()
    assert write_study(runs, other) == []
    kept = "one.yaml" if how == "copied" else "other/one.yaml"
    assert [declared.file for declared in read_study(run)] == [f"../../{kept}"]


@pytest.mark.parametrize("first", ["the part", "the whole"])
def test_a_file_that_defines_a_part_of_the_runs_of_another_has_no_entry(
    first: str, run: RunFolder, runs: Path, study: Study, tmp_path: Path
) -> None:
    """Such as the config.yaml of a run."""
    part = study_of(tmp_path / "config.yaml", "name: one\nvariant: nn\nseed: 1\n")
    for written in (part, study) if first == "the part" else (study, part):
        assert write_study(runs, written) == []
    assert [declared.file for declared in read_study(run)] == ["../../one.yaml"]


def test_a_study_that_is_made_in_python_has_no_file(run: RunFolder, runs: Path, study: Study) -> None:
    made = Study("one", study.runs[:1])
    for _ in range(2):
        assert write_study(runs, made) == []
    (declared,) = read_study(run)
    assert declared == Declared(file=None, seeds={study.runs[0].arm_digest: [0]})
    assert declared.path(run.path.parent) is None


@pytest.mark.parametrize("file", ["a\0b", "x" * 5000, "\N{SNOWMAN}", "", "loop", "nowhere"])
def test_a_file_that_does_not_exist_has_no_path(file: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    found = Declared(file=file, seeds={}).path(tmp_path)
    assert found is None or not file


@pytest.mark.parametrize(
    "corrupt", [lambda _: b"", lambda _: b"[]", lambda _: b"\xff", lambda c: c[:-20], lambda c: c.replace(b"25", b"26")]
)
def test_a_corrupted_file_is_renamed_and_rewritten(
    corrupt: Callable[[bytes], bytes], run: RunFolder, path: Path, runs: Path, study: Study
) -> None:
    write_study(runs, study)
    whole = path.read_bytes()
    path.write_bytes(corrupt(whole))
    with pytest.raises(CorruptedFile, match=r"study\.json is corrupted"):
        read_study(run)
    (note,) = write_study(runs, study)
    assert "is renamed to study.json.corrupted-1" in note
    assert path.read_bytes() == whole
    assert path.with_name("study.json.corrupted-1").read_bytes() == corrupt(whole)


@pytest.mark.parametrize(
    "configs", [[5], [{}], "x", [{"file": 3, "seeds": {}}], [{"file": "a", "seeds": {"b": ["0"]}}]]
)
def test_entries_that_no_training_writes_are_corruption(configs: Any, run: RunFolder, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_json({"schema": 2, "configs": configs}))
    with pytest.raises(CorruptedFile, match=r"study\.json is corrupted \(invalid"):
        read_study(run)


@pytest.mark.parametrize("published", [{"arm": "images", "test_acc": [0.1, 0.1, 0.1]}, {}])
def test_published_figures_of_schema_1_belong_to_all_runs_until_a_config_is_trained(
    published: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "schema-1" / "study.json"
    path.parent.mkdir()
    shutil.copy(SCHEMA_1 / "schema-1" / "study.json", path)
    folder = RunFolder(path.parent / "a-00000000")
    (declared,) = read_study(folder)
    assert declared.published == {"arm": "images", "test_acc": [0.1, 0.1, 0.1]}
    assert declared.defines("any arm")
    notes = write_study(tmp_path, Study("schema-1", [], published))
    assert len(notes) == (0 if published else 1) and all("other published figures" in note for note in notes)
    assert json.loads(path.read_bytes())["schema"] == 2
    assert [one.published for one in read_study(folder)] == [published]


@pytest.mark.parametrize("content", [encode_json({"schema": 9, "mood": {}}), b'{"schema": 9, "mood": {}}'])
def test_a_study_of_a_later_version_is_left_unchanged(
    content: bytes, run: RunFolder, path: Path, runs: Path, study: Study
) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(NewerRun):
        read_study(run)
    (note,) = write_study(runs, study)
    assert "was written by a later version of dropexp" in note
    assert path.read_bytes() == content


def test_a_study_that_another_process_has_locked_is_not_written_and_a_message_is_returned(
    runs: Path, study: Study
) -> None:
    with locked(runs / "one"):
        (note,) = write_study(runs, study)
        assert "is not written: another process has locked its folder" in note
    assert write_study(runs, study) == []
    with locked(runs / "one"):
        assert write_study(runs, study) == []  # the file has this entry already


def test_an_entry_that_another_process_wrote_meanwhile_is_not_written_again(
    runs: Path, path: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(runs.with_name("other"), study)
    acquire = FileLock.acquire

    def late(self: FileLock, *arguments: Any, **options: Any) -> Any:
        shutil.copy(runs.with_name("other") / "one" / "study.json", path)
        return acquire(self, *arguments, **options)

    monkeypatch.setattr(FileLock, "acquire", late)
    monkeypatch.setattr(study_file, "write_whole", lambda *_: pytest.fail("it was written again"))
    assert write_study(runs, study) == []


def test_on_a_disk_without_locks_the_file_is_not_written_and_a_message_is_returned(
    runs: Path, study: Study, no_locks: None
) -> None:
    (note,) = write_study(runs, study)
    assert "is not written" in note and "where locks do not work" in note


def test_a_linked_study_is_written_like_any_other(tmp_path: Path, runs: Path, study: Study) -> None:
    (tmp_path / "large disk").mkdir()
    runs.mkdir()
    (runs / "one").symlink_to(tmp_path / "large disk", target_is_directory=True)
    write_study(runs, study)
    with RunFolder(runs / "one" / "cell-0123abcd").lock():
        assert (tmp_path / "large disk" / "cell-0123abcd").is_dir()
    assert (tmp_path / "large disk" / "study.json").exists()
