"""Labels of a config are the display names of arms."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.comparisons import mentions
from helpers.fake_runs import change
from helpers.printing import printed
from helpers.studies import write_runs_of
from helpers.tuned import TUNED, write_tuned

from dropexp.analysis.comparison import Comparison, compare
from dropexp.config.study import load_config
from dropexp.errors import ConfigError
from dropexp.report.arm_names import titled
from dropexp.report.page.page import page
from dropexp.report.page.pictures import Arrays
from dropexp.report.tables.searches import selections_table, trials_table, tuning_table
from dropexp.runs.folder import RunFolder

STUDY = "matrix: {variant: [none, nn], lr: [0.1, 0.5], seed: 0..1}\nlabels: {none: no dropout, nn: nn.Dropout}\n"


def compared(tmp_path: Path, text: str = STUDY) -> Comparison:
    config = tmp_path / "study.yaml"
    config.write_text(text, encoding="utf-8")
    write_runs_of(config, tmp_path / "runs")
    return compare("study", tmp_path / "runs")


def test_labels_replace_names_for_people_and_not_in_csv_and_json(tmp_path: Path) -> None:
    comparison = compared(tmp_path)
    text = printed(comparison)
    assert "no dropout,lr=0.1 " in text and "nn.Dropout,lr=0.5 - no dropout,lr=0.5" in text
    assert "nn.Dropout,lr=0.1 − no dropout,lr=0.1" in comparison.headlines[0].sentence
    assert list(comparison.arms["arm"]) == ["none,lr=0.1", "none,lr=0.5", "nn,lr=0.1", "nn,lr=0.5"]
    rows = pd.read_csv(io.StringIO(comparison.to_csv()))
    assert list(rows["arm"]) == list(comparison.arms["arm"]) and set(rows["baseline"].dropna()) <= {*rows["arm"]}
    settings = text.split("Settings that differ")[1].splitlines()
    assert settings[1].split() == ["arm", "label", "lr", "variant"]
    html = page(comparison)
    assert '<th scope="row">nn.Dropout,lr=0.1</th>' in html and '"nn.Dropout,lr=0.1"' in html


def test_sentences_notes_galleries_and_configs_have_the_labels_too(tmp_path: Path) -> None:
    arms = "arms: {none: {variant: none}, nn: {variant: nn, lr: 0.1}}\nmatrix: {seed: 0..20}\n"
    arms += "published: {source: a book, test_acc: [0.8, 0.81]}\n"
    config = tmp_path / "study.yaml"
    config.write_text(f"{arms}labels: {{none: no dropout, nn: nn.Dropout}}\n", encoding="utf-8")
    write_runs_of(config, tmp_path / "runs")
    (diverged,) = (tmp_path / "runs/study").glob("*nn,seed=3-*")
    change(RunFolder(diverged), status="diverged", why="the loss is nan in epoch 2")
    comparison = compare("study", tmp_path / "runs", published=True)
    assert comparison.findings[0].startswith("nn.Dropout against no dropout in test accuracy")
    assert "seed 3 of nn.Dropout diverged" in comparison.findings[0]
    assert "nn.Dropout also differs from no dropout in lr (0.1, 0.5)." in comparison.findings[0]
    assert mentions(comparison.notes, "nn.Dropout: seed 3 diverged")
    assert mentions(comparison.notes, "nn.Dropout - no dropout: unpaired, only in no dropout: seed 3")
    html = page(comparison, Arrays(weights={"nn": np.ones((784, 2), np.float32)}, seeds={"nn": 0}))
    assert mentions(comparison.findings, "published figures fit", "runs of nn.Dropout")
    assert "nn.Dropout, n = 20: published figures (a book) and ours" in html
    assert "<summary>Every setting of nn.Dropout</summary>" in html
    assert "<h3>nn.Dropout, seed 0</h3>" in html and "2 units of nn.Dropout" in html


def test_labels_replace_arms_and_not_the_study_of_the_same_name(tmp_path: Path) -> None:
    for name in ("dropout", "other"):
        config = tmp_path / f"{name}.yaml"
        config.write_text("arms: {dropout: {variant: nn}}\nmatrix: {seed: 0..1}\nlabels: {dropout: ours}\n", "utf-8")
        write_runs_of(config, tmp_path / "runs")
    assert compare("dropout", tmp_path / "runs").titles == {"dropout": "ours"}
    titles = compare(["dropout", "other"], tmp_path / "runs").titles
    assert titles == {"dropout/dropout": "dropout/ours", "other/dropout": "other/ours"}


def test_a_study_without_labels_has_no_titles(tmp_path: Path) -> None:
    comparison = compared(tmp_path, STUDY.split("labels")[0])
    assert comparison.titles == {}
    assert "labels" not in (tmp_path / "runs/study/study.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("{nnn: x}", "labels.nnn is not an arm of this config (did you mean 'nn'?), which has none, nn"),
        ("{nn: 3}", "labels.nn = 3 is not a line of 1 to 200 printable characters"),
        ('{nn: "a\\nb"}', "is not a line of 1 to 200 printable characters"),
        ('{nn: "a\\rb"}', "is not a line of 1 to 200 printable characters"),
        ('{nn: "a\\e[31mb"}', "is not a line of 1 to 200 printable characters"),
        ("{nn: ' '}", "is not a line of 1 to 200 printable characters"),
        ("{nn: same, none: same}", "is already the name or label of another arm"),
        ("{nn: none}", "labels.nn = 'none' is already the name or label of another arm; choose another"),
        ("{nn: none, none: nn}", "labels.nn = 'none' is already the name or label of another arm; choose another"),
        ("{nn: none, none: without}", "labels.nn = 'none' is already the name or label of another arm; choose another"),
        ("[nn]", "labels = "),
    ],
)
def test_wrong_labels_are_errors(labels: str, message: str, tmp_path: Path) -> None:
    config = tmp_path / "study.yaml"
    config.write_text(f"matrix: {{variant: [none, nn]}}\nlabels: {labels}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_config(config)
    assert message in str(error.value)


@pytest.mark.parametrize("section", ["labels: {nn: x}", "published: {arm: nn, source: a book, test_acc: [0.8]}"])
@pytest.mark.parametrize("variant", ["", "variant: droput", "matrix: {variant: [none, nm]}"])
def test_arms_are_not_looked_up_in_a_config_without_a_valid_variant(section: str, variant: str, tmp_path: Path) -> None:
    config = tmp_path / "study.yaml"
    config.write_text(f"{section}\n{variant}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_config(config)
    (problem,) = error.value.problems
    assert "variant" in problem.what and "is not an arm" not in problem.what


def test_no_arm_gets_the_name_of_another_arm(tmp_path: Path) -> None:
    for arm, other, lr in (("a", "b", 0.1), ("b", "a", 0.2)):
        text = f"name: study\narms: {{{arm}: {{variant: nn, lr: {lr}}}}}\nlabels: {{{arm}: {other}}}\n"
        (tmp_path / f"{arm}.yaml").write_text(text, "utf-8")
        write_runs_of(tmp_path / f"{arm}.yaml", tmp_path / "runs")
    assert compare("study", tmp_path / "runs").titles == {}


def test_interactions_have_the_labels_and_their_rows_in_json_the_names(tmp_path: Path) -> None:
    compared(tmp_path)
    (missing,) = (tmp_path / "runs/study").glob("*variant=nn,lr=0.5,seed=1-*")
    change(RunFolder(missing), status="interrupted")
    comparison = compare("study", tmp_path / "runs", interaction=["variant", "lr"])
    sides = "nn.Dropout,lr=0.5 − no dropout,lr=0.5", "nn.Dropout,lr=0.1 − no dropout,lr=0.1"
    assert f"({sides[0]}) − ({sides[1]}) " in printed(comparison)
    assert all(mentions([text], *sides) for text in (comparison.findings[-1], comparison.headlines[-1].sentence))
    assert mentions(comparison.notes, f"({sides[0]}) − ({sides[1]}): unpaired, not in all four arms: seed 1")
    (row,) = json.loads(comparison.to_json())["interactions"]
    assert (row["arm"], row["baseline"]) == ("nn,lr=0.5 − none,lr=0.5", "nn,lr=0.1 − none,lr=0.1")


def test_notes_on_interactions_have_the_labels(tmp_path: Path) -> None:
    text = "arms: {none: {variant: none}, nn: {variant: nn}, l2: {variant: none, weight_decay: 0.1}, "
    text += "both: {variant: nn, weight_decay: 0.1}, alone: {variant: nn, weight_decay: 0.1, lr: 0.1}}\n"
    compared(tmp_path, f"{text}labels: {{alone: on its own, both: together}}\n")
    comparison = compare("study", tmp_path / "runs", interaction=["variant", "weight_decay"])
    assert mentions(comparison.notes, "on its own: in no interaction, since four arms that differ only in")
    (diverged,) = (tmp_path / "runs/study").glob("arm=both*")
    change(RunFolder(diverged), status="diverged", why="the loss is nan in epoch 2")
    comparison = compare("study", tmp_path / "runs", interaction=["variant", "weight_decay"])
    assert "seed 0 of together diverged" in comparison.interactions["sentence"][0]


def test_notes_on_baselines_and_sources_have_the_labels(tmp_path: Path) -> None:
    text = "arms: {a: {variant: none}, b: {variant: none, lr: 0.1}, c: {variant: nn, lr: 0.2}}\n"
    text += "published: {source: a book, arm: [b, c], test_acc: [0.8]}\nlabels: {a: first, b: second, c: third}\n"
    compared(tmp_path, text)
    notes = compare("study", tmp_path / "runs", published=True).notes
    assert mentions(notes, "study: no arm without dropout has the settings of third; choose a baseline")
    assert mentions(notes, "a likelihood needs 20 runs per arm; second has 1, third has 1")
    (run,) = (tmp_path / "runs/study").glob("arm=b*")
    change(RunFolder(run), status="interrupted")
    assert mentions(compare("study", tmp_path / "runs").notes, "belong to 'second', which has no finished run")


def test_the_note_on_selected_settings_has_the_labels(tmp_path: Path) -> None:
    compared(tmp_path, f"validation_size: 100\neval_test: false\n{STUDY}")
    notes = compare("study", tmp_path / "runs", select_on="val_acc").notes
    assert mentions(notes, "study: nn.Dropout,lr=0.1 is selected from 2 settings of nn.Dropout, by mean")


def test_searches_have_the_labels_and_in_csv_the_names(tmp_path: Path) -> None:
    write_tuned(tmp_path, f"{TUNED}labels: {{none: no dropout, units: with dropout}}\n")
    comparison = compare("tuned", tmp_path / "runs")
    assert set(comparison.tuning.trials["arm"]) == {"none", "units"}
    for table in (tuning_table, selections_table, trials_table):
        shown = table(titled(comparison))
        assert shown and {row[0] for row in shown.rows} == {"no dropout", "with dropout"}
