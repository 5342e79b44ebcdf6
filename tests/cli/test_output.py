"""Commands that are printed to be copied, and paths on a terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from helpers.command import DROPEXP, Command
from helpers.fake_runs import write_arm
from helpers.in_process import InProcess

from dropexp.cli.output import next_command, shown_paths
from dropexp.program import command_line


@pytest.mark.parametrize(
    ("program", "path", "expected"),
    [
        ("dropexp", "", "dropexp compare 'my study'"),
        (str(DROPEXP), str(DROPEXP.parent), "dropexp compare 'my study'"),
        (str(DROPEXP), "", f"{DROPEXP} compare 'my study'"),
        (str(Path("dropexp", "__main__.py")), "", f"{sys.executable} -m dropexp compare 'my study'"),
        (str(Path("pytest", "__main__.py")), "", "dropexp compare 'my study'"),
        (str(Path("bin", "jupyter")), "", "dropexp compare 'my study'"),
    ],
)
def test_a_printed_command_starts_the_program_that_printed_it(
    program: str, path: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [program, "train"])
    monkeypatch.setenv("PATH", path)
    assert command_line("compare", "my study") == expected


def test_the_next_command_names_a_file_for_a_config_of_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["dropexp"])
    printed = next_command("next", ["compare", "-c", "-"])
    assert printed == "next, with the config saved as FILE: dropexp compare -c FILE"


def test_an_ascii_terminal_shows_no_sign_as_a_question_mark(command: Command) -> None:
    ours, theirs = pytest.importorskip("pty").openpty()  # Windows has none
    command.environment["PYTHONIOENCODING"] = "ascii"
    assert command.launch(DROPEXP, "config", "keys", "sgd", stdout=theirs).wait() == 0
    text = os.read(ours, 4096).decode("ascii")
    os.close(ours)
    os.close(theirs)
    assert "mean (w - lr*g)" in text and "?" not in text


def test_paths_are_cut_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"runs/study/{'x' * 60}-{i}" for i in range(3)]
    assert shown_paths(paths, 13) == paths
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    assert [len(path) for path in shown_paths(paths, 13)] == [47] * 3
    assert len(set(shown_paths(paths, 13))) == 3


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize(
    "words",
    [
        "config check \x1b[31m.yaml",
        "config init \x1b[31m/new.yaml",
        "train \x1b[31m.yaml --runs-dir \x1b[31m --dry-run",
        "report -o \x1b[31m/page.html",
        "export --to tensorboard -o \x1b[31m/logs",
        "data path --data-dir \x1b[31m/data",
        "data verify --data-dir \x1b[31m/data",
        "data fetch --data-dir \x1b[31m/data",
    ],
)
def test_paths_on_stdout_are_printable(words: str, cli: InProcess, real_root: Path) -> None:
    cli.write("\x1b[31m.yaml", "name: x\ntask: linear-regression\nvariant: nn\n")
    write_arm(cli.folder / "runs", "nn", [0.8, 0.81])
    folder = cli.folder / "\x1b[31m"
    folder.mkdir()
    (folder / "data").symlink_to(real_root.resolve())
    printed = cli(*words.split(" ")).stdout
    assert "\ufffd[31m" in printed and "\x1b" not in printed
