"""Any contents of a folder of runs, and any options: the commands that read runs report what is wrong with one run.

One run or study.json is corrupted: the output names it or is unchanged, and the other runs are reported as before.
"""

from __future__ import annotations

import html
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from helpers.fake_runs import declare, write_predictions, write_run
from helpers.synthetic import write_synthetic
from hypothesis import given
from hypothesis import strategies as st

from dropexp.config.schema import Config
from dropexp.data import fashion_mnist
from dropexp.files import add_checksum, sha256
from dropexp.lock import LOCK
from dropexp.runs.folder import CHECKPOINT, CONFIG, EPOCHS, PREDICTIONS, RUN, RunFolder
from dropexp.runs.metrics import METRICS
from dropexp.runs.predictions import decode
from dropexp.runs.record import read_runs
from dropexp.runs.study_file import STUDY, read_study
from dropexp.training.checkpoint import TrainingState
from dropexp.training.snapshots import BestNetwork, Kept
from fuzz.inputs import HOSTILE, altered, as_checked_json, as_json, changed, odd, texts, words
from fuzz.sandbox import Result, Sandbox, sandbox

PUBLISHED: dict[str, Any] = {
    "arm": "nn",
    "source": "a book",
    "loss": [0.5, 0.4],
    "test_acc": [0.8, 0.82],
    "w_norm": {"nn": 1.5},
}
TINY: dict[str, Any] = {"hidden": [4], "drop_probs": [0.5]}
BESIDE = f"../{STUDY}"  # as a run's folder sees it


def _study(runs: Path) -> RunFolder:
    """Write a study of two arms with two seeds each and published figures; return the run that tests corrupt."""
    for variant in ("none", "nn"):
        for seed in range(2):
            run = write_run(runs, variant, seed, 0.8 + seed / 100, probed={"w1_norm": 2.0}, **TINY)
            write_predictions(run, 1, 2, images=20, seed=seed)
    arms = {run.arm_digest: [0] for run in read_runs((), runs)}  # so that there is a note on the other seed
    configs = [{"file": "../../dropout.yaml", "seeds": arms, "published": PUBLISHED}]
    declare(runs, "dropout", {"configs": configs})
    victim = RunFolder(next(runs.glob("dropout/variant=nn,seed=0-*")))
    info = victim.read_info()
    state = TrainingState.fresh(Config.model_validate(info.config), torch.device("cpu"), stacked=False)
    content = (victim.path / PREDICTIONS).read_bytes()
    state.kept = Kept(BestNetwork(1, state.network.state()), content, decode(victim.path, content))
    victim.checkpoint.write_bytes(state.to_bytes({}, info.table or {}))
    return victim


def _as_checkpoint(saved: Any) -> bytes:
    file = io.BytesIO()
    torch.save(saved, file)
    return file.getvalue()


@pytest.fixture(scope="session", autouse=True)
def _remove_root() -> Iterator[None]:
    yield
    shutil.rmtree(ROOT)


ROOT = Path(tempfile.mkdtemp(prefix="dropexp-fuzz-study-"))
DATA, STUDY_OF_TWO = ROOT / "data", ROOT / "runs"
CHECKSUMS = write_synthetic(DATA, train=60, test=20)
CORRUPTED = _study(STUDY_OF_TWO)
VICTIM = CORRUPTED.path.relative_to(STUDY_OF_TWO)
FILES = {path.relative_to(STUDY_OF_TWO): path.read_bytes() for path in STUDY_OF_TWO.glob("*/*/*")}
OTHERS = {path: content for path, content in FILES.items() if path.parent != VICTIM}

INFO = CORRUPTED.read_info().model_dump(by_alias=True, mode="json")
DECLARED: dict[str, Any] = {"schema": 2, "configs": [one.model_dump() for one in read_study(CORRUPTED)]}
CHECKPOINT_FIELDS = torch.load(CORRUPTED.checkpoint, weights_only=True)

COMPARE = ("compare", "--format=json")
RUNS = ("runs", "--format=json")
PRUNE = ("runs", "--prune", "--yes", "--format=json")
EXPORT = ("export", "--to=tensorboard", "-o", "events")
EVALUATE = ("evaluate", VICTIM.as_posix(), "--mc=2", "--rotate=9", "--images=0", "--format=json", f"--data-dir={DATA}")
COMMANDS = [
    COMPARE,
    ("compare",),
    ("compare", "--format=csv", "--metric=w1_norm"),
    ("compare", "--by=lr", "--at=best-test", "--published"),
    ("compare", "--filter=lr=0.5", "--require=nn.test_acc >= 0.5"),
    RUNS,
    ("runs",),
    PRUNE,
    ("runs", "--prune"),
    EXPORT,
    EVALUATE,
]
commands = st.sampled_from(COMMANDS)


