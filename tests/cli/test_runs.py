"""`dropexp runs`: the listing."""

from __future__ import annotations

import csv
import io
import json

import pytest
from helpers.fake_runs import write_run
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


def test_csv_and_json_are_in_full_precision(cli: InProcess) -> None:
    write_run(cli.folder / "runs", "none", 0, [0.1 + 0.2], eval_train=False, batch_size=64, patience=None)
    (row,) = json.loads(cli("runs", "--format", "json").stdout)
    assert (row["test_acc"], row["epoch"], row["batch_size"]) == (0.1 + 0.2, 1, 64)
    assert row["clean_train_acc"] is row["patience"] is row["arm"] is None
    (row,) = csv.DictReader(io.StringIO(cli("runs", "--format", "csv").stdout))
    assert float(row["test_acc"]) == 0.1 + 0.2


@pytest.mark.parametrize("option", ["--yes", "--checkpoints"])
def test_options_of_pruning_require_prune(study: InProcess, option: str) -> None:
    assert f"Invalid value for {option}: requires --prune" in study("runs", option, code=2).stderr
