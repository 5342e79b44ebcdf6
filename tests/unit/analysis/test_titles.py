"""Labels of a config are what people see in place of the names of arms."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.printing import printed
from helpers.studies import write_runs_of

from dropexp.analysis.comparison import Comparison, compare
from dropexp.config.study import load_config
from dropexp.errors import ConfigError
from dropexp.report.html import page

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
    assert "nn.Dropout,lr=0.1 − no dropout,lr=0.1" in comparison.headlines[0]
    assert list(comparison.arms["arm"]) == ["none,lr=0.1", "none,lr=0.5", "nn,lr=0.1", "nn,lr=0.5"]
    assert "nn.Dropout" not in comparison.to_csv()
    settings = text.split("Settings that differ")[1].splitlines()
    assert settings[1].split() == ["arm", "label", "lr", "variant"]
    html = page(comparison)
    assert '<th scope="row">nn.Dropout,lr=0.1</th>' in html and '"nn.Dropout,lr=0.1"' in html


def test_labels_replace_arms_and_not_the_study_of_the_same_name(tmp_path: Path) -> None:
    for name in ("dropout", "other"):
        config = tmp_path / f"{name}.yaml"
        config.write_text("arms: {dropout: {variant: nn}}\nmatrix: {seed: 0..1}\nlabels: {dropout: ours}\n", "utf-8")
        write_runs_of(config, tmp_path / "runs")
    assert compare("dropout", tmp_path / "runs").titles == {"dropout": "ours"}
    titles = compare(["dropout", "other"], tmp_path / "runs").titles
    assert titles == {"dropout/dropout": "dropout/ours", "other/dropout": "other/ours"}


def test_a_study_without_labels_is_as_before(tmp_path: Path) -> None:
    comparison = compared(tmp_path, STUDY.split("labels")[0])
    assert comparison.titles == {}
    assert "labels" not in (tmp_path / "runs/study/study.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("{nnn: x}", "labels.nnn is no arm of this config (did you mean 'nn'?), which has none, nn"),
        ("{nn: 3}", "labels.nn = 3 is not a line of 1 to 200 printable characters"),
        ('{nn: "a\\nb"}', "is not a line of 1 to 200 printable characters"),
        ('{nn: "a\\rb"}', "is not a line of 1 to 200 printable characters"),
        ('{nn: "a\\e[31mb"}', "is not a line of 1 to 200 printable characters"),
        ("{nn: ' '}", "is not a line of 1 to 200 printable characters"),
        ("{nn: same, none: same}", "is what another arm is called"),
        ("{nn: none}", "labels.nn = 'none' is what another arm is called; use another text"),
        ("[nn]", "labels = "),
    ],
)
def test_wrong_labels_are_errors(labels: str, message: str, tmp_path: Path) -> None:
    config = tmp_path / "study.yaml"
    config.write_text(f"matrix: {{variant: [none, nn]}}\nlabels: {labels}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_config(config)
    assert message in str(error.value)
