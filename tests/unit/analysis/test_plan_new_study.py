"""The command of a new study that decides an open comparison."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.comparisons import mentions
from helpers.fake_runs import write_arm, write_run
from helpers.tuned import write_tuned

from dropexp.analysis.comparison import compare
from dropexp.analysis.plan_new_study import NewStudy, new_studies_of
from dropexp.analysis.select_runs import select
from dropexp.config.study import load_config
from dropexp.runs.record import read_runs

CONFIG = Path(__file__).parents[3] / "configs/dropout.yaml"


def test_a_new_study_has_seeds_that_no_run_of_the_pilot_has_used(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.8, 0.8])
    write_run(tmp_path, "nn", 7, name="other")
    found = new_studies_of(read_runs((), tmp_path))
    assert found == {"dropout": NewStudy("dropout-confirm", 100), "other": NewStudy("other-confirm", 100)}
    write_run(tmp_path, "nn", 100, status="interrupted")
    assert new_studies_of(read_runs("dropout", tmp_path))["dropout"].first_seed == 200


def test_another_new_study_has_another_name_and_the_seeds_of_no_earlier_one(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 5)
    write_run(tmp_path, "nn", 123, name="dropout-confirm")
    assert new_studies_of(read_runs("dropout", tmp_path)) == {"dropout": NewStudy("dropout-confirm-2", 200)}
    assert new_studies_of(read_runs("dropout-confirm", tmp_path)) == {
        "dropout-confirm": NewStudy("dropout-confirm-2", 200)
    }
    write_run(tmp_path, "nn", 223, name="dropout-confirm-2")
    for study in ("dropout", "dropout-confirm", "dropout-confirm-2"):
        assert new_studies_of(read_runs(study, tmp_path)) == {study: NewStudy("dropout-confirm-3", 300)}


def test_a_new_study_in_a_renamed_folder_does_not_plan_itself_again(tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 5, name="dropout-confirm")
    (tmp_path / "dropout-confirm").rename(tmp_path / "moved")
    assert new_studies_of(read_runs("moved", tmp_path)) == {"dropout-confirm": NewStudy("dropout-confirm-2", 100)}


def test_runs_that_are_not_compared_have_used_their_seeds_too(tmp_path: Path) -> None:
    compared = write_arm(tmp_path, "none", [0.80, 0.81, 0.83]) + write_arm(tmp_path, "nn", [0.81, 0.80, 0.83])
    write_run(tmp_path, "nn", 321, lr=0.1)
    filtered = compare(runs_dir=tmp_path, filter={"lr": 0.5})
    named = compare([str(run.path) for run in compared])
    for comparison in (filtered, named):
        assert mentions(comparison.findings, "nn against none", "--seeds 400..")


def test_a_new_study_has_at_most_as_many_runs_as_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for lr, gain in ((0.1, 0.0), (0.5, 0.01)):
        write_arm(tmp_path, "none", [0.80, 0.82, 0.84, 0.83, 0.82], lr=lr)
        write_arm(tmp_path, "nn", [0.82 + gain, 0.81, 0.87, 0.83 - gain, 0.80], lr=lr)

    def plans() -> list[str]:
        """Return the plans of the two differences, and then that of the one interaction."""
        compared = compare(runs_dir=tmp_path, interaction=("variant", "lr"))
        return [headline.command for headline in compared.headlines]

    sizes = [int(plan.rpartition("..")[2]) - 99 for plan in plans()]  # the first seed is 100
    assert len(sizes) == 2
    for position, seeds in enumerate(sizes):
        monkeypatch.setattr("dropexp.analysis.plan_new_study.MAX_RUNS", 4 * seeds)
        assert plans()[position]
        monkeypatch.setattr("dropexp.analysis.plan_new_study.MAX_RUNS", 4 * seeds - 1)
        assert not plans()[position]


def test_a_new_study_with_searches_has_the_trials_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tuned(tmp_path)
    found = select("tuned", tmp_path / "runs", None)
    planned = new_studies_of(found.runs, found.records)["tuned"]
    assert planned.runs_per_seed == 2 * (3 + 1)  # arms, and their trials and tested run
    monkeypatch.setattr("dropexp.analysis.plan_new_study.MAX_RUNS", 80)
    assert planned.has_room(10) and not planned.has_room(11)


def test_the_printed_command_trains_the_new_study(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.80, 0.82, 0.84, 0.83, 0.82])
    write_arm(tmp_path, "nn", [0.82, 0.81, 0.87, 0.83, 0.80])
    (sentence,) = compare(runs_dir=tmp_path).findings
    *_, setting, _, seeds = sentence.split("dropexp ")[1].split()
    study = load_config(CONFIG, [setting], seeds)
    assert study.name == "dropout-confirm"
    assert {run.config.seed for run in study.runs}.isdisjoint(range(5))


@pytest.mark.parametrize(
    ("study", "setting"),
    [("dropout", "name=dropout-confirm"), ("a b", "'name=a b-confirm'"), ("x" * 99, "name=confirm")],
)
def test_the_name_of_the_new_study_is_valid_and_quoted(study: str, setting: str, tmp_path: Path) -> None:
    write_run(tmp_path, "nn", 7, name=study)
    (found,) = new_studies_of(read_runs((), tmp_path)).values()
    assert found.plan(8) == f"dropexp train -c FILE --set {setting} --seeds 100..107"


def test_arms_of_two_studies_have_no_command(tmp_path: Path) -> None:
    write_arm(tmp_path, "none", [0.80, 0.84, 0.82, 0.81], name="one")
    write_arm(tmp_path, "nn", [0.81, 0.82, 0.85, 0.81], name="two")
    (sentence,) = compare(runs_dir=tmp_path, baseline="one/none").findings
    assert "INCONCLUSIVE" in sentence and "dropexp train" not in sentence
