"""Files cut, flipped, emptied: what is damaged is found and named, and no wrong number is taken for a right one."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from command import Command

from dropexp import checkpoint
from dropexp.data import load
from dropexp.experiment import train_run
from dropexp.study import load_config
from dropexp.studyfile import write_study
from dropexp.training import tasks_of
from torture.counts import COUNTS
from torture.study import CONFIG, FILES, TEXT, Study, ask, tables

OTHERS: list[Any] = ["gone", None, -1, "?", [], {"?": 1}]  # what a field of run.json may be instead
ROUNDS = 4
HARMS = ["cut", "flipped", "emptied", "zeroed", "flipped", "gone"]


@pytest.fixture(scope="session")
def half_trained(tmp_path_factory: pytest.TempPathFactory, real_root: Path, shared_cache: Path) -> Path:
    """The runs of the study, each interrupted after two of its four epochs, with a checkpoint of the second."""
    place = tmp_path_factory.mktemp("half")
    (place / CONFIG).write_text(TEXT)
    study = load_config(place / CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        patch.setattr(checkpoint, "CHECKPOINT_SHARE", float("inf"))
        data = load(real_root.resolve())
        for task in tasks_of([study], place / "runs", "cpu"):
            rows = train_run(task.planned, task.folder, data, torch.device("cpu"))
            next(rows), next(rows)
            rows.close()
    write_study(place / "runs", study.name, study.remarks)
    return place / "runs"


@dataclass
class Damaged:
    """A copy of the study's runs, half of them damaged in one file, and what the commands make of it."""

    command: Command
    undisturbed: Study
    harmed: dict[Path, str] = field(default_factory=dict)  # files, and how
    untouched: dict[Path, bytes] = field(default_factory=dict)

    @classmethod
    def copied(cls, runs: Path, command: Command, undisturbed: Study) -> Damaged:
        command.write(CONFIG, TEXT)
        shutil.rmtree(command.folder / "runs", ignore_errors=True)
        shutil.copytree(runs, command.folder / "runs")
        return cls(command, undisturbed)

    @property
    def folders(self) -> list[Path]:
        return sorted(self.command.folder.glob("runs/torture/*/"))

    def harm(self, path: Path, how: str, draw: Random) -> None:
        content = bytearray(path.read_bytes())
        first = draw.randrange(len(content))
        if how == "cut":
            del content[first:]
        elif how == "flipped":
            content[first] ^= 1 << draw.randrange(8)
        elif how == "zeroed":  # as a file system leaves a page that it never wrote
            content[first:] = bytes(len(content) - first)
        elif how == "emptied":
            content.clear()
        path.unlink() if how == "gone" else path.write_bytes(content)
        self.note(path, f"{how} at byte {first}")

    def note(self, path: Path, how: str) -> None:
        self.harmed[path] = how
        COUNTS.faults += 1

    def keep_the_rest(self) -> None:
        harmed = {path.parent for path in self.harmed}
        whole = [folder / name for folder in self.folders if folder not in harmed for name in FILES]
        self.untouched = {path: path.read_bytes() for path in whole}

    def can_be_asked(self) -> None:
        """No command that reads falls over it."""
        for asked in (["runs"], ["compare"], ["train", "-c", CONFIG, "--dry-run"]):
            ask(self.command, *asked)

    def trains_to_the_same(self) -> str:
        """Train; whatever is not as undisturbed then is named, and the command failed. Returns what it said."""
        trained = ask(self.command, "train", "-c", CONFIG, "--jobs", "1")
        if trained.returncode == 0:
            self.undisturbed.check(self.command.folder / "runs", damaged=True)
        else:
            found = tables(self.command.folder / "runs")
            for run, table in tables(self.undisturbed.runs).items():
                COUNTS.checked += 1
                right = found.get(run) == table or run in trained.stderr
                COUNTS.lost += not right
                assert right, f"{run} is wrong in silence:\n{trained.stderr}\n{self.harmed}"
        for path, content in self.untouched.items():
            assert path.read_bytes() == content, f"{path} was touched"
        return trained.stderr

    def gives_the_same_figures(self) -> None:
        """What `runs` and `compare` print is as undisturbed, or they leave a run out and say why."""
        expected, found = self._listed(self.undisturbed.runs), self._listed(self.command.folder / "runs")
        for run, figures in expected.items():
            left_out = run not in found or found[run]["status"] == "broken"
            assert left_out or found[run] == figures, f"{run}: a wrong figure\n{self.harmed}"
        expected, found = self._compared(self.undisturbed.runs), self._compared(self.command.folder / "runs")
        for arm in found:
            assert found[arm] == expected[arm], f"{arm}: a wrong figure\n{self.harmed}"

    def _listed(self, runs: Path) -> dict[str, dict[str, Any]]:
        """What `runs` says of each run, its time and place apart."""
        listed = json.loads(ask(self.command, "runs", "--format", "json", "--runs-dir", str(runs)).stdout or "[]")
        apart = ("path", "seconds")
        return {
            Path(run["path"]).name: {key: value for key, value in run.items() if key not in apart} for run in listed
        }

    def _compared(self, runs: Path) -> dict[str, dict[str, Any]]:
        """The figures that `compare` has of each arm, which is one run here."""
        compared = ask(self.command, "compare", "--format", "json", "--runs-dir", str(runs)).stdout
        arms = json.loads(compared)["arms"] if compared else []
        return {
            arm["arm"]: {key: value for key, value in arm.items() if "seconds" not in key and value is not None}
            for arm in arms
            if arm["n"]
        }

    def is_named_in(self, said: str) -> None:
        """Each run with a damaged file is named; where a file is gone nothing is damaged."""
        for path, how in self.harmed.items():
            if not how.startswith("gone"):
                cell = path.parent.name.rpartition("-")[0]
                assert cell in said, f"{path}, {how}, is not named:\n{said}"


