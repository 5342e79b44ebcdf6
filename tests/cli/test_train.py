"""`dropexp train` on the real data: what it trains, prints and reports."""

from __future__ import annotations

import io
import json
import os
import shlex

import pandas as pd
import pytest
from helpers.command import Command
from helpers.fake_runs import write_raw
from helpers.in_process import InProcess

from dropexp.lock import locked
from dropexp.runs.folder import RunFolder

TINY = """\
name: tiny
hidden: [32, 16]
init: torch
train_size: 2000
epochs: 3
matrix:
  variant: [none, nn, scratch]
  seed: 0..1
"""
MIXED = "train_size: 2000\nepochs: 2\nvariant: none\n"
WILD, SANE = "wild: {lr: 1.0e+30}", "sane: {lr: 0.1}"


def test_train_and_compare(command: Command, cli: InProcess) -> None:
    config = command.write("tiny.yaml", TINY)
    trained = command("train", "--config", config)
    assert trained.stdout == ""
    assert "6 runs: 6 trained now, 0 before" in trained.stderr
    assert "next: dropexp compare tiny" in trained.stderr
    assert len([line for line in trained.stderr.splitlines() if "epoch 3/3" in line]) == 6  # a line per epoch
    again = cli("train", "--config", config)
    assert "6 runs: 0 trained now, 6 before" in again.stderr

    table = cli("compare", "tiny")
    for text in ("none", "nn - none", "scratch - none", "±"):
        assert text in table.stdout
    arms = {arm["arm"]: arm for arm in json.loads(cli("compare", "tiny", "--format", "json").stdout)["arms"]}
    assert set(arms) == {"none", "nn", "scratch"} and arms["nn"]["n"] == 2
    assert len(pd.read_csv(io.StringIO(cli("compare", "--format", "csv").stdout))) == 3
    assert "| none |" in cli("compare", "--format", "md").stdout

    cli("compare", "tiny", "--require", "nn.test_acc >= 0.01", "--require", "none.seconds < 1000")
    failed = cli("compare", "tiny", "--require", "nn.test_acc >= 0.999", code=1)
    assert "nn.test_acc" in failed.stderr and ">= 0.999" in failed.stderr
    assert "test_acc" in cli("compare", "tiny", "--require", "nn.accuracy >= 0.5", code=2).stderr
    assert cli("runs").stdout.count("done") == 6

    command.environment["PYTHONIOENCODING"] = "ascii"  # has no ± and bars
    for output in ("table", "md"):
        assert "scratch - none" in command("compare", "--format", output).stdout


def test_a_dry_run_trains_nothing(cli: InProcess) -> None:
    config = cli.write("tiny.yaml", TINY)
    listed = cli("train", "-c", config, "--dry-run", "--seeds", "5..6").stdout.splitlines()
    assert len(listed) == 6 and all(line.startswith("new ") for line in listed)
    assert "6 runs: 6 new" in cli("train", "-c", config, "--dry-run").stderr
    assert "seed=5" in listed[0]
    assert not (cli.folder / "runs").exists()


def test_a_quiet_training_prints_nothing(cli: InProcess) -> None:
    done = cli("train", "-c", cli.write("tiny.yaml", TINY), "--seeds", "0", "--jobs", "1", "-q")
    assert done.stdout == done.stderr == ""


def test_everything_wrong_with_a_config_is_reported_at_once(cli: InProcess) -> None:
    config = cli.write("bad.yaml", "variant: nn\nepoch: 3\ndrop_probs: [0.2, 1.5]\n")
    stderr = cli("train", "-c", config, "--set", "lr=fast", code=2).stderr
    assert "bad.yaml:2: unknown key 'epoch' (did you mean 'epochs'?)" in stderr
    assert "bad.yaml:3: drop_probs[1] = 1.5 is not a probability (0 ≤ p ≤ 1)" in stderr
    assert "--set lr=fast: lr = 'fast' is not a number greater than 0" in stderr
    assert "nowhere.yaml: no such file" in cli("train", "-c", "nowhere.yaml", code=2).stderr
    assert "cuda:9" in cli("train", "-c", cli.write("t.yaml", TINY), "--device", "cuda:9", code=2).stderr
    assert not (cli.folder / "runs").exists()


def test_published_figures_stay_when_a_run_is_trained_by_its_own_config(cli: InProcess) -> None:
    train = ("train", "--jobs", "1", "-q", "-c")
    cli(*train, cli.write("tiny.yaml", TINY.replace(", scratch]", "]") + "published: {test_acc: [0.5, 0.6, 0.7]}\n"))
    assert json.loads(cli("compare", "--format", "json").stdout)["published"]
    stderr = cli(*train, str(next(cli.folder.glob("runs/tiny/*/config.yaml")))).stderr
    assert stderr == ""
    assert json.loads(cli("compare", "--format", "json").stdout)["published"]


def test_a_diverged_run_fails_the_command_and_the_others_train(cli: InProcess) -> None:
    config = cli.write("mixed.yaml", f"name: mixed\n{MIXED}arms: {{{SANE}, {WILD}}}\n")
    stderr = cli("train", "-c", config, "--jobs", "1", code=1).stderr
    assert "diverged: runs/mixed/arm=wild" in stderr.replace("\\", "/")
    arms = {arm["arm"]: arm for arm in json.loads(cli("compare", "mixed", "--format", "json").stdout)["arms"]}
    assert arms["wild"]["diverged"] == 1 and arms["sane"]["n"] == 1
    again = cli("train", "-c", config, code=1).stderr
    assert "0 trained now" in again  # a diverged run is a result


