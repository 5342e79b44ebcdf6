"""A headline per study."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.fake_runs import change, write_arm
from helpers.printing import printed
from helpers.studies import write_runs_of
from helpers.verdicts import MARGIN, SHAPE, pair

from dropexp.analysis.comparison import Comparison, compare
from dropexp.analysis.headlines import Titles, headlines
from dropexp.analysis.plan_new_study import NewStudy
from dropexp.analysis.verdicts import Verdict, judge
from dropexp.config.study import load_config
from dropexp.report.formats.markdown import markdown
from dropexp.report.page.page import page
from dropexp.runs.folder import RunFolder

NEW_STUDY = NewStudy("dropout-confirm", 100)
PLANNED = (
    "These seeds are a pilot; a new study of {} other seeds, judged alone, has 80 % power to detect a true difference "
    "of 0.3 points"
)


def texts(verdicts: Sequence[Verdict], titles: Titles | None = None) -> list[str]:
    return list(map(str, headlines(verdicts, titles)))


def test_a_single_difference_has_its_statistics() -> None:
    assert texts(judge([pair(0.012 + 0.004 * SHAPE)], MARGIN)) == [
        "BETTER than none in test accuracy after 5 epochs (10 seeds): nn (+1.20 points, 95 % interval [+0.98, +1.42], "
        "p = 0.002)."
    ]
    assert texts(judge([pair(0.002 * SHAPE)], MARGIN)) == [
        "EQUIVALENT to none within ±0.3 points in test accuracy after 5 epochs (10 seeds): nn (+0.00 points, "
        "95 % interval [-0.11, +0.11], TOST p < 0.001)."
    ]


def test_differences_are_grouped_by_verdict_with_the_command_that_decides_the_open_ones() -> None:
    pairs = [pair(0.001 + 0.01 * SHAPE, "open"), pair(0.012 + 0.004 * SHAPE), pair(0.02 + 0.004 * SHAPE, "scratch")]
    (text,) = texts(judge([replace(one, new_study=NEW_STUDY) for one in pairs], MARGIN))
    assert text.startswith(
        "BETTER than none in test accuracy after 5 epochs (10 seeds): scratch (+2.00 points) and nn (+1.20 points); "
        "INCONCLUSIVE against none: open (+0.10 points). These seeds are a pilot; a new study of 73 other seeds, "
    )
    assert text.endswith(": dropexp train -c FILE --set name=dropout-confirm --seeds 100..172")


def test_many_open_differences_are_one_sentence() -> None:
    pairs = [replace(pair(i / 1e4 + 0.01 * SHAPE, f"arm {i}"), new_study=NEW_STUDY) for i in range(12)]
    (text,) = texts(judge(pairs, MARGIN))
    assert text.startswith(
        "INCONCLUSIVE: with 10 seeds none of the 12 differences in test accuracy after 5 epochs can be decided "
        f"(largest: arm 11 − none, +0.11 points). {PLANNED.format(96)}: dropexp train"
    )
    few = judge([pair(0.01 + 0.01 * SHAPE[:5], str(i)) for i in range(12)], MARGIN)
    assert texts(few)[0].startswith("INCONCLUSIVE: 5 seeds are too few to show any of the 12 differences in test")


def test_a_headline_names_the_largest_differences_and_counts_the_others() -> None:
    (text,) = texts(judge([pair(0.01 * i + 0.004 * SHAPE, f"arm {i}") for i in range(1, 13)], MARGIN))
    assert "arm 12 (+12.00 points), arm 11 (+11.00 points), arm 10" in text
    assert text.endswith("arm 9 (+9.00 points) and 8 more.")


def test_differences_without_a_common_baseline_name_both_arms() -> None:
    second = replace(pair(0.012 + 0.004 * SHAPE, "b"), baseline="other")
    (text,) = texts(judge([pair(0.013 + 0.004 * SHAPE, "a"), second], MARGIN))
    assert text.startswith("BETTER in test accuracy after 5 epochs (10 seeds): a − none (+1.30 points) and b − other")


def test_runs_that_finished_badly_are_named() -> None:
    pairs = [replace(pair(0.012 + 0.004 * SHAPE, str(i)), broken=[f"seed {i} of nn diverged"]) for i in range(7)]
    (one,) = texts(judge(pairs[:1], MARGIN))
    assert one.startswith(
        "INCONCLUSIVE: 0 against none in test accuracy after 5 epochs (10 seeds), because seed 0 of nn diverged."
    )
    others = [pair(0.02 + 0.004 * SHAPE, "scratch"), pair(0.001 + 0.01 * SHAPE, "open")]
    (mixed,) = texts(judge([*pairs[:2], *others], MARGIN))
    assert mixed.startswith(
        "BETTER than none in test accuracy after 5 epochs (10 seeds): scratch (+2.00 points); INCONCLUSIVE against "
        "none: open (+0.10 points); INCONCLUSIVE: 0 and 1 against none, because seed 0 of nn diverged and seed 1 of nn "
        "diverged."
    )
    (many,) = texts(judge(pairs, MARGIN))
    assert many.endswith("seed 0 of nn diverged; seed 1 of nn diverged; seed 2 of nn diverged; 4 more such notes.")


def test_a_headline_reports_fewer_than_two_pairs() -> None:
    one, none = (texts(judge([one], MARGIN))[0] for one in (pair([0.01]), pair([])))
    (two,) = texts(judge([pair([0.01]), pair([0.02], "scratch")], MARGIN))
    assert two.startswith("INCONCLUSIVE: 1 seed is too few to show any of the 2 differences in test accuracy")
    assert one.endswith("(1 seed): nn (+1.00 points; no spread can be estimated from one pair).")
    assert none.startswith("INCONCLUSIVE: nn against none in test accuracy after 5 epochs (0 seeds), because the arms")


def test_titles_replace_the_names_of_arms() -> None:
    (text,) = texts(judge([pair(0.012 + 0.004 * SHAPE)], MARGIN), {"nn": "nn.Dropout", "none": "no dropout"})
    assert text.startswith("BETTER than no dropout in") and ": nn.Dropout (" in text


def test_every_study_has_a_headline(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_arm(tmp_path, "none", [0.80, 0.84, 0.82], name=name)
        write_arm(tmp_path, "nn", [0.81, 0.82, 0.85], name=name)
    found = compare(runs_dir=tmp_path).headlines
    assert [one.command.split("--set name=")[1].split()[0] for one in found] == ["first-confirm", "second-confirm"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config whose arms are undecided in the folder `runs` beside it."""
    config = tmp_path / "study.yaml"
    config.write_text("matrix: {variant: [none, nn], seed: 0..2}\ntrain_size: 100\nepochs: 1\n")
    write_undecided(config)
    return config