@pytest.mark.parametrize("file", ["checkpoint.pt", "epochs.csv", "run.json", "config.yaml"])
def test_a_damaged_file_of_a_run_that_goes_on_changes_no_number(
    file: str, half_trained: Path, command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    for _ in range(1 if quick else ROUNDS):
        damaged = Damaged.copied(half_trained, command, undisturbed)
        for folder, how in zip(damaged.folders, draw.sample(HARMS, 6), strict=True):
            damaged.harm(folder / file, how, draw)
        damaged.can_be_asked()
        said = damaged.trains_to_the_same()
        damaged.gives_the_same_figures()
        if file in ("checkpoint.pt", "epochs.csv"):  # what else there is can be written anew from what is known
            damaged.is_named_in(said)


@pytest.mark.parametrize("file", ["checkpoint.pt", "epochs.csv", "run.json", "config.yaml"])
def test_a_damaged_file_of_a_finished_run_gives_no_wrong_figure_and_touches_no_other(
    file: str, command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    for _ in range(1 if quick else ROUNDS):
        damaged = Damaged.copied(undisturbed.runs, command, undisturbed)
        for folder, how in zip(draw.sample(damaged.folders, 4), draw.sample(HARMS, 4), strict=True):
            damaged.harm(folder / file, how, draw)
        damaged.keep_the_rest()
        damaged.can_be_asked()
        damaged.gives_the_same_figures()
        damaged.trains_to_the_same()
        damaged.gives_the_same_figures()


@pytest.mark.parametrize("half", [True, False])
def test_each_field_of_run_json_may_be_gone_or_of_another_type(
    half: bool, half_trained: Path, command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    runs = half_trained if half else undisturbed.runs
    keys = list(json.loads(next(runs.glob("torture/*/run.json")).read_bytes()))
    harms: list[tuple[str, Any]] = [(key, other) for key in keys for other in OTHERS]
    for some in _in_sixes(draw.sample(harms, 12 if quick else len(harms))):
        damaged = Damaged.copied(runs, command, undisturbed)
        for folder, (key, other) in zip(damaged.folders, some, strict=False):
            info = json.loads((folder / "run.json").read_bytes())
            if other == "gone":
                del info[key]
            else:
                info[key] = other
            (folder / "run.json").write_text(json.dumps(info))
            damaged.note(folder / "run.json", f"{key}: {other!r}")
        damaged.can_be_asked()
        damaged.trains_to_the_same()


def _in_sixes(harms: list[tuple[str, Any]]) -> list[list[tuple[str, Any]]]:
    return [harms[i : i + 6] for i in range(0, len(harms), 6)]


def test_a_damaged_study_json_is_written_anew(command: Command, undisturbed: Study, draw: Random) -> None:
    written = (undisturbed.runs / "torture" / "study.json").read_bytes()
    for how in HARMS:
        damaged = Damaged.copied(undisturbed.runs, command, undisturbed)
        path = damaged.command.folder / "runs" / "torture" / "study.json"
        damaged.harm(path, how, draw)
        ask(command, "compare", "--published")
        command("train", "-c", CONFIG, "--jobs", "1")
        assert path.read_bytes() == written


@pytest.mark.parametrize("how", ["header", "flipped", "cut"])
def test_a_damaged_cache_of_the_data_is_decoded_anew(
    how: str, command: Command, undisturbed: Study, shared_cache: Path, draw: Random
) -> None:
    command.write(CONFIG, TEXT)
    command.environment["XDG_CACHE_HOME"] = str(command.folder / "cache")
    shutil.copytree(shared_cache, command.folder / "cache")
    cached = next((command.folder / "cache" / "dropexp").glob("decoded-????????????????"))
    size = cached.stat().st_size
    with cached.open("r+b") as file:
        if how == "cut":
            file.truncate(draw.randrange(size))
        else:
            file.seek(draw.randrange(200 if how == "header" else size))
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1 << draw.randrange(8)]))
    COUNTS.faults += 1
    command("train", "-c", CONFIG, "--jobs", "1")
    undisturbed.check(command.folder / "runs")
    shutil.rmtree(command.folder / "cache")