def test_a_quiet_training_prints_why_a_run_is_not_done(cli: InProcess) -> None:
    lines = "task: linear-regression\nvariant: nn\nepochs: 2\nlr: 1.0e+30\n"
    stderr = cli("train", "-q", "-c", cli.write("lines.yaml", lines), "--jobs", "1", code=1).stderr
    (folder,) = cli.folder.glob("runs/lines/*/")
    assert stderr == f"diverged: {folder.relative_to(cli.folder)}: the loss is not finite in epoch 1\n"


def test_a_run_that_another_process_trains_is_not_a_failure(cli: InProcess) -> None:
    config = cli.write("lines.yaml", "task: linear-regression\nvariant: nn\nepochs: 2\nmatrix: {seed: 0..2}\n")
    train = ("train", "-c", config, "--jobs", "1", "--fail-fast")
    first = cli.folder / cli(*train, "--dry-run").stdout.split()[1]
    with locked(first):  # before it writes anything
        stderr = cli(*train).stderr
    assert "busy: another process is training it" in stderr
    assert "3 runs: 2 trained now" in stderr
    assert "note: other processes train 1 of these runs" in stderr
    assert "next: dropexp compare lines" in stderr


def test_one_note_has_the_reason_if_the_commit_cannot_be_recorded(
    cli: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dropexp.runs.provenance.missing_commit", lambda: "git: detected dubious ownership")
    config = cli.write("lines.yaml", "task: linear-regression\nvariant: nn\nepochs: 2\nmatrix: {seed: 0..1}\n")
    for count in (1, 0):  # finished runs need no commit
        stderr = cli("train", config, "--jobs", "1", "-q").stderr
        assert stderr.count("is not recorded with the runs: git: detected dubious ownership") == count


def test_the_next_command_works_as_printed(cli: InProcess) -> None:
    config = cli.write("lines.yaml", "name: lines\ntask: linear-regression\nvariant: nn\nepochs: 2\n")
    trained = cli("train", "-c", config, "--jobs", "1", "--runs-dir", "my runs")
    program, *words = shlex.split(trained.stderr.splitlines()[-1].removeprefix("next: "))
    assert program == "dropexp"
    assert "nn" in cli(*words).stdout


def test_with_fail_fast_nothing_trains_after_a_failed_run(cli: InProcess) -> None:
    config = cli.write("fast.yaml", f"name: fast\n{MIXED}arms: {{{WILD}, {SANE}}}\n")
    cli("train", "-c", config, "--jobs", "1", "--fail-fast", code=1)
    assert list(cli.folder.glob("runs/fast/arm=wild*")) and not list(cli.folder.glob("runs/fast/arm=sane*"))


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_run_of_a_later_version_fails_and_the_others_train(force: tuple[str, ...], cli: InProcess) -> None:
    config = cli.write("lines.yaml", "name: lines\ntask: linear-regression\nvariant: nn\nepochs: 2\n")
    cli("train", "-c", config, "--jobs", "1", "--seeds", "1")
    (newer,) = cli.folder.glob("runs/lines/*/")
    write_raw(RunFolder(newer), schema=3)
    train = ("train", "-c", config, "--jobs", "1", "--seeds", "0..2")
    why = f"{newer.relative_to(cli.folder)}{os.sep}run.json was written by a later version of dropexp"

    listed = cli(*train, "--dry-run")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["new", "unreadable", "new"]
    assert why in listed.stderr

    before = (newer / "run.json").read_bytes()
    stderr = cli(*train, *force, code=1).stderr
    assert "3 runs: 2 trained now" in stderr and f"failed: {why}" in stderr and f"unreadable: {why}" in stderr
    assert (newer / "run.json").read_bytes() == before
    assert [line.split()[0] for line in cli(*train, "--dry-run").stdout.splitlines()] == ["done", "unreadable", "done"]


@pytest.mark.parametrize("variant", ["scratch", "nn"])
def test_the_study_learns_the_real_data(variant: str, cli: InProcess) -> None:
    config = cli.write("real.yaml", f"variant: {variant}\ntrain_size: 20000\nbatch_size: 64\nepochs: 3\n")
    cli("train", "-c", config)
    epochs = pd.read_csv(next(cli.folder.glob("runs/real/*/epochs.csv")))
    assert epochs["test_acc"].iloc[-1] >= 0.75
    assert epochs["train_loss"].is_monotonic_decreasing


@pytest.mark.parametrize(
    ("runs_dir", "message"),
    [
        ("t.yaml", "t.yaml is a file, and runs need a folder; --runs-dir names another one"),
        ("t.yaml/runs", "t.yaml/runs cannot be created: t.yaml is a file, not a folder"),
        ("/proc/runs", "/proc/runs cannot be created: No such file or directory"),
    ],
)
def test_a_folder_that_cannot_have_runs_is_one_message(runs_dir: str, message: str, cli: InProcess) -> None:
    cli.write("t.yaml", "task: linear-regression\nvariant: scratch\nmatrix: {seed: 0..3}\n")
    done = cli("train", "t.yaml", "--device", "cpu", "--runs-dir", runs_dir, code=1)
    assert len(done.stderr.splitlines()) == 1 and message in done.stderr


@pytest.mark.parametrize("twice", ["--set seed=1 --seeds 2", "--set lr=1 --sweep lr=1,2"])
def test_a_key_that_two_kinds_of_options_give_is_an_error(twice: str, cli: InProcess) -> None:
    cli.write("t.yaml", "task: linear-regression\nvariant: scratch\n")
    assert "is given twice, first by --set" in cli("train", "t.yaml", "--dry-run", *twice.split(), code=2).stderr
