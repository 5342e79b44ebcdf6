"""Configs by path or name."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from dropexp.config import shipped as module
from dropexp.config.shipped import find, folder, question, shipped, study_names
from dropexp.config.study import load_config
from dropexp.errors import ConfigError

ROOT = Path(__file__).parents[3]


def test_the_shipped_studies_are_those_of_the_index_in_its_order() -> None:
    assert folder() == ROOT / "configs"
    assert {path.resolve() for path in shipped().values()} == {*(ROOT / "configs").rglob("*.yaml")}
    assert list(shipped())[:2] == ["dropout", "does-dropout-help"]
    assert all("?" in question(path) for path in shipped().values())


def test_a_wheel_has_the_configs_where_they_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    ((source, target),) = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"].items()
    shutil.copytree(ROOT / source, tmp_path / target)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "dropexp/config/shipped.py"))
    assert folder() == tmp_path / "dropexp/configs"
    assert (folder() / "README.md").exists() and (folder() / "book/scratch.yaml").exists()


@pytest.mark.parametrize(
    "word", ["exercises/drop-probs", "drop-probs", "exercise-1-drop-probs", "configs/exercises/drop-probs.yaml"]
)
def test_a_study_is_found_by_its_path_its_end_and_the_name_of_its_runs(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find(word) == ROOT / "configs/exercises/drop-probs.yaml"


@pytest.mark.parametrize("name", [*shipped(), *study_names()])
def test_every_study_is_found_by_its_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find(name) in shipped().values()


@pytest.mark.parametrize("file", ["dropout", "dropout.yaml", "dropout.yml"])
def test_a_file_takes_precedence_over_a_shipped_study_of_the_same_name(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if file != "dropout":
        (tmp_path / "dropout").mkdir()  # a folder is not a config
    (tmp_path / file).write_text("name: own\nvariant: nn\n")
    assert find("dropout") == Path(file)
    study = load_config("dropout", ["lr=0.1"], sweeps=["epochs=1,2"])
    assert (study.name, len(study.runs)) == ("own", 2)
    assert study.options == ("-c", "dropout", "--set", "lr=0.1", "--sweep", "epochs=1,2")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("dropot", " (did you mean 'dropout'?)"),
        ("exercise/drop-probs", " (did you mean 'exercises/drop-probs'?)"),
        ("mine.yml", " (did you mean 'mine.yaml'?)"),
        ("miner", " (did you mean 'mine.yaml'?)"),
        ("droput", " (did you mean 'dropout'?)"),  # closer than the file beside it
        ("xyzzy", ""),
        ("a\0b", ""),
        ("x" * 300, ""),
    ],
)
def test_an_unknown_name_is_an_error_that_suggests_the_nearest_one(
    word: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("variant: nn\n")
    (tmp_path / "dropout (1).yaml").write_text("variant: nn\n")
    with pytest.raises(ConfigError, match="no such file") as error:
        find(word)
    assert f"ships with dropexp{message}; `dropexp config list` lists those" in str(error.value)


def test_a_setting_among_the_configs_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"to set a key, write --set lr=0\.1"):
        find("lr=0.1")


@pytest.mark.parametrize("word", ["=", "=0.1", "lr="])
def test_a_setting_with_spaces_is_explained(word: str) -> None:
    with pytest.raises(ConfigError, match=r"write --set KEY=VALUE without spaces around the ="):
        find(word)


@pytest.mark.parametrize("word", ["runs/tiny/seed=0-nosuch/config.yaml", "runs/tiny/seed=0", "seed=0/config.yaml"])
def test_a_missing_file_below_a_folder_of_a_run_is_no_setting(word: str) -> None:
    with pytest.raises(ConfigError, match="no such file, and no study that ships with dropexp"):
        find(word)
