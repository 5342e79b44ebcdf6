"""`dropexp config`: shipped studies, checks, keys, the schema and the starter file; `--version`."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from helpers.fake_runs import write_run
from helpers.in_process import InProcess

import dropexp
from dropexp.config.shipped import shipped
from dropexp.config.starter import starter

TINY = "variant: nn\nmatrix: {seed: 0..2, lr: [0.1, 0.5]}\n"


def test_the_shipped_studies_are_listed_with_their_questions(cli: InProcess) -> None:
    lines = cli("config", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines[2:] if line] == list(shipped())
    assert "Does dropout help this network" in lines[2]


def test_a_shipped_study_is_printed_as_it_is(cli: InProcess) -> None:
    assert cli("config", "show", "dropout").stdout == shipped()["dropout"].read_text(encoding="utf-8")
    assert "did you mean 'dropout'?" in cli("config", "show", "dropot", code=2).stderr


def test_configs_are_checked_without_training(cli: InProcess) -> None:
    cli.write("a.yaml", TINY)
    printed = cli("config", "check", "a.yaml", "fair-tuning").stdout.splitlines()
    assert printed == [
        "a.yaml: valid; a has 6 runs: 2 arms, 3 seeds each",
        "fair-tuning: valid; fair-tuning has 192 trials and 24 tested runs: 3 arms",
    ]
    cli.write("b.yaml", "variant: nn\nepoch: 3\nlr: 0\n")
    stderr = cli("config", "check", "a.yaml", "b.yaml", "nowhere.yaml", code=2).stderr
    assert "b.yaml:2: unknown key 'epoch'" in stderr and "b.yaml:3: lr = 0" in stderr and "nowhere.yaml: no" in stderr
    assert not (cli.folder / "runs").exists()


def test_keys_are_explained(cli: InProcess) -> None:
    listed = cli("config", "keys").stdout
    assert "momentum" in listed and "tune.space" in listed and "a number from 0 to under 1" in listed
    one = cli("config", "keys", "momentum", "train_size").stdout
    assert one == (
        "momentum\nMomentum of SGD.\ndefault: 0\nallowed: a number from 0 to under 1\nbook:    section 7.4\n\n"
        "train_size\nTraining images, balanced over the classes.\ndefault: all\nallowed: a whole number, 10 to 60000\n"
        "book:    section 3.11\n"
    )
    assert "did you mean 'lr'?" in cli("config", "keys", "learning_rate", code=2).stderr


@pytest.mark.usefixtures("no_plugins")
def test_the_schema_has_the_variants_of_plugins(cli: InProcess) -> None:
    plugin = str(Path(__file__).parents[2] / "examples/uniform_noise.py")
    without, with_it = (json.loads(cli("config", "schema", *more).stdout) for more in ((), ("--plugin", plugin)))
    names = [schema["properties"]["variant"]["enum"] for schema in (without, with_it)]
    assert [one for one in names[1] if one not in names[0]] == ["uniform"]


def test_a_starter_file_is_valid_and_overwrites_nothing(cli: InProcess) -> None:
    done = cli("config", "init")
    assert done.stdout == "study.yaml\n"
    assert json.loads((cli.folder / "dropexp.schema.json").read_text(encoding="utf-8")) == json.loads(
        cli("config", "schema").stdout
    )
    assert "study has 16 runs: 2 arms, 8 seeds each" in cli("config", "check", "study.yaml").stdout
    before = (cli.folder / "study.yaml").read_bytes()
    assert "study.yaml exists" in cli("config", "init", code=2).stderr
    assert (cli.folder / "study.yaml").read_bytes() == before
    assert cli("config", "init", "new/folder/y.yaml").stdout == f"{Path('new/folder/y.yaml')}\n"
    assert (cli.folder / "new/folder/dropexp.schema.json").exists()


def test_a_note_on_an_older_schema_has_a_command_for_a_shell(cli: InProcess) -> None:
    (cli.folder / "my study").mkdir()
    cli.write("my study/dropexp.schema.json", "{}")
    schema = Path("my study/dropexp.schema.json")
    assert f"`dropexp config schema > '{schema}'` replaces it" in cli("config", "init", "my study/x.yaml").stderr


@pytest.mark.parametrize("name", ["folder/", "study", "study.json"])
def test_a_starter_file_has_the_name_of_a_config(name: str, cli: InProcess) -> None:
    assert "does not end in .yaml or .yml" in " ".join(cli("config", "init", name, code=2).stderr.split())
    assert not list(cli.folder.iterdir())


def test_a_starter_file_can_go_to_standard_output(cli: InProcess) -> None:
    assert cli("config", "init", "-").stdout == starter(Path("study.yaml"))
    assert not list(cli.folder.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("config", "init", "a-file/x.yaml"),
        ("report", "--out", "a-file/x.html"),
        ("compare", "--plot", "a-file/x.svg"),
        ("compare", "--chart", "arms", "--plot", "a-file/new/x.png"),
        ("export", "--to", "mlflow", "--out", "sqlite:///a-file/x.db"),
    ],
)
def test_a_file_that_cannot_be_written_is_named_with_the_reason(
    arguments: tuple[str, ...], own_study: InProcess
) -> None:
    own_study.write("a-file", "")
    name = arguments[-1].removeprefix("sqlite:///")
    printed = own_study(*arguments, code=1).stderr
    assert f"dropexp: {Path(name)} cannot be written: a-file is a file, not a folder\n" in printed


@pytest.mark.parametrize("command", ["compare", "report"])
def test_a_config_of_standard_input_is_a_file_in_printed_commands(
    command: str, cli: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"name: piped\n{TINY}"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8"))
    printed = cli(command, "-c", "-", code=5).stderr
    assert "`dropexp train -c FILE` trains the missing runs, with the config saved as FILE\n" in printed


def test_a_config_can_come_from_standard_input(cli: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def given(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8"))

    given(TINY)
    assert "standard input: it has no name; add a line `name: …`" in cli("train", "-", "--dry-run", code=2).stderr
    given(f"name: piped\n{TINY}")
    listed = cli("train", "-", "--dry-run").stdout.splitlines()
    assert len(listed) == 6 and all(f"runs{os.sep}piped{os.sep}" in line for line in listed)
    given("name: piped\nvariant: nn\nepoch: 3\n")
    assert "standard input:3: unknown key 'epoch'" in cli("train", "-c", "-", "--dry-run", code=2).stderr


def test_configs_are_arguments_options_and_names(cli: InProcess) -> None:
    cli.write("a.yaml", TINY)
    for arguments in (("a.yaml", "dropout"), ("-c", "a.yaml", "dropout"), ("-c", "a.yaml", "-c", "dropout")):
        assert len(cli("train", *arguments, "--dry-run").stdout.splitlines()) == 6 + 24
    assert len(cli("train", "a", "--sweep", "lr=1,2,3", "--dry-run").stdout.splitlines()) == 9
    stderr = " ".join(cli("train", "--dry-run", code=2).stderr.replace("│", " ").split())
    assert "give a file, a study that `dropexp config list` lists, or - for standard input" in stderr


def test_a_config_among_names_of_runs_is_explained(cli: InProcess) -> None:
    cli.write("mine.yaml", TINY)
    for name in ("mine.yaml", "mine", "dropout"):
        stderr = cli("compare", name, code=5).stderr
        remedy = (
            f"{name} is a config: `dropexp train {name}` creates its runs, `dropexp compare -c {name}` compares them"
        )
        assert stderr.endswith(f"nor a folder of runs; {remedy}\n")
    assert cli("compare", "xyzzy", code=5).stderr.endswith("dropexp train CONFIG creates runs\n")


@pytest.mark.parametrize("words", [["runs"], ["compare"], ["export", "--to", "tensorboard"], ["evaluate"]])
def test_the_message_for_a_config_with_runs_gives_their_name(words: list[str], cli: InProcess) -> None:
    cli.write("mine.yaml", f"name: tiny\n{TINY}")
    write_run(cli.folder / "runs", "none", 0, name="tiny")
    stderr = cli(*words, "mine.yaml", code=5).stderr
    assert stderr.endswith("nor a folder of runs; mine.yaml is a config: write tiny, the name of its runs\n")


def test_the_printed_command_compares_what_was_trained_where_it_is(cli: InProcess) -> None:
    cli.write("wd.yaml", "task: linear-regression\nvariant: nn\nepochs: 2\nmatrix: {seed: 0..1}\n")
    train = ("train", "wd.yaml", "--jobs", "1", "--runs-dir", "other runs")
    assert "next: dropexp compare wd --runs-dir 'other runs'\n" in cli(*train).stderr
    swept = cli(*train, "--sweep", "weight_decay=0,1").stderr
    command = "dropexp compare -c wd.yaml --sweep weight_decay=0,1 --runs-dir 'other runs'"
    assert f"next: {command}\n" in swept
    printed = cli(*command.replace("'other runs'", "other_runs").split()[1:-1], "other runs").stdout
    assert "weight_decay=1" in printed and "missing" not in printed


@pytest.mark.parametrize("path", [(), ("train",), ("config",), ("config", "check"), ("data", "path")])
def test_every_command_has_a_short_option_for_help(path: tuple[str, ...], cli: InProcess) -> None:
    assert cli(*path, "-h").stdout == cli(*path, "--help").stdout != ""


def test_the_version_names_torch_and_the_commit(cli: InProcess) -> None:
    words = cli("--version").stdout.split()
    assert words[:2] == ["dropexp", dropexp.__version__] and "torch" in words and "(commit" in words
