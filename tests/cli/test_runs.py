"""`dropexp runs`: the listing."""

from __future__ import annotations

import csv
import io
import json

import pytest
from helpers.fake_runs import change, write_run
from helpers.in_process import InProcess


def test_every_run_is_listed_in_every_format(study: InProcess) -> None:
    assert study("runs").stdout.count("done") == 32
    assert study("runs", "--format", "md").stdout.count("| done |") == 32
    assert study("runs", "--format", "latex").stdout.count("done & ") == 32
    assert len(json.loads(study("runs", "--format", "json").stdout)) == 32
    assert len(list(csv.DictReader(io.StringIO(study("runs", "--format", "csv").stdout)))) == 32


def test_a_filter_keeps_runs_with_the_value_and_those_that_do_not_use_the_key(study: InProcess) -> None:
    done = study("runs", "--filter", "drop_probs=[0.5, 0.5]", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["label"] for row in rows} == {"nn", "none"}
    assert len(rows) == 16


def test_csv_has_every_measured_column(cli: InProcess) -> None:
    for seed in range(6):
        write_run(cli.folder / "runs", "none", seed, probed={"w1_norm": 12.0 + seed})
    rows = list(csv.DictReader(io.StringIO(cli("runs", "--format", "csv").stdout)))
    assert [float(row["w1_norm"]) for row in rows] == [12.0, 13.0, 14.0, 15.0, 16.0, 17.0]


def test_a_corrupted_folder_at_the_top_and_sort_leave_the_order_of_the_columns(three_runs: InProcess) -> None:
    def columns(*sort: str) -> list[str]:
        return three_runs("runs", "--format", "csv", *sort).stdout.splitlines()[0].split(",")

    before = columns()
    (corrupted := three_runs.folder / "runs" / "dropout" / "a-12345678").mkdir()
    (corrupted / "run.json").write_text("{")
    assert columns() == columns("--sort", "seed") == before


def test_csv_and_json_are_in_full_precision(cli: InProcess) -> None:
    write_run(cli.folder / "runs", "none", 0, [0.1 + 0.2], eval_train=False, batch_size=64, patience=None)
    (row,) = json.loads(cli("runs", "--format", "json").stdout)
    assert (row["test_acc"], row["epoch"], row["batch_size"]) == (0.1 + 0.2, 1, 64)
    assert row["clean_train_acc"] is row["patience"] is row["arm"] is None
    (row,) = csv.DictReader(io.StringIO(cli("runs", "--format", "csv").stdout))
    assert float(row["test_acc"]) == 0.1 + 0.2


def listed(cli: InProcess, *options: str) -> list[tuple[str, str]]:
    """Return variant and seed of every run."""
    rows = csv.DictReader(io.StringIO(cli("runs", "--format", "csv", *options).stdout))
    return [(row["variant"], row["seed"]) for row in rows]


@pytest.fixture
def three_runs(cli: InProcess) -> InProcess:
    """Runs of none that failed at 10 and 9 o'clock, and of nn that is done."""
    for seed, hour in ((2, 10), (10, 9)):
        failed = write_run(cli.folder / "runs", "none", seed, status="failed", why="a plugin raised")
        change(failed, provenance={"ended": f"2026-01-01T{hour:02}:00:00+00:00"})
    write_run(cli.folder / "runs", "nn", 3, 0.9)
    return cli


def test_failed_runs_are_listed_with_the_newest_first(three_runs: InProcess) -> None:
    options = ("--filter", "status=failed", "--sort")
    assert listed(three_runs, *options, "-ended") == [("none", "2"), ("none", "10")]
    assert listed(three_runs, *options, "ended") == [("none", "10"), ("none", "2")]
    assert "a plugin raised" in three_runs("runs", *options, "-ended").stdout


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("seed", "2 3 10"), ("-seed", "10 3 2"), ("-test_acc", "3 10 2"), ("ended", "10 2 3"), ("arm", "3 10 2")],
)
def test_runs_are_sorted_by_a_column_and_those_without_a_value_come_last(
    sort: str, expected: str, three_runs: InProcess
) -> None:
    assert " ".join(seed for _, seed in listed(three_runs, "--sort", sort)) == expected


def test_an_unknown_status_or_column_suggests_the_nearest(three_runs: InProcess) -> None:
    assert "did you mean 'failed'?" in three_runs("runs", "--filter", "status=faild", code=5).stderr
    assert "these runs are done or failed" in three_runs("runs", "--filter", "status=running", code=5).stderr
    assert "did you mean 'ended'?" in three_runs("runs", "--sort", "time", code=2).stderr
    assert "did you mean 'test_acc'?" in three_runs("runs", "--sort", "tset_acc", code=2).stderr
    assert "did you mean 'ended'?" in three_runs("runs", "--sort=-edned", code=2).stderr
    assert "did you mean 'lr'?" in three_runs("runs", "--sort", "learning_rate", code=2).stderr
    assert "did you mean 'seed'?" in three_runs("runs", "--sort", "seeds", code=2).stderr
    keep = "no column 'keep_prob' to sort by; drop_probs are probabilities to DROP, 1 − keep\n"
    assert three_runs("runs", "--sort", "keep_prob", code=2).stderr.endswith(keep)
    assert len(listed(three_runs, "--filter", "status=[failed, done]")) == 3


def test_pruning_lists_only_runs_with_the_given_status(three_runs: InProcess) -> None:
    (corrupted := three_runs.folder / "runs" / "dropout" / "variant=nn,seed=9-12345678").mkdir()
    (corrupted / "run.json").write_text("{")
    for status, count in (("failed", 2), ("corrupted", 1), ("done", 0)):
        done = three_runs("runs", "--prune", "--filter", f"status={status}", "--format", "json")
        assert len(json.loads(done.stdout)) == count


def test_sorting_is_not_an_option_of_pruning(study: InProcess) -> None:
    assert "Invalid value for --sort" in study("runs", "--prune", "--sort", "seed", code=2).stderr


@pytest.mark.parametrize("option", ["--yes", "--checkpoints"])
def test_options_of_pruning_require_prune(study: InProcess, option: str) -> None:
    assert f"Invalid value for {option}: requires --prune" in study("runs", option, code=2).stderr


@pytest.mark.parametrize(
    "words",
    [["runs"], ["compare"], ["report"], ["evaluate"], ["export", "--to", "tensorboard"]],
    ids=lambda words: words[0],
)
def test_a_name_of_a_study_and_of_a_folder_here_is_an_error(words: list[str], cli: InProcess) -> None:
    write_run(cli.folder / "runs", "nn", 0, name="two")
    write_run(cli.folder, "none", 0, name="two")
    errors = cli(*words, "two", code=2).stderr
    assert "'two' names both the runs in runs/two and those in ./two; write one of these paths\n" in errors
    if words == ["compare"]:
        assert cli("compare", "./two", "--format", "csv").stdout.splitlines()[1].startswith("none,")
        assert cli("compare", "runs/two", "--format", "csv").stdout.splitlines()[1].startswith("nn,")