@contextmanager
def a_study() -> Iterator[tuple[Sandbox, Path]]:
    """A sandbox with a study, and the folder of one of its runs."""
    with sandbox() as box:
        shutil.copytree(STUDY_OF_TWO, box.runs, dirs_exist_ok=True)
        yield box, box.runs / VICTIM


def read(box: Sandbox, target: str, command: tuple[str, ...]) -> Result:
    """Run a command; the files of the other runs must be unchanged."""
    with patch.object(fashion_mnist, "load", partial(fashion_mnist.load, checksums=CHECKSUMS)):
        result = box.run(target, *command, may_write=("events",))
    assert result.code != 0 or result.out or "--prune" in command
    assert all((box.runs / path).read_bytes() == content for path, content in OTHERS.items())
    return result


@cache
def intact(command: tuple[str, ...]) -> Result:
    """Run a command on the intact study."""
    with a_study() as (box, _):
        return read(box, "nothing odd", command)


def others(command: tuple[str, ...], result: Result) -> list[dict[str, Any]]:
    """Return the rows of the intact runs from JSON output; [] for other commands."""
    if command == COMPARE:
        arms = json.loads(result.out)["arms"]
        rows = [arm for arm in arms if arm["n"] == 2 and arm["arm"].split(",")[-1] in ("none", "variant=none")]
    elif command == RUNS:
        rows = [run for run in json.loads(result.out) if not run["path"].endswith(VICTIM.name)]
    else:
        return []
    return [{key: row.get(key) for key in (*METRICS, "path", "status", "n", "mean", "sd", "curve")} for row in rows]


def read_corrupted(box: Sandbox, target: str, command: tuple[str, ...]) -> Result:
    """Read a study with a corrupted run; the rows of the other runs must be unchanged."""
    result = read(box, target, command)
    assert "\x1b" not in result.out + result.err  # which starts control sequences of terminals
    if "runs of different tasks cannot be compared" not in result.err:  # then there is no other output
        assert others(command, result) == others(command, intact(command))
    return result


def is_named_or_changes_nothing(name: str, command: tuple[str, ...], result: Result) -> bool:
    sign = STUDY if name == BESIDE else VICTIM.name
    if command in (RUNS, ("runs",)):  # which list its path in any case
        sign = "corrupted" if "corrupted" in result.out + result.err else "unreadable"
    return result == intact(command) or sign in result.out + result.err


def check_corrupted(target: str, name: str, content: bytes, command: tuple[str, ...]) -> None:
    """Run the command on a study in which a file with a checksum has another content."""
    with a_study() as (box, victim):
        (victim / name).write_bytes(content)
        result = read_corrupted(box, target, command)
        assert result.code == 0 or command == EVALUATE
        assert is_named_or_changes_nothing(name, command, result)


def check_rewritten(target: str, name: str, content: bytes, command: tuple[str, ...]) -> None:
    """Run the command on a study in which a file has another content with the right checksum."""
    with a_study() as (box, victim):
        (victim / name).write_bytes(content)
        read_corrupted(box, target, command)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command)[:40])
def test_without_any_corruption_every_run_counts(command: tuple[str, ...]) -> None:
    assert intact(command).code == 0
    if command == COMPARE:
        assert [arm["n"] for arm in json.loads(intact(command).out)["arms"]] == [2, 2]
    if command == RUNS:
        assert [run["status"] for run in json.loads(intact(command).out)] == ["done"] * 4


@given(st.binary(max_size=300) | changed(FILES[VICTIM / RUN]), commands)
def test_any_bytes_in_run_json(content: bytes, command: tuple[str, ...]) -> None:
    check_corrupted("run.json", RUN, content, command)


@given(altered(INFO).map(as_checked_json) | changed(as_json(INFO)), commands)
def test_any_field_of_run_json(content: bytes, command: tuple[str, ...]) -> None:
    check_rewritten("run.json", RUN, content, command)


@given(st.binary(max_size=300) | changed(FILES[VICTIM / EPOCHS]), commands)
def test_any_bytes_in_a_table_change_nothing(content: bytes, command: tuple[str, ...]) -> None:
    with a_study() as (box, victim):
        (victim / EPOCHS).write_bytes(content)
        assert read_corrupted(box, "epochs.csv", command) == intact(command)


