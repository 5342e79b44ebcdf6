"""`~` in options, names and variables, also where the shell does not replace it."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.fake_runs import write_arm
from helpers.in_process import InProcess

CONFIG = "task: linear-regression\nvariant: nn\nepochs: 2\n"


@pytest.fixture
def home(cli: InProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with runs of two arms and a config."""
    home = tmp_path_factory.mktemp("home")
    cli.environment |= {"HOME": str(home), "USERPROFILE": str(home)}
    write_arm(home / "runs", "none", [0.8, 0.81])
    write_arm(home / "runs", "nn", [0.82, 0.83])
    (home / "lines.yaml").write_text(CONFIG)
    return home


@pytest.mark.parametrize("words", [["runs", "--runs-dir", "~/runs"], ["runs", "--runs-dir=~/runs"], ["runs", "~/runs"]])
def test_runs_are_read_in_the_home_folder(words: list[str], home: Path, cli: InProcess) -> None:
    assert cli(*words).stdout.count("done") == 4


def test_variables_may_name_the_home_folder(home: Path, cli: InProcess, real_root: Path) -> None:
    (home / "data").symlink_to(real_root.resolve())
    cli.environment |= {"DROPEXP_RUNS": "~/runs", "DROPEXP_DATA": "~/data"}
    assert cli("runs").stdout.count("done") == 4
    assert cli("data", "path").stdout == f"{home / 'data'}\n"


def test_files_are_written_to_the_home_folder(home: Path, cli: InProcess) -> None:
    cli("train", "-c", "~/lines.yaml", "--runs-dir", "~/new", "--jobs", "1")
    cli("compare", "dropout", "--runs-dir", "~/runs", "--plot", "~/chart.svg")
    cli("export", "dropout", "--runs-dir", "~/runs", "--to", "tensorboard", "-o", "~/logs")
    for name in ("new/lines", "chart.svg", "logs/dropout"):
        assert (home / name).exists(), name
    assert list(cli.folder.iterdir()) == []


def test_an_unknown_home_folder_is_an_error(cli: InProcess) -> None:
    message = cli("runs", "--runs-dir", "~no-such-user/runs", code=2).stderr
    assert "~no-such-user/runs: there is no home folder for ~" in message
    assert list(cli.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["train", "lines.yaml", "--runs-dir", ""], "--runs-dir"),
        (["train", "lines.yaml", "--runs-dir="], "--runs-dir"),
        (["train", "lines.yaml", "--data-dir", ""], "--data-dir"),
        (["train", "lines.yaml", "--plugin", ""], "--plugin"),
        (["train", "-c", ""], "--config"),
        (["train", "lines.yaml", ""], "CONFIG"),
        (["compare", ""], "RUN|NAME"),
        (["compare", "lines", "--plot", ""], "--plot"),
        (["report", "-o", ""], "--out"),
        (["runs", "--runs-dir", ""], "--runs-dir"),
        (["evaluate", ""], "RUN|NAME"),
        (["export", "--to", "tensorboard", "-o", ""], "--out"),
        (["config", "init", ""], "FILE"),
        (["data", "fetch", "--data-dir", ""], "--data-dir"),
    ],
)
def test_an_empty_path_is_an_error(words: list[str], name: str, cli: InProcess) -> None:
    cli.write("lines.yaml", CONFIG)
    errors = cli(*words, code=2).stderr
    assert errors == f"dropexp: {name} is empty, as with a variable of the shell that is not set; give a path\n"
    assert [path.name for path in cli.folder.iterdir()] == ["lines.yaml"]


def test_an_empty_text_that_is_no_path_is_allowed(cli: InProcess) -> None:
    cli.write("lines.yaml", CONFIG)
    cli("train", "lines.yaml", "--jobs", "1", "-q")
    cli("compare", "lines", "--chart", "learning", "--title", "")
    assert (cli.folder / "learning.svg").exists()
