"""What a disk or a hand has changed is found, named, kept and made good; files of other versions are read, or left."""

from __future__ import annotations

import functools
import io
import json
import operator
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from helpers.command import Command
from helpers.training import end_of, notes_of, rows_of, train_run, train_stack
from helpers.weights import same, saved

from dropexp.analysis.comparison import compare
from dropexp.config.schema import Config
from dropexp.config.study import PlannedRun
from dropexp.data.fashion_mnist import Data
from dropexp.errors import NewerRun, RunError
from dropexp.files import is_sealed, read_json, sealed, sealed_json
from dropexp.runs.folder import Damaged, RunFolder
from dropexp.runs.study_file import read_study, write_study
from dropexp.training import checkpoint
from dropexp.training.events import Ended, Note

CPU = torch.device("cpu")
FILES = ["checkpoint.pt", "epochs.csv", "run.json"]
Harm = Callable[[bytes], bytes]


@pytest.fixture(scope="module", autouse=True)
def one_thread_and_a_checkpoint_each_epoch() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "CHECKPOINT_SHARE", 1e9)
        yield
    torch.set_num_threads(threads)


def planned(**keys: Any) -> PlannedRun:
    keys = {"variant": "scratch", "hidden": [16, 8], "batch_size": 64, "epochs": 3, "init": "torch", "lr": 0.1} | keys
    return PlannedRun("study", None, "cell", Config.model_validate(keys))


def train(folder: Path, data: Data, run: PlannedRun | None = None) -> tuple[Ended, list[str], int]:
    """How the run ended, what was said of damaged files, and how many epochs were trained."""
    events = list(train_run(run or planned(), RunFolder(folder), data, CPU))
    return end_of(events), notes_of(events), len(rows_of(events))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Data) -> Path:
    """A folder with a whole run, and one that was interrupted after two epochs."""
    place = tmp_path_factory.mktemp("trained")
    train(place / "done", data)
    rows = train_run(planned(), RunFolder(place / "interrupted"), data, CPU)
    for _ in range(2):
        next(rows)
    rows.close()
    return place


def a_copy(trained: Path, state: str, to: Path) -> Path:
    return Path(shutil.copytree(trained / state, to / state))