@given(st.binary(max_size=300) | changed(FILES[VICTIM / EPOCHS]), commands)
def test_any_bytes_in_the_table_of_an_unfinished_run(content: bytes, command: tuple[str, ...]) -> None:
    with a_study() as (box, victim):
        (victim / RUN).write_bytes(as_checked_json(INFO | {"status": "failed", "table": None}))
        (victim / EPOCHS).write_bytes(content)
        read_corrupted(box, "epochs.csv", command)


cells = st.sampled_from(["nan", "inf", "-inf", 1e308, -1e308, 5e-324, 2.0**128, "x", None, 10**400]) | st.floats(0, 1)


@given(st.lists(st.lists(cells, min_size=2, max_size=2), min_size=9, max_size=9), commands)
def test_any_figures_in_the_table(columns: list[list[Any]], command: tuple[str, ...]) -> None:
    table = dict(zip(INFO["table"], columns, strict=True))
    check_rewritten("figures", RUN, as_checked_json(INFO | {"table": table}), command)


@given(st.sampled_from(["test_acc", "w1_norm", "seconds"]), texts | st.sampled_from(["arm", "mean", "epoch"]), commands)
def test_any_column_in_the_table(old: str, new: str, command: tuple[str, ...]) -> None:
    table = {new if name == old else name: figures for name, figures in INFO["table"].items()}
    check_rewritten("columns", RUN, as_checked_json(INFO | {"table": table}), command)


@given(st.binary(max_size=300) | changed(FILES[VICTIM / PREDICTIONS]), commands)
def test_any_bytes_in_predictions(content: bytes, command: tuple[str, ...]) -> None:
    check_corrupted("predictions.npz", PREDICTIONS, content, command)


@given(st.binary(max_size=300) | changed(FILES[VICTIM / PREDICTIONS]))
def test_any_bytes_in_predictions_with_the_right_checksum(content: bytes) -> None:
    with a_study() as (box, victim):
        (victim / PREDICTIONS).write_bytes(content)
        (victim / RUN).write_bytes(as_checked_json(INFO | {"predictions_sha256": sha256(content)}))
        read_corrupted(box, "predictions.npz", COMPARE)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a checkpoint, which a failure shows whole
@given(st.binary(max_size=100) | changed(FILES[VICTIM / CHECKPOINT]))
def test_any_bytes_in_a_checkpoint(content: bytes) -> None:
    check_corrupted("checkpoint.pt", CHECKPOINT, content, EVALUATE)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a checkpoint, which a failure shows whole
@given(changed(_as_checkpoint(CHECKPOINT_FIELDS)))
def test_any_bytes_in_a_checkpoint_with_the_right_checksum(content: bytes) -> None:
    check_rewritten("checkpoint.pt", CHECKPOINT, add_checksum(content), EVALUATE)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a checkpoint, which a failure shows whole
@given(altered(CHECKPOINT_FIELDS).map(_as_checkpoint), st.sampled_from(["last", "best-val"]))
def test_any_field_of_a_checkpoint(content: bytes, at: str) -> None:
    check_rewritten("checkpoint.pt", CHECKPOINT, add_checksum(content), (*EVALUATE, f"--at={at}"))


@given(st.binary(max_size=100) | changed((STUDY_OF_TWO / "dropout" / STUDY).read_bytes()), commands)
def test_any_bytes_in_study_json(content: bytes, command: tuple[str, ...]) -> None:
    check_corrupted("study.json", BESIDE, content, command)


@given(altered(DECLARED).map(as_checked_json) | changed(as_json(DECLARED)), commands)
def test_any_field_of_study_json(content: bytes, command: tuple[str, ...]) -> None:
    check_rewritten("study.json", BESIDE, content, command)


@given(st.sampled_from(list(PUBLISHED)), odd, commands)
def test_any_published_figure_in_study_json(key: str, value: Any, command: tuple[str, ...]) -> None:
    (own,) = DECLARED["configs"]
    content = as_checked_json(DECLARED | {"configs": [own | {"published": PUBLISHED | {key: value}}]})
    check_rewritten("study.json", BESIDE, content, command)


SCRIPT = "</script><script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"provenance": {"began": 5}}, f"{VICTIM}/run.json is corrupted"),
        ({"provenance": {"threads": [SCRIPT]}}, SCRIPT),
        ({"provenance": {"cpu": SCRIPT}}, SCRIPT),
        ({"provenance": {"ended": "2" * 10_000}}, "2" * 10_000),
        ({"config": INFO["config"] | {"lr": IMAGE}, "settings": INFO["settings"] | {"lr": IMAGE}}, f"nn,lr={IMAGE}"),
        ({"status": "failed", "table": None, "why": f"\x9b\x1b[31m{SCRIPT}"}, f"\ufffd\ufffd[31m{SCRIPT}"),
        ({"arm": "../../evil", "settings": INFO["settings"] | {"lr": 9}}, "../../evil"),
    ],
)
def test_a_report_shows_odd_values_as_text(change: dict[str, Any], shown: str) -> None:
    with a_study() as (box, victim):
        (victim / RUN).write_bytes(as_checked_json(INFO | change))
        result = box.run("report", "report", "-o", "pages/report.html", may_write=("pages",))
        page = (box.cwd / "pages" / "report.html").read_text(encoding="utf-8")
        assert result.code == 0 and html.escape(shown) in page
        assert "<script>alert" not in page and "<img src=x" not in page


