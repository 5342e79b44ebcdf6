"""Between trials and tested runs: which trial is selected, and what is trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.fake_runs import change
from helpers.in_process import InProcess
from helpers.processes import another_process, kill
from helpers.tuned import TUNED, tuned, write_outcome, write_tuned

from dropexp import train
from dropexp.errors import TrainingError
from dropexp.lock import locked
from dropexp.runs.folder import RunFolder
from dropexp.runs.search_records import SearchRecord, known_trials
from dropexp.runs.study_file import read_searches
from dropexp.training.jobs import Job
from dropexp.training.pipeline import Training
from dropexp.training.search_second_stage import Blocked, Selected, by_settings, select

# Which trial is selected


@dataclass
class Trials:
    """The trials of one search, and how each ended."""

    jobs: list[Job]
    select: Callable[[], Selected | Blocked]

    def end(self, accs: list[float], losses: list[float] | None = None, diverged: int = 0) -> None:
        """Write how they ended; the first `diverged` of them diverged."""
        for job, acc, loss in zip(self.jobs, accs, losses or [0.5] * len(accs), strict=True):
            write_outcome(job, acc, loss, "diverged" if job in self.jobs[:diverged] else "done")

    def selected(self) -> Selected:
        selected = self.select()
        assert isinstance(selected, Selected)
        return selected

    def blocked(self) -> Blocked:
        blocked = self.select()
        assert isinstance(blocked, Blocked)
        return blocked


@pytest.fixture
def trials(tmp_path: Path) -> Trials:
    """The three trials of the arm "none" in repeat 0, none of which is trained."""
    training = Training([tuned(tmp_path)], tmp_path / "runs", "cpu")
    search = training.searches[0]
    jobs = by_settings(training.first.jobs, "cpu")
    return Trials(training.first.jobs[:3], lambda: select(search, known_trials(search, None), jobs, "cpu"))


def test_the_highest_validation_accuracy_is_selected(trials: Trials) -> None:
    trials.end([0.5, 0.7, 0.6], losses=[0.1, 0.9, 0.1])
    selected = trials.selected()
    assert selected.record.selected == 1
    assert [trial.val_acc for trial in selected.record.trials] == [0.5, 0.7, 0.6]
    assert selected.tested.tuning and selected.tested.tuning.selection == {"val_acc": 0.7, "val_loss": 0.9}
    assert selected.tested.config.lr == trials.jobs[1].planned.config.lr


@pytest.mark.parametrize(
    ("losses", "selected"), [([0.1, 0.4, 0.3], 2), ([0.1, 0.3, 0.3], 1), ([9, float("nan"), 8], 2)]
)
def test_of_equal_accuracies_the_lowest_loss_is_selected_and_then_the_first_trial(
    losses: list[float], selected: int, trials: Trials
) -> None:
    trials.end([0.5, 0.7, 0.7], losses)
    assert trials.selected().record.selected == selected


def test_a_diverged_trial_ranks_last_and_has_no_figures(trials: Trials) -> None:
    trials.end([0.9, 0.2, 0.1], diverged=1)
    record = trials.selected().record
    assert record.selected == 1 and record.trials[0].val_acc is record.trials[0].val_loss is None


def test_a_search_whose_trials_all_diverged_is_blocked(trials: Trials) -> None:
    trials.end([0.5, 0.5, 0.5], diverged=3)
    blocked = trials.blocked()
    assert str(blocked) == "tuned: arm none, repeat 0: no settings are selected: every trial diverged"
    assert not blocked.busy


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_trial_that_is_not_finished_blocks_its_search(status: str, trials: Trials) -> None:
    trials.end([0.5, 0.6, 0.7])
    change(trials.jobs[1].folder, status=status, table=None)
    blocked = trials.blocked()
    assert blocked.why == f"{trials.jobs[1].folder.path} is {status}" and not blocked.busy


def test_a_trial_that_another_process_trains_blocks_its_search_as_busy(trials: Trials) -> None:
    trials.end([0.5, 0.6, 0.7])
    change(trials.jobs[1].folder, status="running", table=None)
    with locked(trials.jobs[1].folder.path):
        blocked = trials.blocked()
    assert blocked.why.endswith("is running") and blocked.busy


# What is trained


CHOICES = """\
name: tuned
train_size: 100
validation_size: 100
hidden: [8, 4]
epochs: 2
batch_size: 50
init: torch
arms:
  none: {variant: none}
  units: {variant: scratch}