def table(folder: Path) -> str:
    """epochs.csv without its one column that differs from run to run."""
    return pd.read_csv(folder / "epochs.csv", dtype=str).drop(columns="seconds").to_csv(index=False)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def a_digit(content: bytes) -> bytes:
    """With one digit of the figures changed, so that it reads as well as before."""
    at = next(i for i in range(len(content) * 2 // 3, len(content)) if content[i : i + 2].isdigit())
    return content[:at] + (b"3" if content[at : at + 1] != b"3" else b"4") + content[at + 1 :]


def a_weight(content: bytes) -> bytes:
    """With one bit of a weight changed, in what torch reads without a word."""
    saved = torch.load(io.BytesIO(content), weights_only=True)
    at = content.index(bytes(saved["network"]["W1"].untyped_storage())[:64])
    return content[: at + 9] + bytes([content[at + 9] ^ 1]) + content[at + 10 :]


HARMS: dict[str, list[Harm]] = {
    "checkpoint.pt": [lambda _: b"", lambda _: b"nonsense", cut, a_weight, lambda content: content[:-20]],
    "epochs.csv": [lambda _: b"", lambda _: b"\xff\xfe\n", cut, a_digit],
    "run.json": [lambda _: b"", lambda _: b"[]", cut, a_digit, lambda content: content.replace(b"1", b"0", 1)],
    "config.yaml": [lambda _: b"", cut, a_digit],
}


@pytest.mark.parametrize(("name", "harm"), [(name, harm) for name in FILES for harm in HARMS[name]])
def test_a_damaged_file_of_an_interrupted_run_is_named_and_kept_and_the_run_made_good(
    name: str, harm: Harm, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    harmed = harm((folder / name).read_bytes())
    (folder / name).write_bytes(harmed)
    outcome, said, epochs = train(folder, data)
    assert outcome == Ended(0, "done")
    assert len(said) == 1 and str(folder / name) in said[0] and f"{name}.damaged-1" in said[0]
    assert "\n" not in said[0]
    assert (folder / f"{name}.damaged-1").read_bytes() == harmed
    assert epochs == (1 if name == "run.json" else 3)  # the checkpoint does without run.json
    assert table(folder) == table(trained / "done") and same(saved(folder), saved(trained / "done"))
    assert RunFolder(folder).status() == "done"


@pytest.mark.parametrize(
    ("name", "harm"), [(name, harm) for name in HARMS if name != "checkpoint.pt" for harm in HARMS[name]]
)
def test_a_finished_run_with_a_damaged_file_is_no_longer_done_and_is_made_good(
    name: str, harm: Harm, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "done", tmp_path)
    (folder / name).write_bytes(harm((folder / name).read_bytes()))
    assert RunFolder(folder).status() == "broken"
    outcome, said, epochs = train(folder, data)
    assert outcome == Ended(0, "done")
    assert f"{name}.damaged-1" in said[0]
    assert (epochs, len(said)) == ((3, 2) if name == "epochs.csv" else (0, 1))  # what is whole is not trained again
    assert table(folder) == table(trained / "done")
    assert RunFolder(folder).status() == "done"


def test_a_finished_run_whose_table_is_gone_is_trained_again_and_says_so(
    trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "done", tmp_path)
    (folder / "epochs.csv").unlink()
    (folder / "checkpoint.pt").unlink()
    outcome, said, epochs = train(folder, data)
    assert (outcome, epochs) == (Ended(0, "done"), 3)
    assert said == [
        f"{folder / 'epochs.csv'} was missing and is made anew",
        f"{folder / 'epochs.csv'} is begun anew; "
        "what was there before is kept as run.json.before-1, config.yaml.before-1",
    ]


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


@pytest.mark.parametrize("harm", HARMS["config.yaml"] + [None])
@pytest.mark.parametrize("checkpoint_is", ["dropped", "of another torch"])
def test_a_result_whose_config_is_damaged_or_gone_stays_whatever_its_checkpoint(
    checkpoint_is: str, harm: Harm | None, trained: Path, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_copy(trained, "done", tmp_path)
    config = folder / "config.yaml"
    if checkpoint_is == "dropped":
        (folder / "checkpoint.pt").unlink()
    before = content_of(folder)
    harmed = harm(config.read_bytes()) if harm else None
    config.unlink() if harmed is None else config.write_bytes(harmed)
    with monkeypatch.context() as patch:
        if checkpoint_is == "of another torch":
            patch.setattr(torch, "__version__", "another")
        outcome, (said,), epochs = train(folder, data)
    assert (outcome, epochs) == (Ended(0, "done"), 0)
    assert "config.yaml was missing" in said if harmed is None else "config.yaml.damaged-1" in said
    assert content_of(folder) == before | ({} if harmed is None else {"config.yaml.damaged-1": harmed})
    assert RunFolder(folder).status() == "done"


def test_in_a_stack_a_result_stays_whose_config_is_damaged(trained: Path, tmp_path: Path, data: Data) -> None:
    folder = a_copy(trained, "done", tmp_path)
    (folder / "checkpoint.pt").unlink()
    (folder / "config.yaml").write_text("nonsense")
    note, outcome = train_stack([planned()], [RunFolder(folder)], data, CPU)
    assert outcome == Ended(0, "done") and "config.yaml.damaged-1" in notes_of([note])[0]
    assert table(folder) == table(trained / "done")


@pytest.mark.parametrize("damaged", ["epochs.csv", "run.json"])
def test_a_result_that_cannot_be_made_good_is_kept_beside_the_run_that_is_trained_anew(
    damaged: str, trained: Path, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_copy(trained, "done", tmp_path)
    (folder / damaged).write_bytes(a_digit((folder / damaged).read_bytes()))
    before = content_of(folder)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "another")
        outcome, said, epochs = train(folder, data)
    assert (outcome, epochs) == (Ended(0, "done"), 3)
    assert "is begun anew" in said[-1]
    for name, content in before.items():
        kept = f"{name}.damaged-1" if name == damaged else f"{name}.before-1"
        assert (folder / kept).read_bytes() == content and kept in "".join(said)


def test_a_result_stays_where_a_training_that_would_mend_it_cannot_begin(
    trained: Path, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*arguments: object) -> None:
        raise MemoryError("no room")

    folder = a_copy(trained, "done", tmp_path)
    (folder / "epochs.csv").write_bytes(cut((folder / "epochs.csv").read_bytes()))
    before = content_of(folder)
    monkeypatch.setattr(checkpoint.State, "fresh", no_room)
    assert train(folder, data)[0] == Ended(0, "failed", "MemoryError: no room")
    assert content_of(folder) == before


def test_what_was_never_finished_is_trained_anew_without_a_word(
    trained: Path, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    monkeypatch.setattr(torch, "__version__", "another")
    assert train(folder, data) == (Ended(0, "done"), [], 3)
    assert set(content_of(folder)) == {"checkpoint.pt", "config.yaml", "epochs.csv", "run.json"}


def test_what_was_set_aside_before_is_not_overwritten(trained: Path, tmp_path: Path, data: Data) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    for harm in (b"one", b"two"):
        (folder / "checkpoint.pt").write_bytes(harm)
        train(folder, data)
        (folder / "run.json").unlink()
    kept = [path.read_bytes() for path in sorted(folder.glob("checkpoint.pt.damaged-*"))]
    assert kept == [b"one", b"two"]


def test_rows_past_the_checkpoint_may_be_torn_or_nonsense_and_are_no_damage(
    trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    with open(folder / "epochs.csv", "ab") as file:
        file.write(b"3,0.5,\0\0\0\n4,0.")
    assert train(folder, data)[1:] == ([], 1)
    assert table(folder) == table(trained / "done")


def test_in_a_stack_each_run_with_a_damaged_file_is_named(trained: Path, tmp_path: Path, data: Data) -> None:
    runs = [planned(seed=seed) for seed in range(2)]
    folders = [RunFolder(tmp_path / str(seed)) for seed in range(2)]
    news = train_stack(runs, folders, data, CPU)
    for _ in range(2):
        next(news)
    news.close()
    folders[1].checkpoint.write_bytes(b"nonsense")
    events = list(train_stack(runs, folders, data, CPU))
    (note,) = [event for event in events if isinstance(event, Note)]
    assert note.task == 1 and "checkpoint.pt.damaged-1" in note.text
    assert {event for event in events if isinstance(event, Ended)} == {Ended(0, "done"), Ended(1, "done")}


def test_any_changed_bit_of_a_sealed_file_is_found() -> None:
    content = sealed_json({"schema": 1, "status": "done", "last": {"epoch": 5, "loss": 0.25}, "why": None})
    assert read_json(content, 1)["last"] == {"epoch": 5, "loss": 0.25}
    draw = random.Random(0)
    for _ in range(300):
        at = draw.randrange(len(content))
        changed = content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]
        try:
            read = read_json(changed, 1)
        except ValueError:
            continue
        # what passes has lost its seal, not its content
        assert {key: read[key] for key in ("schema", "status", "last", "why")} == {
            "schema": 1,
            "status": "done",
            "last": {"epoch": 5, "loss": 0.25},
            "why": None,
        }


def test_any_changed_bit_of_a_checkpoint_is_found(trained: Path, tmp_path: Path) -> None:
    folder = RunFolder(a_copy(trained, "done", tmp_path))
    content = folder.checkpoint.read_bytes()
    draw = random.Random(0)
    places = [*draw.sample(range(len(content)), 60), *range(len(content) - 73, len(content))]
    for at in places:
        folder.checkpoint.write_bytes(content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :])
        with pytest.raises(Damaged):
            checkpoint.read(folder)


def test_a_sealed_checkpoint_is_still_one_that_torch_reads(trained: Path) -> None:
    content = (trained / "done" / "checkpoint.pt").read_bytes()
    assert is_sealed(content)
    assert torch.load(trained / "done" / "checkpoint.pt", weights_only=True)["schema"] == 1


def test_a_comparison_names_a_changed_figure_and_leaves_its_run_out(tmp_path: Path, data: Data) -> None:
    for seed in range(3):
        train(tmp_path / "study" / f"seed={seed}-0000000{seed}", data, planned(seed=seed))
    harmed = tmp_path / "study" / "seed=1-00000001"
    (harmed / "epochs.csv").write_bytes(a_digit((harmed / "epochs.csv").read_bytes()))
    result = compare("study", tmp_path)
    assert list(result.arms["n"]) == [2]
    assert any("seed 1 left out" in note and "epochs.csv is damaged" in note for note in result.notes)


# study.json


@pytest.mark.parametrize("harm", [lambda _: b"", lambda _: b"[]", lambda _: b"\xff", cut, a_digit])
def test_a_damaged_study_is_named_by_a_comparison_and_made_anew_by_training(harm: Harm, tmp_path: Path) -> None:
    said: dict[str, Any] = {"published": {"source": "a book", "loss": [0.5, 0.25, 0.125, 0.0625]}}
    assert write_study(tmp_path, "study", said) is None
    path = tmp_path / "study" / "study.json"
    whole = path.read_bytes()
    path.write_bytes(harm(whole))
    with pytest.raises(Damaged, match=r"study\.json is damaged"):
        read_study(RunFolder(tmp_path / "study" / "cell-00000000"))
    assert "study.json.damaged-1" in str(write_study(tmp_path, "study", said))
    assert path.read_bytes() == whole
    assert (tmp_path / "study" / "study.json.damaged-1").read_bytes() == harm(whole)


# Other versions


def unsealed_json(path: Path) -> None:
    """As it was written before there were seals."""
    content = json.loads(path.read_bytes())
    del content["sha256"]
    content.pop("files", None)
    path.write_text(json.dumps(content, indent=2) + "\n")


def as_before(folder: Path) -> None:
    """The run as a version without schema in its checkpoint and without checksums has written it."""
    unsealed_json(folder / "run.json")
    saved = torch.load(folder / "checkpoint.pt", weights_only=True)
    torch.save({key: value for key, value in saved.items() if key not in ("schema", "table")}, folder / "checkpoint.pt")


def test_a_run_of_an_earlier_version_goes_on(trained: Path, tmp_path: Path, data: Data) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    as_before(folder)
    assert not is_sealed((folder / "checkpoint.pt").read_bytes())
    assert train(folder, data) == (Ended(0, "done"), [], 1)
    assert table(folder) == table(trained / "done")


def test_a_finished_run_of_an_earlier_version_is_done(trained: Path, tmp_path: Path, data: Data) -> None:
    folder = a_copy(trained, "done", tmp_path)
    as_before(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert train(folder, data) == (Ended(0, "done"), [], 0)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    saved = checkpoint.read(RunFolder(folder))
    assert saved is not None and saved["epoch"] == 3


@pytest.mark.parametrize("name", ["run.json", "checkpoint.pt"])
def test_a_run_of_a_later_version_is_refused_and_left_as_it_is(
    name: str, trained: Path, tmp_path: Path, data: Data
) -> None:
    folder = a_copy(trained, "interrupted", tmp_path)
    if name == "run.json":
        (folder / name).write_bytes(json.dumps({"schema": 2, "state": "paused", "sha256": "of another kind"}).encode())
    else:
        saved = io.BytesIO()
        torch.save({**torch.load(folder / name, weights_only=True), "schema": 2}, saved)
        (folder / name).write_bytes(sealed(saved.getvalue()))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    outcome, said, epochs = train(folder, data)
    assert outcome.status == "failed" and said == [] and epochs == 0
    assert outcome.why == f"{folder / name} is of a later version of dropexp; use that, or another --runs-dir"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def a_later_schema(content: bytes) -> bytes:
    return content.replace(b'"schema": 1', b'"schema": 9')


def test_a_flipped_schema_is_damage_and_no_later_version(trained: Path, tmp_path: Path, data: Data) -> None:
    folder = a_copy(trained, "done", tmp_path)
    (folder / "run.json").write_bytes(a_later_schema((folder / "run.json").read_bytes()))
    assert RunFolder(folder).status() == "broken"
    outcome, said, epochs = train(folder, data)
    assert (outcome, epochs) == (Ended(0, "done"), 0)
    assert len(said) == 1 and "run.json.damaged-1" in said[0]


def test_a_sealed_file_of_a_later_version_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "study" / "study.json"
    path.parent.mkdir()
    path.write_bytes(sealed_json({"schema": 9, "said": {}}))
    assert "is of a later version of dropexp" in str(write_study(tmp_path, "study", {"published": {"loss": [2.0]}}))
    assert path.read_bytes() == sealed_json({"schema": 9, "said": {}})


def test_a_study_of_an_earlier_version_is_read_and_of_a_later_one_left_as_it_is(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "study" / "cell-00000000")
    write_study(tmp_path, "study", {"published": {"loss": [1.0]}})
    path = tmp_path / "study" / "study.json"
    unsealed_json(path)
    assert read_study(run)["published"] == {"loss": [1.0]}
    path.write_text('{"schema": 2, "said": {}}')
    with pytest.raises(NewerRun):
        read_study(run)
    for said in ({"published": {"loss": [2.0]}}, {}):
        assert "is of a later version of dropexp" in str(write_study(tmp_path, "study", said))
    assert path.read_text() == '{"schema": 2, "said": {}}'


# As a user meets it

TINY = "name: tiny\ntask: linear-regression\nepochs: 3\nmatrix:\n  variant: [scratch]\n  seed: 0..3\n"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_command_names_what_is_damaged_and_leaves_other_runs_alone(jobs: str, command: Command) -> None:
    config = command.write("tiny.yaml", TINY + "published: {loss: [1]}\n")
    command("train", "-c", config, "--jobs", "1", "-q")
    whole = command.tables()
    one, two, *others = sorted((command.folder / "runs" / "tiny").glob("*seed=*"))
    before = [(path / "run.json").stat().st_mtime_ns for path in others]
    (one / "epochs.csv").write_bytes(a_digit((one / "epochs.csv").read_bytes()))
    (two / "run.json").write_bytes(b"{")
    (one.parent / "study.json").write_bytes(b"{")
    done = command("train", "-c", config, "--jobs", jobs, "-q")
    for place in (one / "epochs.csv", two / "run.json", one.parent / "study.json"):
        assert f"{place.relative_to(command.folder)} was damaged" in done.stderr
    assert f"{one.relative_to(command.folder) / 'epochs.csv'} is begun anew" in done.stderr
    assert len(done.stderr.splitlines()) == 4
    assert command.tables() == whole
    assert [(path / "run.json").stat().st_mtime_ns for path in others] == before
    assert command("train", "-c", config, "-q").stderr == ""
    (two / "run.json").write_bytes(b"{")
    assert "run.json is damaged" in command("evaluate", two.name, code=5).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes among its files")
@pytest.mark.parametrize("name", FILES)
def test_a_pipe_in_place_of_a_file_is_not_waited_for(name: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    readers: dict[str, Callable[[], object]] = {
        "run.json": folder.read_info,
        "epochs.csv": folder.table,
        "checkpoint.pt": lambda: checkpoint.read(folder),
    }
    os.mkfifo(tmp_path / name)
    with pytest.raises(RunError, match=f"{name} is no file"):
        readers[name]()


def test_settings_that_are_not_those_of_the_folder_s_hash_are_damage(trained: Path, tmp_path: Path, data: Data) -> None:
    folder = a_copy(trained, "done", tmp_path)
    info = RunFolder(folder).read_info()
    wrong: list[dict[str, Any]] = [{}, info["settings"] | {"lr": 7.0}]
    for settings in wrong:
        RunFolder(folder).write_info(info | {"settings": settings})
        assert RunFolder(folder).status(planned().has) == "broken"
        assert train(folder, data)[0] == Ended(0, "done")
        assert table(folder) == table(trained / "done")
        assert RunFolder(folder).status(planned().has) == "done"


def test_what_torch_warns_of_in_a_checkpoint_of_an_earlier_version_reaches_no_terminal(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    torch.save({"epoch": 1, "identity": {}}, folder.checkpoint)
    content = folder.checkpoint.read_bytes()
    assert content.count(b"\x80\x02}") == 1
    folder.checkpoint.write_bytes(content.replace(b"\x80\x02}", b"\x80\x03}"))  # another protocol, which torch warns of
    assert checkpoint.read(folder) == {"epoch": 1, "identity": {}}  # a warning is an error in these tests


def fields(tree: Any) -> list[tuple[Any, ...]]:
    """The way to every value in nested mappings and lists, by their keys."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [way for key, value in items for way in ((key,), *((key, *rest) for rest in fields(value)))]


@pytest.mark.parametrize("variant", ["scratch", "nn"])
@pytest.mark.parametrize("task", ["classification", "linear-regression"])
def test_a_checkpoint_with_any_field_gone_or_of_another_kind_changes_no_number(
    task: str, variant: str, tmp_path: Path, data: Data
) -> None:
    run = planned(variant=variant, momentum=0.9, weight_decay=1e-4, epochs=2)
    if task == "linear-regression":
        config = {"task": task, "variant": variant, "weight_decay": 3, "epochs": 2}
        run = replace(run, config=Config.model_validate(config))
    train(tmp_path / "done", data, run)
    rows = train_run(run, RunFolder(tmp_path / "interrupted"), data, CPU)
    next(rows)
    rows.close()
    whole = torch.load(tmp_path / "interrupted" / "checkpoint.pt", weights_only=True)
    for *way, last in fields(whole):
        for other in (None, "x", 0.5, torch.zeros(3)):  # None: it is gone
            changed = deepcopy(whole)
            place = functools.reduce(operator.getitem, way, changed)
            if other is None:
                del place[last]
            else:
                place[last] = other
            file = io.BytesIO()
            torch.save(changed, file)
            folder = a_copy(tmp_path, "interrupted", tmp_path / "changed")
            (folder / "checkpoint.pt").write_bytes(sealed(file.getvalue()))  # so that no seal tells
            outcome, said, _ = train(folder, data, run)
            assert outcome == Ended(0, "done"), (way, last, other, outcome)
            assert table(folder) == table(tmp_path / "done"), (way, last, other, said)
            assert same(saved(folder), saved(tmp_path / "done")), (way, last, other, said)
            shutil.rmtree(folder)
