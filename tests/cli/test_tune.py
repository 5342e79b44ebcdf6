"""A study with a search on the command line: its stages, progress and exit codes, and its comparison."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.in_process import InProcess
from helpers.tuned import TUNED, write_tuned

SMALL = (
    TUNED.replace("epochs: 1\n", "epochs: 1\ninit: torch\n").replace("trials: 3", "trials: 2").replace("0.005", "0.05")
)
TRAIN = ("train", "-c", "tuned.yaml", "--jobs", "1", "--device", "cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[InProcess]:
    """The command in a folder with a trained study, and its messages in printed.txt. Only read it."""
    cli = InProcess(tmp_path_factory.mktemp("tuned"), environment.copy())
    cli.write("tuned.yaml", SMALL)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cli.write("printed.txt", cli(*TRAIN).stderr)
    yield cli
    torch.set_num_threads(threads)


@pytest.fixture
def own(trained: InProcess, tmp_path: Path) -> InProcess:
    """The same study in a folder that the test may change."""
    shutil.copytree(trained.folder, tmp_path, dirs_exist_ok=True)
    return InProcess(tmp_path, trained.environment.copy())


def test_progress_has_a_count_for_each_stage(trained: InProcess) -> None:
    printed = (trained.folder / "printed.txt").read_text()
    lines = [line.split("  ")[0] for line in printed.splitlines() if line.startswith("[")]
    lines = [re.sub(", [0-9:]+ left", "", line) for line in lines]
    assert lines[0] == "[trials: 1/8 epochs] tuned/arm=none,trial=0,seed=0"
    assert lines[7] == "[trials: 8/8 epochs] tuned/arm=units,trial=1,seed=1"
    assert lines[8].startswith("[tested runs: 1/4 epochs] tuned/arm=none,selected=") and lines[8].endswith("seed=1000")
    assert len(lines) == 12 and lines[11].startswith("[tested runs: 4/4 epochs] ")
    trials, tested = (
        line for line in printed.splitlines() if "epoch 1/1" in line and ("[trials: 1/" in line or "1/4" in line)
    )
    assert (
        re.search(r"val \d+\.\d%", trials)
        and "test" not in trials.partition("seed")[2]
        and re.search(r"test \d+\.\d%", tested)
    )
    assert "8 trials: 8 trained now, 0 before" in printed and "4 tested runs: 4 trained now, 0 before" in printed
    assert printed.splitlines()[-1] == "next: dropexp compare tuned"


def test_a_dry_run_lists_the_trials_and_counts_the_tested_runs_that_follow(cli: InProcess) -> None:
    cli.write("tuned.yaml", SMALL)
    listed = cli(*TRAIN, "--dry-run")
    lines = listed.stdout.splitlines()
    assert len(lines) == 8 and all(line.startswith("new ") and ",trial=" in line for line in lines)
    assert "note: after the trials: 4 tested runs, each with the settings selected from its trials" in listed.stderr
    assert not (cli.folder / "runs").exists()


def test_a_dry_run_of_a_trained_study_lists_the_tested_runs_too(trained: InProcess) -> None:
    listed = trained(*TRAIN, "--dry-run")
    lines = listed.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["done"] * 12
    assert len([line for line in lines if ",selected=" in line]) == 4 and "after the trials" not in listed.stderr


def test_a_dry_run_without_the_trials_lists_the_tested_runs_alone(own: InProcess) -> None:
    remove(own, "*trial=*")
    lines = own(*TRAIN, "--dry-run").stdout.splitlines()
    assert len(lines) == 4 and all(line.startswith("done ") and ",selected=" in line for line in lines)


def remove(cli: InProcess, pattern: str) -> None:
    for path in cli.folder.glob(f"runs/tuned/{pattern}"):
        shutil.rmtree(path)


def test_a_plain_study_beside_one_with_a_search_trains_in_the_first_stage(own: InProcess) -> None:
    own.write("plain.yaml", "name: plain\nvariant: none\ntrain_size: 100\nhidden: [8, 4]\nepochs: 1\n")
    remove(own, "*selected=*seed=1001-*")
    printed = own(*TRAIN, "-c", "plain.yaml").stderr
    assert "9 runs: 1 trained now, 8 before" in printed and "4 tested runs: 2 trained now, 2 before" in printed
    assert printed.splitlines()[-1] == "next: dropexp compare tuned plain"


def test_runs_lists_trials_and_tested_runs(trained: InProcess) -> None:
    assert trained("runs", "tuned").stdout.count("done") == 12
    assert len(json.loads(trained("runs", "tuned", "--format", "json").stdout)) == 12


def test_a_comparison_hides_trials_and_does_not_need_them(own: InProcess) -> None:
    before = own("compare", "tuned", "--format", "json").stdout
    remove(own, "*trial=*")
    assert own("compare", "tuned", "--format", "json").stdout == before
    content = json.loads(before)
    assert [(arm["arm"], arm["n"]) for arm in content["arms"]] == [("none", 2), ("units", 2)]
    assert [row["pairs"] for row in content["differences"]] == [2]
    assert (len(content["selected"]), len(content["budget"])) == (4, 4)
    trials = json.loads(own("compare", "tuned", "--trials", "--format", "json").stdout)
    assert len(trials) == 8 and {trial["status"] for trial in trials} == {"done"}
    table = own("compare", "-c", "tuned.yaml").stdout
    assert "units - none" in table and "trial=" not in table
    assert own(*TRAIN).stderr.splitlines()[-1] == "next: dropexp compare tuned"


def test_an_option_fixes_a_key_for_all_arms_in_a_study_of_its_own(own: InProcess) -> None:
    options = ("--set", "lr=0.1", "--set", "name=fixed", "--set", "drop_probs=[0.5, 0.5]")
    printed = own(*TRAIN, *options).stderr
    assert "4 trials: 4 trained now" in printed  # with every key fixed, all trials of a search are one run
    assert "4 tested runs: 4 trained now" in printed
    assert json.loads(own("compare", "fixed", "--format", "json").stdout)["differences"][0]["pairs"] == 2


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        (("--seeds", "0..3"), "--seeds 0..3: seed: tune gives each repeat its own seeds; remove it"),
        (
            ("--set", "tune.trials=3"),
            "--set tune.trials=3: tune cannot be set by an option; edit tune.trials in tuned.yaml",
        ),
        (("--set", "validation_size=0"), "tuned.yaml:10: tune selects settings on validation images"),
    ],
)
def test_options_that_do_not_go_with_a_search_exit_with_2(
    option: tuple[str, str], problem: str, trained: InProcess
) -> None:
    assert problem in trained(*TRAIN, *option, code=2).stderr


def test_a_search_without_a_selection_exits_with_1_and_the_others_are_tested(own: InProcess) -> None:
    own.write("tuned.yaml", SMALL.replace("none: {variant: none}", "none: {variant: none, lr: 1.0e+30}"))
    printed = own(*TRAIN, code=1).stderr
    assert "diverged: the loss is not finite in epoch 1" in printed
    assert "note: tuned: arm none, repeat 1: no settings are selected: every trial diverged" in printed
    assert "2 tested runs: 0 trained now, 2 before" in printed and "next:" not in printed


def test_trials_are_printed_with_the_labels_of_the_config_and_in_csv_with_names(cli: InProcess) -> None:
    write_tuned(cli.folder, f"{TUNED}labels: {{units: with dropout}}\n")
    assert "with dropout" in cli("compare", "tuned", "--trials").stdout
    assert "units," in cli("compare", "tuned", "--trials", "--format", "csv").stdout
