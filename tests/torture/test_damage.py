"""Files cut, flipped, emptied: what is damaged is found and named, and no wrong number is taken for a right one."""

from __future__ import annotations

import filecmp
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from helpers.command import Command
from helpers.training import train_run

from dropexp.config.study import load_config
from dropexp.data.fashion_mnist import load
from dropexp.files import encode_json
from dropexp.runs.study_file import write_study
from dropexp.training import checkpoint
from dropexp.training.task import tasks_of
from torture.counts import COUNTS
from torture.study import CONFIG, FILES, TEXT, Figures, Study, ask

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
    write_study(place / "runs", study.name, study.declared)
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
        """Train; every run must equal the undisturbed one. Return stderr."""
        stderr = self.command("train", "-c", CONFIG, "--jobs", "1").stderr
        self.undisturbed.check(self.command.folder / "runs", damaged=True)
        for path, content in self.untouched.items():
            assert path.read_bytes() == content, f"{path} was touched"
        return stderr

    def gives_the_same_figures(self) -> None:
        """What `runs` and `compare` print is as undisturbed, or they leave a run out and say why."""
        right, found = self.undisturbed.figures, Figures.asked_for(self.command)
        for run, figures in right.by_run.items():
            left_out = run not in found.by_run or found.by_run[run]["status"] in ("corrupted", "unreadable")
            assert left_out or found.by_run[run] == figures, f"{run}: a wrong figure\n{self.harmed}"
        for arm, figures in found.by_arm.items():
            same = [name for name, others in right.by_arm.items() if others == figures]
            assert len(same) == 1 and {*arm.split(",")} <= {*same[0].split(",")}, f"{arm}: wrong\n{self.harmed}"

    def is_named_in(self, stderr: str, *, derived: bool) -> None:
        """Each harmed file is named, unless it is a truth that is gone: nothing is left to rename."""
        for path, how in self.harmed.items():
            if derived or not how.startswith("gone"):
                named = f"{path.relative_to(self.command.folder)} was {'' if derived else 'corrupted'}"
                assert named in stderr, f"{path}, {how}, is not named:\n{stderr}"


@pytest.mark.parametrize("file", ["checkpoint.pt", "epochs.csv", "run.json", "config.yaml"])
def test_a_damaged_file_of_a_resumed_run_changes_no_number(
    file: str, half_trained: Path, command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    for _ in range(1 if quick else ROUNDS):
        damaged = Damaged.copied(half_trained, command, undisturbed)
        for folder, how in zip(damaged.folders, draw.sample(HARMS, 6), strict=True):
            damaged.harm(folder / file, how, draw)
        damaged.can_be_asked()
        stderr = damaged.trains_to_the_same()
        damaged.gives_the_same_figures()
        if file != "config.yaml":  # which is written at each start
            damaged.is_named_in(stderr, derived=file == "epochs.csv")


@pytest.mark.parametrize("file", ["checkpoint.pt", "epochs.csv", "run.json", "config.yaml"])
def test_a_damaged_file_of_a_finished_run_gives_no_wrong_figure_and_touches_no_other(
    file: str, command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    for _ in range(1 if quick else ROUNDS):
        damaged = Damaged.copied(undisturbed.runs, command, undisturbed)
        for folder, how in zip(draw.sample(damaged.folders, 4), draw.sample(HARMS, 4), strict=True):
            damaged.harm(folder / file, how, draw)
        damaged.keep_the_rest()
        damaged.gives_the_same_figures()
        stderr = damaged.trains_to_the_same()
        damaged.gives_the_same_figures()
        if file != "checkpoint.pt":  # which only `evaluate` would read
            damaged.is_named_in(stderr, derived=file in ("epochs.csv", "config.yaml"))


@pytest.mark.parametrize("half", [True, False])
def test_each_field_of_run_json_may_be_gone_or_of_another_type(
    half: bool, half_trained: Path, command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    runs = half_trained if half else undisturbed.runs
    keys = list(_content(next(runs.glob("torture/*/run.json"))))
    harms: list[tuple[str, Any]] = [(key, other) for key in keys for other in OTHERS]
    for i, some in enumerate(_in_sixes(draw.sample(harms, 12 if quick else len(harms)))):
        damaged = Damaged.copied(runs, command, undisturbed)
        for folder, (key, other) in zip(damaged.folders, some, strict=False):
            info = _content(folder / "run.json")
            if other == "gone":
                del info[key]
            else:
                info[key] = other
            content = encode_json(info) if i % 2 else json.dumps(info).encode()  # without a checksum
            (folder / "run.json").write_bytes(content)
            damaged.note(folder / "run.json", f"{key}: {other!r}")
        damaged.can_be_asked()
        damaged.trains_to_the_same()


def _content(path: Path) -> dict[str, Any]:
    """The content of a JSON file without its checksum, which would be the first thing to be found wrong."""
    return {key: value for key, value in json.loads(path.read_bytes()).items() if key != "sha256"}


def _in_sixes(harms: list[tuple[str, Any]]) -> list[list[tuple[str, Any]]]:
    return [harms[i : i + 6] for i in range(0, len(harms), 6)]


def test_a_damaged_study_json_is_rewritten(command: Command, undisturbed: Study, draw: Random) -> None:
    written = (undisturbed.runs / "torture" / "study.json").read_bytes()
    for how in HARMS:
        damaged = Damaged.copied(undisturbed.runs, command, undisturbed)
        path = damaged.command.folder / "runs" / "torture" / "study.json"
        damaged.harm(path, how, draw)
        ask(command, "compare", "--published")
        damaged.is_named_in(command("train", "-c", CONFIG, "--jobs", "1").stderr, derived=False)
        assert path.read_bytes() == written


@pytest.mark.parametrize("how", ["header", "flipped", "cut"])
def test_a_damaged_cache_of_the_data_is_decoded_again(
    how: str, command: Command, undisturbed: Study, shared_cache: Path, draw: Random
) -> None:
    command.write(CONFIG, TEXT)
    command.environment["XDG_CACHE_HOME"] = str(command.folder / "cache")
    shutil.copytree(shared_cache, command.folder / "cache")
    whole = next((shared_cache / "dropexp").glob("decoded-*"))
    cached = command.folder / "cache" / "dropexp" / whole.name
    size = cached.stat().st_size
    with cached.open("r+b") as file:
        header = len(file.readline()) + len(file.readline())
        if how == "cut":
            file.truncate(draw.randrange(size))
        else:
            at = draw.randrange(header) if how == "header" else draw.randrange(header, size)
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << draw.randrange(8)]))
    COUNTS.faults += 1
    stderr = command("train", "-c", CONFIG, "--jobs", "1").stderr
    undisturbed.check(command.folder / "runs")
    assert filecmp.cmp(cached, whole, shallow=False)
    assert f"{cached} was corrupted and is decoded again" in stderr
    shutil.rmtree(command.folder / "cache")