tune:
  trials: 4
  repeats: 2
  space:
    lr: {choice: [0.05, 0.5]}
    drop_probs: {choice: [[0.2, 0.2], [0.5, 0.5]]}
"""


@dataclass
class Study:
    """A study with a search, which a test trains, and the runs that were trained by the last call."""

    cli: InProcess
    trained: list[str] = field(default_factory=list)

    def train(self, *options: str, code: int = 0) -> str:
        """Train it in this process; return what was printed."""
        printed = self.cli("train", "-c", "tuned.yaml", "--jobs", "1", "--device", "cpu", *options, code=code).stderr
        lines = [line.partition("tuned/")[2].split()[0] for line in printed.splitlines() if line.startswith("[")]
        self.trained = list(dict.fromkeys(lines))
        return printed

    def edit(self, old: str, new: str) -> None:
        path = self.cli.folder / "tuned.yaml"
        path.write_text(path.read_text().replace(old, new))

    def remove(self, pattern: str) -> None:
        for path in self.folder.glob(pattern):
            shutil.rmtree(path)

    @property
    def folder(self) -> Path:
        return self.cli.folder / "runs" / "tuned"

    def records(self) -> list[SearchRecord]:
        return [*read_searches(self.folder).values()]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Use one thread: small matrix products are slower with two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(one_thread: None, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Study:
    """A study whose two stages are trained. Only read it."""
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "tuned.yaml").write_text(CHOICES)
    study = Study(InProcess(folder, environment.copy()))
    study.train()
    return study


@pytest.fixture
def own(trained: Study, tmp_path: Path, environment: dict[str, str]) -> Study:
    """The same trained study, in a folder that the test may change."""
    shutil.copytree(trained.cli.folder, tmp_path, dirs_exist_ok=True)
    return Study(InProcess(tmp_path, environment.copy()))


def infos(study: Study, pattern: str) -> Iterator[tuple[str, RunFolder]]:
    for path in sorted(study.folder.glob(pattern)):
        yield path.name.rpartition("-")[0], RunFolder(path)


def test_choices_that_are_drawn_twice_train_once(trained: Study) -> None:
    records = trained.records()
    assert {len(record.trials) for record in records} == {4}
    different = {json.dumps([one.arm, one.repeat, trial.values]) for one in records for trial in one.trials}
    trials = [name for name in trained.trained if "trial=" in name]
    assert len(trials) == len(different) < 16
    for record in records:
        figures = {json.dumps(trial.values): (trial.val_acc, trial.val_loss) for trial in record.trials}
        assert all(figures[json.dumps(trial.values)] == (trial.val_acc, trial.val_loss) for trial in record.trials)


def test_trials_have_the_seed_of_their_repeat_and_tested_runs_a_new_one(trained: Study) -> None:
    seeds = {name.rpartition("seed=")[2] for name in trained.trained if "trial=" in name}
    assert seeds == {"0", "1"}
    tested = [name.partition(",selected=")[0] + name.rpartition(",seed=")[2] for name in trained.trained[-4:]]
    assert tested == ["arm=none1000", "arm=none1001", "arm=units1000", "arm=units1001"]


def test_only_tested_runs_are_evaluated_on_the_test_images(trained: Study) -> None:
    for _, run in infos(trained, "*trial=*"):
        info = run.read_info()
        assert info.table and {"val_acc", "val_loss"} <= {*info.table}
        assert not [column for column in info.table if "test" in column]
        assert not (run.path / "predictions.npz").exists()
    for _, run in infos(trained, "*selected=*"):
        info = run.read_info()
        assert info.table and {"val_acc", "test_acc"} <= {*info.table}
        assert len(info.table["test_acc"]) == 2 and (run.path / "predictions.npz").exists()


def test_run_json_has_the_part_of_each_run_and_the_figures_of_its_selection(trained: Study) -> None:
    records = {(one.arm, one.repeat): one for one in trained.records()}
    for _, run in infos(trained, "*selected=*"):
        info = run.read_info()
        assert info.tune and info.tune.role == "tested"
        record = records[info.arm, info.tune.repeat]
        assert (info.tune.search, info.tune.trial, info.tune.keys) == (record.id, record.selected, [*record.space])
        assert info.tune.selection == {"val_acc": record.best.val_acc, "val_loss": record.best.val_loss}
        assert {key: info.config[key] for key in record.best.values} == record.best.values
    for _, run in infos(trained, "*trial=*"):
        info = run.read_info()
        assert info.tune and info.tune.role == "trial" and info.tune.selection is None
        trial = records[info.arm, info.tune.repeat].trials[info.tune.trial]
        assert (info.last["val_acc"], info.last["val_loss"]) == (trial.val_acc, trial.val_loss)


def test_training_again_trains_nothing(own: Study) -> None:
    before = own.records()
    printed = own.train()
    assert own.trained == []
    assert "trials: 0 trained now" in printed and "4 tested runs: 0 trained now, 4 before" in printed
    assert own.records() == before


def test_removed_trials_are_not_trained_again_when_study_json_has_the_selection(own: Study) -> None:
    own.remove("*trial=*")
    own.remove("arm=none,selected=*seed=1001-*")
    before = own.records()
    own.train()
    (tested,) = own.trained
    assert tested.startswith("arm=none,selected=") and tested.endswith("seed=1001")
    assert own.records() == before


def test_force_trains_every_run_again_to_the_same_tables(own: Study, trained: Study) -> None:
    own.remove("arm=none,trial=*")
    own.train("--force")
    assert own.trained == trained.trained
    assert own.cli.tables() == trained.cli.tables() and own.records() == trained.records()


KILLED_BETWEEN_THE_STAGES = """\
import os, sys, time
from pathlib import Path
os.chdir(sys.argv[1])
os.environ["XDG_CACHE_HOME"] = sys.argv[3]
from dropexp.config.study import load_config
from dropexp.training.pipeline import Training
import torch
torch.set_num_threads(1)
training = Training([load_config("tuned.yaml")], Path("runs"), "cpu")
for number, stage in enumerate(training.stages()):
    if number == 1:
        print("ready", flush=True)
        time.sleep(600)
    for _ in training.start(stage, lambda: Path(sys.argv[2]), 1):
        pass