LINKS = {"link to nothing": "nowhere", "link to itself": "{name}", "link away": "{root}"}
PIPE = pytest.param(
    "named pipe", marks=pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
)


@pytest.mark.parametrize("name", [RUN, EPOCHS, CONFIG, PREDICTIONS, CHECKPOINT, LOCK, BESIDE])
@pytest.mark.parametrize("kind", ["folder", "gone", "empty", PIPE, *LINKS])
def test_a_link_folder_or_pipe_in_place_of_a_file(name: str, kind: str) -> None:
    for command in (COMPARE, RUNS, PRUNE, EVALUATE):
        with a_study() as (box, victim):
            path = victim / name
            path.unlink(missing_ok=True)
            if kind == "folder":
                path.mkdir()
            elif kind == "empty":
                path.touch()
            elif kind == "named pipe" and sys.platform != "win32":
                os.mkfifo(path)
            elif kind in LINKS:
                path.symlink_to(LINKS[kind].format(name=path.name, root=box.root))
            result = read_corrupted(box, "odd files", command)
            assert not path.exists() or is_named_or_changes_nothing(name, command, result)


# Options, with intact runs

keys = st.sampled_from(["lr", "seed", "arm", "hidden", "task", "drop_epochs", "name", "x", " lr "])


@pytest.mark.parametrize(
    ("option", "called"),
    [("--by", "arms"), ("--metric", "metric"), ("--at", "epoch"), ("--baseline", "baseline"), ("--margin", "margin")],
)
@given(text=words | keys)
def test_any_text_for_an_option(option: str, called: str, text: str) -> None:
    with a_study() as (box, _):
        result = read(box, option, ("compare", f"{option}={text}"))
        assert result.code == 0 or (result.code == 2 and called in result.err)


@given(keys, words | odd.map(str).filter(lambda text: "\0" not in text))
def test_any_filter(key: str, value: str) -> None:
    with a_study() as (box, _):
        for command in ("compare", "runs"):
            result = read(box, "--filter", (command, f"--filter={key}={value}", "--format=json"))
            assert result.code in (0, 5) or (result.code == 2 and "--filter" in result.err)


parts = st.sampled_from(
    ["nn", "none", "x", ".", "test_acc", "seconds", ">=", "<", "==", " ", "0.5", "-1", "1e9", "1e999"]
)


@given(st.lists(parts | texts, max_size=8).map("".join).filter(lambda text: "\0" not in text))
def test_any_requirement(requirement: str) -> None:
    with a_study() as (box, _):
        result = read(box, "--require", ("compare", f"--require={requirement}"))
        assert result.code in (0, 1) or (result.code == 2 and repr(requirement) in result.err)


@pytest.mark.parametrize(
    "requirement",
    [" " * 100_000 + "x", "." * 100_000, "a." * 50_000, "nn.test_acc >= " + "1" * 100_000 + "x"],
    ids=lambda text: text.strip()[:10],
)
def test_a_requirement_of_a_hundred_thousand_characters(requirement: str) -> None:
    with a_study() as (box, _):
        assert read(box, "--require", ("compare", f"--require={requirement}")).code == 2


@given(st.lists(words.filter(lambda word: not word.startswith("-")), max_size=2))
def test_any_names_of_runs(names: list[str]) -> None:
    with a_study() as (box, _):
        for command in ("runs", "compare"):
            read(box, "names", (command, *names))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets no folder have such a name")
def test_names_of_folders_are_only_text() -> None:
    """A folder of any name is listed, without control characters of its name."""
    for name in filter(None, HOSTILE):
        with a_study() as (box, victim):
            if "/" in name or "\0" in name or "\ud800" in name or len(name.encode("utf-8", "surrogateescape")) > 250:
                continue
            if name in (".", ".."):
                continue
            (victim / RUN).write_text("{")  # so that messages name it too
            victim.rename(victim.with_name(name))
            for command in (("runs",), ("runs", "--format=md"), ("runs", "--prune"), ("compare",)):
                result = box.run("names", *command)
                assert result.code == 0 and "\x1b" not in result.out + result.err
