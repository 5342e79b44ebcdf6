"""The commands that read runs, as a user starts them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from helpers.command import Command
from helpers.fake_runs import publish, write_arm, write_regression, write_run


@pytest.fixture
def study(command: Command) -> Command:
    runs_dir = command.folder / "runs"
    for p in (0.2, 0.5, 0.8):
        write_arm(runs_dir, "nn", [0.80 - p / 10 + i / 100 for i in range(8)], drop_probs=[p, p])
    write_arm(runs_dir, "none", [0.85 + i / 100 for i in range(8)])
    return command


def test_every_format_says_the_same_verdict(study: Command) -> None:
    for form in ("table", "md", "latex"):
        assert "nn,drop_probs=0.8-0.8 is WORSE than none" in study("compare", "--format", form).stdout
    content = json.loads(study("compare", "--format", "json").stdout)
    assert [row["verdict"] for row in content["differences"]] == ["WORSE"] * 3
    rows = list(csv.DictReader(io.StringIO(study("compare", "--format", "csv").stdout)))
    assert [row["verdict"] for row in rows] == ["", "WORSE", "WORSE", "WORSE"]


def test_every_format_names_what_is_left_out(study: Command) -> None:
    harmed = next(study.folder.glob("runs/dropout/variant=none,seed=0-*"))
    (harmed / "run.json").write_text("{")
    for form in ("table", "md", "latex", "csv", "json"):
        done = study("compare", "--format", form)
        assert "run.json is damaged" in done.stdout + done.stderr


def test_a_swept_key_is_charted(study: Command) -> None:
    done = study("compare", "--by", "drop_probs", "--plot", "sweep.svg", "--format", "json")
    assert json.loads(done.stdout)["by"] == "drop_probs"
    assert "0.8-0.8" in (study.folder / "sweep.svg").read_text(encoding="utf-8")
    assert "chart: sweep.svg" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--plot", "x.gif"], 2, ".svg"),
        (["--filter", "lr"], 2, "--filter lr: is not of the form key=value"),
        (["--filter", "lr=3"], 5, "no run has lr=3; lr is 0.5"),
        (["--filter", "rate=3"], 5, "no run has a key 'rate'"),
        (["--at", "never"], 2, "no epoch 'never'; it is last, best-val, best-test or a number from 1"),
        (["--at", "9"], 2, "2 epochs, not 9"),
        (["--metric", "f1"], 2, "no metric 'f1'; there are: test_acc"),
        (["--by", "speed"], 2, "no run has a key 'speed'"),
        (["--margin", "0"], 2, "margin"),
    ],
)
def test_what_is_not_there_is_said_to_be(arguments: list[str], code: int, said: str, study: Command) -> None:
    done = study("compare", *arguments, code=code)
    assert said in done.stderr
    assert done.stdout == ""


def test_the_published_figures_are_given_to_an_arm(command: Command) -> None:
    runs_dir = command.folder / "runs"
    for arm, mask, acc in (("new", "rand", 0.80), ("old", "randn-2019", 0.84)):
        changed: dict[str, Any] = {} if mask == "rand" else {"mask": mask}
        write_arm(runs_dir, "scratch", [acc + (i - 10) / 1000 for i in range(21)], arm=arm, **changed)
    publish(runs_dir, source="a book", test_acc=[0.74, 0.84])
    assert "fit old best" in command("compare", "--published").stdout
    assert "fit old best" not in command("compare").stdout


def test_any_column_can_be_compared_and_required(command: Command) -> None:
    for variant, zeros in (("none", 0.4), ("nn", 0.5)):
        for seed in range(6):
            probed = {"h1_zero": zeros + seed / 1000, "w1_norm": 12.0 + seed}
            write_run(command.folder / "runs", variant, seed, probed=probed)
    done = command("compare", "--metric", "h1_zero", "--require", "nn.w1_norm <= 20", "--plot", "zeros.svg")
    assert "nn is HIGHER than none in share of zeros in h1 after 2 epochs: +0.1" in done.stdout
    assert "share of zeros in h1" in (command.folder / "zeros.svg").read_text(encoding="utf-8")
    assert "nn.w1_norm is 14.5000" in command("compare", "--require", "nn.w1_norm <= 14", code=1).stderr
    assert "gap, seconds, h1_zero, w1_norm" in command("compare", "--metric", "h2_zero", code=2).stderr
    rows = list(csv.DictReader(io.StringIO(command("runs", "--format", "csv").stdout)))
    assert [float(row["w1_norm"]) for row in rows[:6]] == [12.0, 13.0, 14.0, 15.0, 16.0, 17.0]


def test_a_regression_is_compared_without_an_option(command: Command) -> None:
    for decay in (0.0, 4.0):
        for seed in range(6):
            loss = (5 - decay) * (1 + seed / 100)
            write_regression(command.folder / "runs", seed=seed, weight_decay=decay, test_loss=loss)
    done = command("compare")
    assert "scratch,weight_decay=4.0 is BETTER than scratch,weight_decay=0.0 in test loss after 3 epochs" in done.stdout
    assert "test\n" not in done.stdout
    assert "accuracy" not in done.stdout and "nats" not in done.stdout
    assert "5.2500" in command("runs").stdout


def test_a_filter_lists_the_runs_that_it_keeps(study: Command) -> None:
    rows = list(
        csv.DictReader(io.StringIO(study("runs", "--filter", "drop_probs=[0.5, 0.5]", "--format", "csv").stdout))
    )
    assert {row["label"] for row in rows} == {"nn", "none"}  # none has no use for the key
    assert len(rows) == 16


def test_a_report_is_one_file(study: Command) -> None:
    assert study("report", "-o", "page.html").stdout == "page.html\n"
    page = (study.folder / "page.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert "nn,drop_probs=0.8-0.8 is WORSE than none" in page


def test_a_report_of_nothing_says_how_to_get_runs(command: Command) -> None:
    assert "dropexp train -c FILE makes some" in command("report", code=5).stderr
    assert not Path(command.folder / "report.html").exists()


@pytest.mark.parametrize(("to", "place"), [("tensorboard", "tensorboard"), ("mlflow", "sqlite:///mlflow.db")])
def test_runs_are_exported_and_what_cannot_be_is_named(to: str, place: str, study: Command) -> None:
    broken = write_run(study.folder / "runs", "none", 99)
    (broken.path / "run.json").write_text("{")
    done = study("export", "--to", to)
    assert done.stdout == f"{place}\n"
    assert "32 runs exported" in done.stderr
    assert broken.path.name in done.stderr
    assert (study.folder / place.removeprefix("sqlite:///")).exists()