"""


def test_a_command_that_is_killed_between_the_stages_resumes_to_the_same_tables(own: Study, trained: Study) -> None:
    shutil.rmtree(own.folder)
    environment = own.cli.environment
    arguments = str(own.cli.folder), environment["DROPEXP_DATA"], environment["XDG_CACHE_HOME"]
    with another_process(KILLED_BETWEEN_THE_STAGES, *arguments) as process:
        kill(process)
    assert {record.selected for record in own.records()} == {None}
    own.train()
    assert len(own.trained) == 4 and all("selected=" in name for name in own.trained)
    assert own.cli.tables() == trained.cli.tables() and own.records() == trained.records()


def test_more_trials_train_only_the_new_ones(tmp_path: Path) -> None:
    write_tuned(tmp_path)
    before = read_searches(tmp_path / "runs" / "tuned")
    more = TUNED.replace("trials: 3", "trials: 5")
    unfinished = Training([tuned(tmp_path, more)], tmp_path / "runs", "cpu").first.unfinished
    assert [job.planned.cell for job in unfinished] == [
        f"arm={arm},trial={trial},seed={seed}" for arm in ("none", "units") for seed in (0, 1) for trial in (3, 4)
    ]
    write_tuned(tmp_path, more)
    after = read_searches(tmp_path / "runs" / "tuned")
    assert [*after] == [*before]
    assert all(after[key].trials[:3] == before[key].trials and len(after[key].trials) == 5 for key in before)


def test_a_selection_that_changes_has_its_own_tested_run(tmp_path: Path) -> None:
    write_tuned(tmp_path)
    training = write_tuned(tmp_path, TUNED.replace("trials: 3", "trials: 4"))
    assert {one.selected for one in read_searches(tmp_path / "runs" / "tuned").values()} == {3}
    assert all("selected=3" in job.folder.path.name for job in training.jobs if not job.is_trial)
    assert len([*tmp_path.glob("runs/tuned/*selected=*")]) == 8


def test_an_arm_that_shares_trials_with_a_finished_one_trains_those_that_are_removed(tmp_path: Path) -> None:
    text = TUNED.replace("lr: {log: [0.005, 0.5]}", "lr: {choice: [0.1, 0.2]}")
    write_tuned(tmp_path, text)
    for path in tmp_path.glob("runs/tuned/*trial=*"):
        shutil.rmtree(path)
    training = write_tuned(tmp_path, text.replace("tune:", "  slow: {variant: none, lr: 0.1}\ntune:"))
    assert training.blocked == [] and len(read_searches(tmp_path / "runs" / "tuned")) == 6
    assert len([*tmp_path.glob("runs/tuned/*trial=*")]) == 2  # one of each repeat of the new arm


# Trials that do not end


def test_a_diverged_trial_does_not_fail_the_command(own: Study) -> None:
    own.edit("[0.05, 0.5]", "[0.05, 1.0e+30]")
    printed = own.train("--fail-fast")
    assert "diverged: the loss is not finite" in printed and "tested runs: " in printed
    edited = [record for record in own.records() if 1e30 in record.space["lr"]["choice"]]
    assert edited and all(record.best.values["lr"] == 0.05 for record in edited)


def test_repeats_whose_trials_all_diverged_fail_the_command_and_have_no_tested_run(own: Study) -> None:
    own.edit("none: {variant: none}", "none: {variant: none, lr: 1.0e+30}")
    printed = own.train(code=1)
    assert "note: tuned: arm none, repeat 0: no settings are selected: every trial diverged" in printed
    assert "2 tested runs: 0 trained now, 2 before" in printed


def test_a_failed_trial_blocks_its_repeat_and_fails_the_command(own: Study) -> None:
    (own.folder / "study.json").unlink()
    (path,) = own.folder.glob("arm=none,trial=0,seed=0-*")
    shutil.rmtree(path)
    path.write_text("a file where its folder is to be")
    printed = own.train(code=1)
    assert "note: tuned: arm none, repeat 0: no settings are selected: " in printed
    assert "3 tested runs: 0 trained now, 3 before" in printed


def test_a_trial_that_another_process_trains_is_reported_and_does_not_fail_the_command(own: Study) -> None:
    (own.folder / "study.json").unlink()
    own.remove("arm=none,selected=*seed=1000-*")
    (path,) = own.folder.glob("arm=none,trial=0,seed=0-*")
    change(RunFolder(path), status="running", table=None)
    with locked(path):
        printed = own.train()
        assert "busy: another process is training it" in printed
        assert "note: tuned: arm none, repeat 0: no settings are selected: " in printed
        assert "3 tested runs: 0 trained now, 3 before" in printed


def test_from_a_notebook_a_study_trains_both_stages_and_a_search_without_a_selection_is_an_error(own: Study) -> None:
    own.edit("none: {variant: none}", "none: {variant: none, lr: 1.0e+30}")
    (own.folder / "study.json").unlink()
    own.remove("arm=units,selected=*")
    config, data_dir = own.cli.folder / "tuned.yaml", own.cli.environment["DROPEXP_DATA"]
    rows: list[dict[str, Any]] = []
    events = train(config, runs_dir=own.folder.parent, data_dir=data_dir, device="cpu")
    with pytest.raises(TrainingError, match=r"arm none, repeat [01]: failed, every trial diverged"):
        rows += iter(lambda: next(events), None)
    assert [(str(row["run"])[:18], row["epoch"]) for row in rows if "test_acc" in row] == [
        ("arm=units,selected", epoch) for _ in range(2) for epoch in (1, 2)
    ]
