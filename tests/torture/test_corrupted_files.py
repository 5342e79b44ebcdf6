"""Corrupted files: each is found and reported, and no wrong figure is printed."""

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
from dropexp.training.jobs import jobs_of
from torture.counts import COUNTS
from torture.study import CONFIG, FILES, TEXT, Figures, Study, run_command

OTHERS: list[Any] = ["gone", None, -1, "?", [], {"?": 1}]  # values that replace a field of run.json
ROUNDS = 4
CORRUPTIONS = ["cut", "flipped", "emptied", "zeroed", "flipped", "gone"]


@pytest.fixture(scope="session")
def half_trained(tmp_path_factory: pytest.TempPathFactory, real_root: Path, shared_cache: Path) -> Path:
    """Train the study; interrupt each run after two of its four epochs, with a checkpoint of the second."""
    root = tmp_path_factory.mktemp("half")
    (root / CONFIG).write_text(TEXT)
    study = load_config(root / CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        patch.setattr(checkpoint, "CHECKPOINT_SHARE", float("inf"))
        data = load(real_root.resolve())
        for job in jobs_of([study], root / "runs", "cpu"):
            rows = train_run(job.planned, job.folder, data, torch.device("cpu"))
            next(rows), next(rows)
            rows.close()
    write_study(root / "runs", study)
    return root / "runs"


@dataclass
class Corrupted:
    """A copy of the study's runs with some corrupted files, and checks of what the commands do with it."""

    command: Command
    undisturbed: Study
    corrupted: dict[Path, str] = field(default_factory=dict)  # by file, how it was corrupted
    untouched: dict[Path, bytes] = field(default_factory=dict)

    @classmethod
    def copied(cls, runs: Path, command: Command, undisturbed: Study) -> Corrupted:
        command.write(CONFIG, TEXT)
        shutil.rmtree(command.folder / "runs", ignore_errors=True)
        shutil.copytree(runs, command.folder / "runs")
        return cls(command, undisturbed)

    @property
    def folders(self) -> list[Path]:
        return sorted(self.command.folder.glob("runs/torture/*/"))

    def corrupt(self, path: Path, how: str, draw: Random) -> None:
        content = bytearray(path.read_bytes())
        first = draw.randrange(len(content))
        if how == "cut":
            del content[first:]
        elif how == "flipped":
            content[first] ^= 1 << draw.randrange(8)
        elif how == "zeroed":  # like blocks that a file system never wrote
            content[first:] = bytes(len(content) - first)
        elif how == "emptied":
            content.clear()
        path.unlink() if how == "gone" else path.write_bytes(content)
        self.note(path, f"{how} at byte {first}")

    def note(self, path: Path, how: str) -> None:
        self.corrupted[path] = how
        COUNTS.faults += 1

    def remember_the_rest(self) -> None:
        affected = {path.parent for path in self.corrupted}
        whole = [folder / name for folder in self.folders if folder not in affected for name in FILES]
        self.untouched = {path: path.read_bytes() for path in whole}

    def check_reading_commands(self) -> None:
        """Check that no command that reads fails."""
        for words in (["runs"], ["compare"], ["train", "-c", CONFIG, "--dry-run"]):
            run_command(self.command, *words)

    def check_training(self) -> str:
        """Train, check that every run is like an undisturbed one, and return the messages."""
        messages = self.command("train", "-c", CONFIG, "--jobs", "1").stderr
        self.undisturbed.check(self.command.folder / "runs", corrupted=True)
        for path, content in self.untouched.items():
            assert path.read_bytes() == content, f"{path} was touched"
        return messages

    def check_figures(self) -> None:
        """Check that `runs` and `compare` print the undisturbed figures, or leave a corrupted run out."""
        right, found = self.undisturbed.figures, Figures.of(self.command)
        for run, figures in right.by_run.items():
            left_out = run not in found.by_run or found.by_run[run]["status"] in ("corrupted", "unreadable")
            assert left_out or found.by_run[run] == figures, f"{run}: a wrong figure\n{self.corrupted}"
        for arm, figures in found.by_arm.items():
            same = [name for name, others in right.by_arm.items() if others == figures]
            assert len(same) == 1 and {*arm.split(",")} <= {*same[0].split(",")}, f"{arm}: wrong\n{self.corrupted}"

    def check_reported(self, messages: str, *, derived: bool) -> None:
        """Check that each corrupted file is reported, unless it is missing and not derived: none is left to rename."""
        for path, how in self.corrupted.items():
            if derived or not how.startswith("gone"):
                report = f"{path.relative_to(self.command.folder)} was {'' if derived else 'corrupted'}"
                assert report in messages, f"{path}, {how}, is not reported:\n{messages}"


@pytest.mark.parametrize("file", ["checkpoint.pt", "epochs.csv", "run.json", "config.yaml"])
def test_a_corrupted_file_of_an_interrupted_run_changes_no_number(
    file: str, half_trained: Path, command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    for _ in range(1 if quick else ROUNDS):
        copy = Corrupted.copied(half_trained, command, undisturbed)
        for folder, how in zip(copy.folders, draw.sample(CORRUPTIONS, 6), strict=True):
            copy.corrupt(folder / file, how, draw)
        copy.check_reading_commands()
        messages = copy.check_training()
        copy.check_figures()
        if file != "config.yaml":  # it is written at each start
            copy.check_reported(messages, derived=file == "epochs.csv")


@pytest.mark.parametrize("file", ["checkpoint.pt", "epochs.csv", "run.json", "config.yaml", "predictions.npz"])
def test_a_corrupted_file_of_a_finished_run_gives_no_wrong_figure_and_changes_no_other_run(
    file: str, command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    for _ in range(1 if quick else ROUNDS):
        copy = Corrupted.copied(undisturbed.runs, command, undisturbed)
        for folder, how in zip(draw.sample(copy.folders, 4), draw.sample(CORRUPTIONS, 4), strict=True):
            copy.corrupt(folder / file, how, draw)
        copy.remember_the_rest()
        copy.check_figures()
        messages = copy.check_training()
        copy.check_figures()
        if file != "checkpoint.pt":  # only `evaluate` reads it
            copy.check_reported(messages, derived=file != "run.json")


@pytest.mark.parametrize("half", [True, False])
def test_each_field_of_run_json_can_be_missing_or_of_another_type(
    half: bool, half_trained: Path, command: Command, undisturbed: Study, draw: Random, quick: bool
) -> None:
    runs = half_trained if half else undisturbed.runs
    keys = list(_content(next(runs.glob("torture/*/run.json"))))
    changes: list[tuple[str, Any]] = [(key, other) for key in keys for other in OTHERS]
    for i, some in enumerate(_in_sixes(draw.sample(changes, 12 if quick else len(changes)))):
        copy = Corrupted.copied(runs, command, undisturbed)
        for folder, (key, other) in zip(copy.folders, some, strict=False):
            info = _content(folder / "run.json")
            if other == "gone":
                del info[key]
            else:
                info[key] = other
            content = encode_json(info) if i % 2 else json.dumps(info).encode()  # without a checksum
            (folder / "run.json").write_bytes(content)
            copy.note(folder / "run.json", f"{key}: {other!r}")
        copy.check_reading_commands()
        copy.check_training()


def _content(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file without its checksum, which would no longer match."""
    return {key: value for key, value in json.loads(path.read_bytes()).items() if key != "sha256"}


def _in_sixes(changes: list[tuple[str, Any]]) -> list[list[tuple[str, Any]]]:
    return [changes[i : i + 6] for i in range(0, len(changes), 6)]


def test_a_corrupted_study_json_is_rewritten(command: Command, undisturbed: Study, draw: Random) -> None:
    written = (undisturbed.runs / "torture" / "study.json").read_bytes()
    for how in CORRUPTIONS:
        copy = Corrupted.copied(undisturbed.runs, command, undisturbed)
        path = copy.command.folder / "runs" / "torture" / "study.json"
        copy.corrupt(path, how, draw)
        run_command(command, "compare", "--published")
        copy.check_reported(command("train", "-c", CONFIG, "--jobs", "1").stderr, derived=False)
        assert path.read_bytes() == written


@pytest.mark.parametrize("how", ["header", "flipped", "cut"])
def test_a_corrupted_cache_of_the_data_is_decoded_again(
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
    messages = command("train", "-c", CONFIG, "--jobs", "1").stderr
    undisturbed.check(command.folder / "runs")
    assert filecmp.cmp(cached, whole, shallow=False)
    assert f"{cached} was corrupted and is decoded again" in messages
    shutil.rmtree(command.folder / "cache")
