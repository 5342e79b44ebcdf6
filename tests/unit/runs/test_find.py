"""Runs are found by study, path, hash and name."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from dropexp.errors import AmbiguousRun, RunError
from dropexp.runs.find import by_hash, find_named, folders, study_names
from dropexp.runs.folder import RunFolder, default_runs_dir


def make_run(path: Path) -> RunFolder:
    path.mkdir(parents=True)
    (path / "run.json").write_text("{}")
    return RunFolder(path)


def test_a_run_is_found_by_its_hash_whatever_its_cell(tmp_path: Path) -> None:
    there = make_run(tmp_path / "study" / "arm=old,seed=0-0123abcd")
    make_run(tmp_path / "other" / "seed=0-89abcdef")
    assert by_hash(tmp_path / "study") == {"0123abcd": [there]}


def test_a_study_without_a_folder_has_no_runs(tmp_path: Path) -> None:
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


def test_a_study_and_a_folder_of_the_same_name_are_not_merged(tree: Path) -> None:
    make_run(tree.with_name("two") / "c-00000002")
    for find in (folders, find_named):
        with pytest.raises(AmbiguousRun) as error:
            find(["two"], Path("runs"))
        both = "'two' names both the runs in runs/two and those in ./two; write one of these paths"
        assert str(error.value) == both
        for path, cell in (("./two", "c-00000002"), ("runs/two", "a-00000000")):
            assert [run.path for run in find([path], Path("runs"))] == [Path(path) / cell]


def test_a_link_to_a_study_names_the_same_runs(tree: Path) -> None:
    tree.with_name("two").symlink_to(tree / "two", target_is_directory=True)
    assert found(tree, "two") == TWO


@pytest.mark.parametrize("name", ["three", "runs/three", "two/empty", "notes.txt", "runs/notes.txt"])
def test_a_name_without_runs_is_an_error_that_lists_the_studies(tree: Path, name: str) -> None:
    with pytest.raises(RunError) as error:
        folders(["one", name], tree)
    assert str(error.value) == f"no runs at {name!r}: neither a name under {tree} (one, two) nor a folder of runs"


def test_a_link_to_itself_hides_no_runs(tree: Path) -> None:
    (tree / "one" / "study.json").symlink_to("study.json")
    assert found(tree) == ONE + TWO


def test_a_folder_that_does_not_exist_has_no_runs(tmp_path: Path) -> None:
    assert folders([], tmp_path / "absent") == []
    assert study_names(tmp_path / "absent") == []
    with pytest.raises(RunError, match="nothing yet"):
        folders(["one"], tmp_path / "absent")


def test_studies_are_named_once_and_in_order(tree: Path) -> None:
    assert study_names(tree) == ["one", "two"]


def test_an_environment_variable_sets_the_folder_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPEXP_RUNS", str(Path("some", "where")))
    assert default_runs_dir() == Path("some", "where")
    monkeypatch.setenv("DROPEXP_RUNS", "")
    assert default_runs_dir() == Path("runs")


@pytest.mark.parametrize("name", ["cell", "0a1b2c3d", "cell-0a1b2c3d", "study/cell", "study/cell-0a1b2c3d", "study"])
def test_a_run_has_several_names(name: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "study" / "cell-0a1b2c3d")
    assert find_named([name], tmp_path) == [run]


@pytest.mark.parametrize("name", ["été", "arm=été,seed=0", "été/arm=été,seed=0", "{}/été/arm=été,seed=0-0a1b2c3d"])
def test_a_run_is_found_however_the_letters_of_its_name_are_composed(name: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "été" / "arm=été,seed=0-0a1b2c3d")
    assert find_named([unicodedata.normalize("NFD", name.format(tmp_path))], tmp_path) == [run]


def test_a_short_name_of_several_runs_or_of_none_is_an_error(tmp_path: Path) -> None:
    for study in ("one", "two"):
        make_run(tmp_path / study / "cell-0a1b2c3d")
    with pytest.raises(AmbiguousRun, match="'cell' names 2 runs; name one of them"):
        find_named(["cell"], tmp_path)
    with pytest.raises(RunError, match="dropexp runs lists the runs"):
        find_named(["elsewhere"], tmp_path)


def test_studies_and_short_names_of_runs_are_found_together_and_each_run_once(tmp_path: Path) -> None:
    one, two = (make_run(tmp_path / "one" / f"{cell}-0a1b2c3d") for cell in ("a", "b"))
    other = make_run(tmp_path / "two" / "c-0a1b2c3d")
    assert find_named(["two/c", "one", "one/b", str(one.path)], tmp_path) == [other, one, two]


def test_the_same_run_named_twice_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / "runs" / "study" / "cell-0a1b2c3d")
    (tmp_path / "link").symlink_to(tmp_path / "runs", target_is_directory=True)
    found = folders(["study", "runs/study/cell-0a1b2c3d", "link", str(run.path)], tmp_path / "runs")
    assert len(found) == 1 and found[0].path.samefile(run.path)


def test_names_of_a_config_without_runs_have_the_command_that_trains_them(tmp_path: Path) -> None:
    for name in ("dropout", "dropout/variant=nn,seed=0"):
        with pytest.raises(RunError, match="; `dropexp train dropout` trains them"):
            find_named([name], tmp_path)
    make_run(tmp_path / "dropout" / "cell-0a1b2c3d")
    with pytest.raises(RunError, match="dropexp runs lists the runs"):
        find_named(["dropout/variant=nn,seed=99"], tmp_path)
