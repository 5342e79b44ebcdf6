"""In a notebook: a config from keys, `fit`, and comparisons that show as tables."""

from __future__ import annotations

import io
import math
import sys
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.fake_runs import write_arm
from helpers.in_process import InProcess

from dropexp import compare, fit, load_config
from dropexp.errors import ComparisonError, ConfigError, TrainingError
from dropexp.notebook import ShownComparison

LINES: dict[str, Any] = {
    "name": "lines",
    "task": "linear-regression",
    "variant": "scratch",
    "lr": 0.003,
    "epochs": 2,
    "batch_size": 1,
    "matrix": {"weight_decay": (0.0, 0.1), "seed": range(2)},
}


@pytest.fixture
def shown(cli: InProcess, monkeypatch: pytest.MonkeyPatch) -> ShownComparison:
    """A comparison of two arms, one with an unpaired run; the runs are in the folder of `cli`."""
    monkeypatch.chdir(cli.folder)
    write_arm(cli.folder / "runs", "none", [0.80, 0.81])
    write_arm(cli.folder / "runs", "nn", [0.82, 0.84, 0.83], arm="a & b")
    return compare()


def keys(**changed: Any) -> dict[str, Any]:
    return LINES | {"matrix": {"weight_decay": [0.0, 0.1], "seed": [0, 1]}} | changed


def test_a_config_of_keys_is_the_study_of_a_file_with_them(tmp_path: Path) -> None:
    (tmp_path / "lines.yaml").write_text(
        "task: linear-regression\nvariant: scratch\nlr: 0.003\nepochs: 2\nbatch_size: 1\n"
        "matrix: {weight_decay: [0.0, 0.1], seed: 0..1}\n"
    )
    given = keys(lr=np.float64(0.003), matrix={"weight_decay": np.array([0.0, 0.1]), "seed": range(2)})
    from_keys, from_file = load_config(given), load_config(tmp_path / "lines.yaml")
    assert (from_keys.name, from_keys.runs) == (from_file.name, from_file.runs)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epoch": 1}, "unknown key 'epoch' (did you mean 'epochs'?)"),
        ({"name": None}, "name"),
        ({"lr": print}, "use text, numbers, true, None, lists and dicts"),
    ],
)
def test_an_error_in_the_keys_of_a_config_names_no_file(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(keys(**changed))
    assert str(error.value).startswith("the config") and message in str(error.value)


def test_fit_trains_the_missing_runs_and_compares_exactly_the_runs_of_its_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(keys(), runs_dir=tmp_path, device="cpu", quiet=True)
    assert capsys.readouterr() == ("", "")
    compared = fit(keys(matrix={"weight_decay": [0.0, 0.3], "seed": [0, 1]}), runs_dir=tmp_path, device="cpu")
    assert list(compared.arms["arm"]) == ["scratch,weight_decay=0.0", "scratch,weight_decay=0.3"]
    assert list(compared.arms["n"]) == [2, 2]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and all("weight_decay=0.3" in line for line in lines)  # two runs of two epochs


def test_fit_reads_standard_input_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "name: lines\ntask: linear-regression\nvariant: scratch\nepochs: 1\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert list(fit("-", runs_dir=tmp_path, device="cpu", quiet=True).arms["arm"]) == ["scratch"]


def test_fit_raises_what_train_raises(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="diverged"):
        fit(keys(lr=1e30), runs_dir=tmp_path, device="cpu", quiet=True)


def test_a_comparison_is_the_tables_of_the_command(shown: ShownComparison, cli: InProcess) -> None:
    assert f"{shown.to_markdown()}\n" == cli("compare", "--format", "md").stdout
    assert f"{shown.to_latex()}\n" == cli("compare", "--format", "latex").stdout


def test_a_notebook_shows_tables_and_notes_as_html(shown: ShownComparison) -> None:
    html = shown._repr_html_()
    assert html.count("<table>") == len(shown.tables) >= 2
    assert "a &amp; b" in html and "a & b" not in html
    assert any("a & b" in note for note in shown.notes)
    assert all(f"<li>{escape(note)}</li>" in html for note in shown.notes)


def test_the_text_of_a_comparison_is_one_line(shown: ShownComparison) -> None:
    assert repr(shown) == "<ShownComparison of none, a & b: test accuracy after 2 epochs>"
    assert not math.isnan(shown.differences["difference"].iloc[0])


def test_a_study_is_compared_as_the_first_argument_too(tmp_path: Path) -> None:
    fit(keys(), runs_dir=tmp_path, device="cpu", quiet=True)
    by_keys, by_config = compare(keys(), tmp_path), compare(config=load_config(keys()), runs_dir=tmp_path)
    assert by_keys.to_csv() == by_config.to_csv()
    with pytest.raises(ComparisonError, match="must be a dict"):
        compare("lines", tmp_path, filter="lr=0.003")  # type: ignore[arg-type]  # a text is the mistake


def test_fit_rejects_zero_jobs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="jobs is 0; it must be 1 or more"):
        fit(keys(), runs_dir=tmp_path, jobs=0)