def write_undecided(config: Path, *settings: str) -> None:
    write_runs_of(config, config.parent / "runs", None, *settings)
    for folder, acc in zip(sorted(config.parent.glob("runs/study/*variant=nn*")), (0.7, 0.9, 0.8), strict=False):
        run = RunFolder(folder)
        change(run, table=(run.read_info().table or {}) | {"test_acc": [acc]})


def test_the_command_names_the_config_and_the_folder(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = f"dropexp train -c {config} --runs-dir {tmp_path / 'runs'} --set name=study-confirm"
    assert command in compare("study", tmp_path / "runs").headlines[0].command
    monkeypatch.setenv("DROPEXP_RUNS", str(tmp_path / "runs"))
    assert command in compare("study").headlines[0].command


def test_the_command_names_no_file_that_trains_other_arms(config: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "runs")
    write_undecided(config, "lr=0.1")
    text = compare("study", tmp_path / "runs").headlines[0].command
    assert f"dropexp train -c FILE --runs-dir {tmp_path / 'runs'} --set name=study-confirm" in text
    by_config = compare(config=load_config(config, ["lr=0.1"]), runs_dir=tmp_path / "runs").headlines[0].command
    assert f"dropexp train -c {config} --set lr=0.1 --runs-dir" in by_config


def test_an_incomplete_study_is_no_pilot_yet(config: Path, tmp_path: Path) -> None:
    complete = compare(config=load_config(config), runs_dir=tmp_path / "runs")
    assert "These seeds are a pilot" in str(complete.headlines[0]) and "name=study-confirm" in text_of(complete)
    missing = compare(config=load_config(config, seeds="0..4"), runs_dir=tmp_path / "runs")
    assert str(missing.headlines[0]).endswith(
        "4 of 10 runs are missing; train them before you plan a new study: they can change the verdicts."
    )
    assert "study-confirm" not in text_of(missing)


def text_of(comparison: Comparison) -> str:
    return " ".join([*map(str, comparison.headlines), *comparison.differences["sentence"]])


def test_the_command_has_an_option_for_plugins(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.80, 0.84, 0.82])
    write_arm(tmp_path, "mine", [0.81, 0.82, 0.85], plugin="0123abcd")
    (headline,) = compare(runs_dir=tmp_path, baseline="none").headlines
    assert headline.command.startswith("dropexp train -c FILE --plugin FILE --runs-dir")


def test_a_label_like_a_command_is_in_the_sentence_and_the_command_stays_code(config: Path, tmp_path: Path) -> None:
    config.write_text(f'{config.read_text()}labels: {{nn: "evil: dropexp x"}}\n')
    shutil.rmtree(tmp_path / "runs")
    write_undecided(config)
    compared = compare("study", tmp_path / "runs")
    (headline,) = compared.headlines
    assert "evil: dropexp x" in headline.sentence and headline.command.startswith("dropexp train -c")
    sentence, command = headline.sentence, headline.command
    assert f"{sentence}: {command}" in printed(compared).splitlines()
    assert command in printed(compared, 80).splitlines()
    assert f"{sentence}: `{command}`" in markdown([], [headline])
    assert f"{sentence}: <code>{command}</code>" in page(compared)
    assert json.loads(compared.to_json())["headlines"] == [f"{sentence}: {command}"]
