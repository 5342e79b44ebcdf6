"""`dropexp compare`: formats, options, charts and requirements."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from typing import Any

import pytest
from helpers.fake_runs import publish, write_arm, write_regression, write_run
from helpers.in_process import InProcess

FORMATS = ("table", "md", "latex", "csv", "json")
DECAY = """\
task: linear-regression
variant: scratch
lr: 0.003
batch_size: 1
epochs: 2
matrix: {weight_decay: [0.0, 0.1], seed: 0..4}  # with five seeds no difference can be shown
"""


def test_every_format_has_the_same_verdicts(study: InProcess) -> None:
    for form in ("table", "md", "latex"):
        headline = "WORSE than none in test accuracy after 2 epochs (8 seeds): nn,drop_probs=[0.8, 0.8]"
        assert headline in study("compare", "--format", form).stdout
    content = json.loads(study("compare", "--format", "json").stdout)
    assert [row["verdict"] for row in content["differences"]] == ["WORSE"] * 3
    rows = list(csv.DictReader(io.StringIO(study("compare", "--format", "csv").stdout)))
    assert [row["verdict"] for row in rows] == ["", "WORSE", "WORSE", "WORSE"]


def test_every_format_names_the_runs_that_are_left_out(own_study: InProcess) -> None:
    corrupted = next(own_study.folder.glob("runs/dropout/variant=none,seed=0-*"))
    (corrupted / "run.json").write_text("{")
    for form in FORMATS:
        done = own_study("compare", "--format", form)
        assert "run.json is corrupted" in (done.stderr if form == "csv" else done.stdout)


def test_control_characters_reach_no_terminal_in_any_format(cli: InProcess) -> None:
    write_arm(cli.folder / "runs", "nn", [0.8, 0.81])
    publish(cli.folder / "runs", arm="nn", source="a\x1b[2Jb", test_acc=[0.8])
    for form in FORMATS:
        done = cli("compare", "--format", form)
        assert "\x1b" not in done.stdout + done.stderr
        assert "[2Jb" in done.stdout or form == "csv"  # which has no published figures


def test_every_format_has_the_interaction_of_two_keys(cli: InProcess) -> None:
    for lr, gain in ((0.1, 0.01), (0.5, 0.03)):
        accs = [0.8 + 0.001 * seed for seed in range(7)]
        write_arm(cli.folder / "runs", "none", accs, lr=lr)
        write_arm(cli.folder / "runs", "nn", [acc + gain for acc in accs], lr=lr)
    printed = {form: cli("compare", "--interaction", "variant, lr", "--format", form).stdout for form in FORMATS}
    for form in FORMATS:
        assert "HIGHER than nn,lr=0.1 − none,lr=0.1 in test accuracy" in printed[form]
    (row,) = csv.DictReader(io.StringIO(printed["csv"]))
    assert float(row["difference"]) == pytest.approx(0.02)
    assert json.loads(printed["json"])["interactions"][0]["verdict"] == "HIGHER"
    wrong = cli("compare", "--interaction", "variant,learning_rate", code=2).stderr
    assert wrong.startswith("dropexp: unknown key 'learning_rate' of an interaction (")


def test_an_unknown_kind_of_chart_is_refused_before_runs_are_read(cli: InProcess) -> None:
    stderr = cli("compare", "nowhere", "--plot", "chart.gif", code=2).stderr
    assert stderr == "dropexp: chart.gif: unknown kind of chart '.gif'; allowed: .png, .svg, .pdf, .html\n"


def test_a_sweep_is_charted(study: InProcess) -> None:
    done = study("compare", "--by", "drop_probs", "--plot", "sweep.svg", "--format", "json")
    assert json.loads(done.stdout)["by"] == "drop_probs"
    assert "drop_probs, each layer" in (study.folder / "sweep.svg").read_text(encoding="utf-8")
    assert "chart: sweep.svg" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--plot", "x.gif"], 2, ".svg"),
        (["--filter", "lr"], 2, "Invalid value for --filter: 'lr' is not of the form KEY=VALUE"),
        (["--filter", "lr=0.5", "--filter", "lr=1"], 2, "Invalid value for --filter: the key 'lr' is given twice"),
        (["--filter", "lr=["], 2, "--filter lr=[:1: not YAML"),
        (["--filter", "lr=3"], 5, "no run has lr=3; lr is 0.5"),
        (["--filter", "rate=3"], 5, "no run has a key 'rate'"),
        (["--filter", "keep_prob=[0.8, 0.5]"], 5, "drop_probs are probabilities to DROP, 1 − keep\n"),
        (["--by", "keep_prob"], 2, "drop_probs are probabilities to DROP, 1 − keep"),
        (["--at", "never"], 2, "unknown epoch 'never'; allowed: last, best-val, best-test or a number from 1"),
        (["--at", "9"], 2, "2 epochs, not 9"),
        (["--metric", "f1"], 2, "unknown metric 'f1'; the metrics are: test_acc"),
        (["--by", "speed"], 2, "no run has a key 'speed'"),
        (["--margin", "0"], 2, "margin"),
        (["--format", "xml"], 2, "'xml' is not one of"),
        (["--format", "jsno"], 2, "(did you mean 'json'?)"),
        (["--format", "tex"], 2, "(did you mean 'latex'?)"),
        (["--format", "Markdown"], 2, "(did you mean 'md'?)"),
        (["--metric", "tset_acc"], 2, "unknown metric 'tset_acc' (did you mean 'test_acc'?)"),
        (["--by", "dropprobs"], 2, "(did you mean 'drop_probs'?)"),
        (["--baseline", "nnoe"], 2, "unknown baseline 'nnoe' (did you mean 'none'?)"),
        (["--baseline", "no"], 2, "unknown baseline 'no' (did you mean 'none'?)"),
        (
            ["--baseline", "nn"],
            2,
            "unknown baseline 'nn' (did you mean 'nn,drop_probs=[0.2, 0.2]' or 'nn,drop_probs=[0.5, 0.5]' or "
            "'nn,drop_probs=[0.8, 0.8]'?)",
        ),
        (["--at", "best_val"], 2, "(did you mean 'best-val'?)"),
        (["--filter", "variant=dropout"], 5, "variant is nn or none"),
        (["--filter", "learning_rate=0.5"], 5, "(did you mean 'lr'?)"),
        (["--require", "none.test_accuracy >= 0.5"], 2, "(did you mean 'test_acc'?)"),
        (["--require", "nnoe.test_acc >= 0.5"], 2, "(did you mean 'none'?)"),
        (["--require", "none.test_acc"], 2, "in quotes, since > and < redirect in a shell"),
        (["dropout", "nn"], 5, "'nn' is an arm of dropout: --filter arm=nn keeps its runs"),
        (["dropout", "xyz"], 5, "; dropexp train CONFIG creates runs"),
        (["dropuot"], 5, "(did you mean 'dropout'?)"),
        (["--sweep", "lr=1,2"], 2, "requires --config"),
    ],
)
def test_an_option_that_fits_no_run_or_is_invalid_is_an_error(
    arguments: list[str], code: int, message: str, study: InProcess
) -> None:
    done = study("compare", *arguments, code=code)
    assert message in done.stderr
    assert done.stdout == ""


def test_published_figures_are_fitted_on_request(cli: InProcess) -> None:
    runs_dir = cli.folder / "runs"
    for arm, mask, acc in (("new", "rand", 0.80), ("old", "randn-2019", 0.84)):
        changed: dict[str, Any] = {} if mask == "rand" else {"mask": mask}
        write_arm(runs_dir, "scratch", [acc + (i - 10) / 1000 for i in range(21)], arm=arm, **changed)
    publish(runs_dir, source="a book", test_acc=[0.74, 0.84])
    assert "fit old best" in cli("compare", "--published").stdout
    assert "fit old best" not in cli("compare").stdout


def test_any_column_can_be_compared_and_required(cli: InProcess) -> None:
    for variant, zeros in (("none", 0.4), ("nn", 0.5)):
        for seed in range(6):
            probed = {"h1_zero": zeros + seed / 1000, "w1_norm": 12.0 + seed}
            write_run(cli.folder / "runs", variant, seed, probed=probed)
    done = cli("compare", "--metric", "h1_zero", "--require", "nn.w1_norm <= 20", "--plot", "zeros.svg")
    assert "HIGHER than none in share of zeros in h1 after 2 epochs (6 seeds): nn (+0.1, " in done.stdout
    assert "share of zeros in h1" in (cli.folder / "zeros.svg").read_text(encoding="utf-8")
    assert "nn.w1_norm is 14.5000" in cli("compare", "--require", "nn.w1_norm <= 14", code=1).stderr
    assert "gap, seconds, h1_zero, w1_norm" in cli("compare", "--metric", "h2_zero", code=2).stderr


def test_a_regression_is_compared_by_its_loss_without_an_option(cli: InProcess) -> None:
    for decay in (0.0, 4.0):
        for seed in range(6):
            loss = (5 - decay) * (1 + seed / 100)
            write_regression(cli.folder / "runs", seed=seed, weight_decay=decay, test_loss=loss)
    done = cli("compare")
    better = "BETTER than scratch,weight_decay=0.0 in test loss after 3 epochs (6 seeds): scratch,weight_decay=4.0"
    assert done.stdout.startswith(better)
    assert "accuracy" not in done.stdout and "nats" not in done.stdout
    assert "5.2500" in cli("runs").stdout


def test_the_printed_command_trains_a_new_study_of_other_seeds_which_is_judged_alone(cli: InProcess) -> None:
    config = cli.write("decay.yaml", DECAY)
    cli("train", "-q", "--jobs", "1", "-c", config)
    pilot = cli("compare", "decay", "--margin", "0.1").stdout
    assert pilot.startswith("INCONCLUSIVE")
    (printed,) = (line for line in pilot.splitlines() if "dropexp train" in line)
    program, *arguments = shlex.split(printed[printed.index("dropexp train") :])
    assert program == "dropexp"
    cli(*arguments, "-q", "--jobs", "1")
    new = json.loads(cli("compare", "decay-confirm", "--margin", "0.1", "--format", "json").stdout)
    assert [arm["n"] for arm in new["arms"]] == [6, 6]
    assert [row["verdict"] for row in new["differences"]] == ["BETTER"]
    folders = [path.name for path in cli.folder.glob("runs/decay-confirm/*seed=*")]
    assert sorted(name.split("seed=")[1][:3] for name in folders) == [str(100 + i // 2) for i in range(12)]
    assert "--set name=decay-confirm-2 --seeds 200..205" in cli("compare", "decay", "--margin", "0.1").stdout


def test_one_table_is_printed_alone(study: InProcess) -> None:
    printed = study("compare", "--table", "differences", "--format", "latex").stdout
    assert printed.count(r"\begin{table}") == 1 and r"\caption{Differences: test accuracy" in printed
    assert study("compare", "--table", "settings").stdout.startswith("Settings that differ")
    wrong = study("compare", "--table", "diferences", code=2).stderr
    assert wrong.startswith("dropexp: unknown table 'diferences' (did you mean 'differences'?); the tables are arms, ")
    absent = study("compare", "--table", "published", code=2).stderr
    assert absent == "dropexp: these runs have no table 'published'; they have arms, differences, settings\n"


def test_notes_beside_one_table_go_to_stderr(study: InProcess) -> None:
    done = study("compare", "--table", "arms", "--at", "best-test")
    assert "note: the epoch was chosen on the test set" in done.stderr
    assert done.stdout.startswith("Arms: ") and "chosen" not in done.stdout


@pytest.mark.parametrize("options", [("--format", "csv"), ("--format", "json"), ("--trials",)])
def test_one_table_has_formats_for_people(options: tuple[str, ...], study: InProcess) -> None:
    done = study("compare", "--table", "arms", *options, code=2)
    assert done.stdout == "" and "--table: requires --format table, md or latex" in done.stderr


def test_one_chart_is_written_alone_in_its_size_and_with_its_title(study: InProcess) -> None:
    sized = ("--width", "300", "--height", "200", "--title", "My title")
    done = study("compare", "--by", "drop_probs", "--chart", "sweep", *sized, "--table", "arms")
    assert done.stderr == "chart: sweep.svg\n"
    svg = (study.folder / "sweep.svg").read_text(encoding="utf-8")
    assert ">My title</text>" in svg and "mean and its 95 % interval" not in svg
    assert 'd="M0,0h300v200h-300Z"' in svg
    study("compare", "--chart", "loss", "--plot", "loss.png", "--title", "", "--format", "csv")
    assert (study.folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    message = "dropexp: unknown chart 'swep' (did you mean 'sweep'?); the charts are book, learning, arms, "
    assert study("compare", "--chart", "swep", code=2).stderr.startswith(message)
    absent = study("compare", "--chart", "sweep", code=2).stderr
    assert absent == "dropexp: chart 'sweep' cannot be drawn from these runs: it needs the option --by KEY\n"
    assert "requires --chart" in study("compare", "--width", "300", code=2).stderr


def test_the_help_lists_every_chart_and_table(study: InProcess) -> None:
    from dropexp.analysis.comparison import compare
    from dropexp.cli.compare import CHARTS, TABLES
    from dropexp.errors import ComparisonError
    from dropexp.report.charts.by_name import KINDS
    from dropexp.report.tables.comparison import comparison_tables

    assert list(CHARTS) == list(KINDS)
    with pytest.raises(ComparisonError, match=re.escape(f"the tables are {', '.join(TABLES)}")):
        comparison_tables(compare((), study.folder / "runs"), "x")


def test_arms_are_in_the_order_of_the_config(cli: InProcess) -> None:
    arms = "{zeta: {weight_decay: 0.1}, alpha: {weight_decay: 0.2}, mid: {weight_decay: 0}}"
    cli.write("t.yaml", f"task: linear-regression\nvariant: scratch\nepochs: 1\narms: {arms}\n")
    cli("train", "t.yaml", "--device", "cpu", "--jobs", "1")
    for chosen in (("t",), ("-c", "t.yaml")):
        table = cli("compare", *chosen, "--format", "csv").stdout
        assert [line.split(",")[0] for line in table.splitlines()[1:]] == ["zeta", "alpha", "mid"]


def test_an_unknown_width_of_the_terminal_hides_nothing(study: InProcess) -> None:
    wide = InProcess(study.folder, study.environment | {"COLUMNS": "0"})
    assert wide("compare").stdout == study("compare").stdout != ""
