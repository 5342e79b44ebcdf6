"""Whatever stands in a folder of runs, and whatever is asked of it, the commands that read runs answer."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_runs import publish, write_run
from hypothesis import given
from hypothesis import strategies as st

from dropexp.lock import LOCK
from dropexp.runs import CHECKPOINT, CONFIG, EPOCHS, RUN
from dropexp.studyfile import STUDY
from fuzz.asked import Answer, Place, a_place
from fuzz.inputs import HOSTILE, altered, as_json, changed, odd, texts, words

PUBLISHED: dict[str, Any] = {
    "arm": "nn",
    "source": "a book",
    "loss": [0.5, 0.4],
    "test_acc": [0.8, 0.82],
    "w_norm": {"nn": 1.5},
}


def _study() -> Path:
    """A study of two arms with two seeds each, what was published beside it."""
    runs = Path(tempfile.mkdtemp(prefix="dropexp-fuzz-study-"))
    for variant in ("none", "nn"):
        for seed in range(2):
            write_run(runs, variant, seed, 0.8 + seed / 100, probed={"w1_norm": 2.0})
    publish(runs, **PUBLISHED)
    return runs


@pytest.fixture(scope="session", autouse=True)
def _study_is_removed() -> Iterator[None]:
    yield
    shutil.rmtree(STUDY_OF_TWO)


STUDY_OF_TWO = _study()
VICTIM = next(STUDY_OF_TWO.glob("dropout/variant=nn,seed=0-*")).relative_to(STUDY_OF_TWO)
INFO = json.loads((STUDY_OF_TWO / VICTIM / RUN).read_bytes())
TABLE = (STUDY_OF_TWO / VICTIM / EPOCHS).read_bytes()
SAID = json.loads((STUDY_OF_TWO / "dropout" / STUDY).read_bytes())

COMMANDS = [
    ("compare",),
    ("compare", "--format=json"),
    ("compare", "--format=csv", "--metric=w1_norm"),
    ("compare", "--by=lr", "--at=best-test", "--published"),
    ("compare", "--filter=lr=0.5", "--require=nn.test_acc >= 0.5"),
    ("runs",),
    ("runs", "--format=json"),
    ("export", "--to=tensorboard", "-o", "events"),
]
commands = st.sampled_from(COMMANDS)


@contextmanager
def a_study() -> Iterator[tuple[Place, Path]]:
    """A place with a study in it, and the folder of one of its runs."""
    with a_place() as place:
        shutil.copytree(STUDY_OF_TWO, place.runs, dirs_exist_ok=True)
        yield place, place.runs / VICTIM


def read(place: Place, target: str, command: tuple[str, ...]) -> Answer:
    answer = place.ask(target, *command, may_write=("events",))
    assert answer.code != 0 or answer.out
    return answer


def damaged(target: str, name: str, content: bytes, command: tuple[str, ...]) -> None:
    with a_study() as (place, victim):
        (victim / name).write_bytes(content)
        answer = read(place, target, command)
        assert "\x1b" not in answer.out + answer.err  # what a terminal would obey


@given(st.binary(max_size=300) | changed(as_json(INFO)), commands)
def test_any_bytes_in_run_json(content: bytes, command: tuple[str, ...]) -> None:
    damaged("run.json", RUN, content, command)


@given(altered(INFO), commands)
def test_any_field_of_run_json(info: Any, command: tuple[str, ...]) -> None:
    damaged("run.json", RUN, as_json(info), command)


@given(st.binary(max_size=300) | changed(TABLE), commands)
def test_any_bytes_in_the_table(content: bytes, command: tuple[str, ...]) -> None:
    damaged("epochs.csv", EPOCHS, content, command)


cells = st.sampled_from(["", "nan", "inf", "-inf", "1e308", "-1e308", "5e-324", "9" * 400, "9" * 5000, "1e400", "x"])


@given(st.lists(st.lists(cells | st.floats(0, 1).map(str), min_size=11, max_size=12), min_size=2, max_size=2), commands)
def test_any_cells_in_the_table(rows: list[list[str]], command: tuple[str, ...]) -> None:
    header = TABLE.splitlines()[0].decode()
    lines = [header, *(",".join([str(i), *row]) for i, row in enumerate(rows, 1))]
    damaged("epochs.csv", EPOCHS, "\n".join([*lines, ""]).encode(), command)


@given(st.sampled_from(["test_acc", "w1_norm", "seconds", "epoch"]), texts | st.sampled_from(["arm", "mean"]), commands)
def test_any_column_in_the_table(old: str, new: str, command: tuple[str, ...]) -> None:
    content = TABLE.replace(old.encode(), new.encode("utf-8", "surrogatepass"), 1)
    damaged("epochs.csv", EPOCHS, content, command)


@given(st.binary(max_size=100) | altered(SAID).map(as_json) | changed(as_json(SAID)), commands)
def test_any_study_json(content: bytes, command: tuple[str, ...]) -> None:
    damaged("study.json", f"../{STUDY}", content, command)


@given(st.sampled_from(list(PUBLISHED)), odd, commands)
def test_any_published_figure_in_study_json(key: str, value: Any, command: tuple[str, ...]) -> None:
    damaged("study.json", f"../{STUDY}", as_json({"schema": 1, "published": PUBLISHED | {key: value}}), command)


def test_the_report_of_damaged_runs() -> None:
    """Slow, so a few by hand: a comparison that was made becomes a page."""
    for change in (
        {"provenance": {"began": 5, "ended": "x", "threads": ["<script>"]}},
        {"provenance": {"cpu": "</script><script>alert(1)</script>", "ended": "2" * 10_000}},
        {"config": INFO["config"] | {"mask": "<img src=x onerror=alert(1)>", "validation_size": "x"}},
        {"why": "\ud800\x1b[31m"},
        {"arm": "../../evil"},
    ):
        with a_study() as (place, victim):
            (victim / RUN).write_bytes(as_json(INFO | change))
            answer = place.ask("report", "report", "-o", "pages/report.html", may_write=("pages",))
            page = (place.cwd / "pages" / "report.html").read_text(encoding="utf-8")
            assert answer.code == 0 and "<script>alert" not in page and "<img src=x" not in page


@pytest.mark.parametrize("name", [RUN, EPOCHS, CONFIG, CHECKPOINT, LOCK, f"../{STUDY}"])
@pytest.mark.parametrize("kind", ["folder", "gone", "empty", "link to nothing", "link to itself", "link away"])
def test_a_file_that_is_something_else(name: str, kind: str) -> None:
    for command in COMMANDS:
        with a_study() as (place, victim):
            path = victim / name
            path.unlink(missing_ok=True)
            if kind == "folder":
                path.mkdir()
            elif kind == "empty":
                path.touch()
            elif kind.startswith("link"):
                path.symlink_to({"link to nothing": "nowhere", "link to itself": path.name}.get(kind, place.root))
            read(place, "odd files", command)


# What is asked of runs that are as they should be.

keys = st.sampled_from(["lr", "seed", "arm", "hidden", "task", "drop_epochs", "name", "x", " lr "])


@pytest.mark.parametrize("option", ["--by", "--metric", "--at", "--baseline", "--margin"])
@given(text=words | keys)
def test_any_text_for_an_option(option: str, text: str) -> None:
    with a_study() as (place, _):
        read(place, option, ("compare", f"{option}={text}"))


@given(keys, words | odd.map(str).filter(lambda text: "\0" not in text))
def test_any_filter(key: str, value: str) -> None:
    with a_study() as (place, _):
        for command in ("compare", "runs"):
            read(place, "--filter", (command, f"--filter={key}={value}", "--format=json"))


parts = st.sampled_from(
    ["nn", "none", "x", ".", "test_acc", "seconds", ">=", "<", "==", " ", "0.5", "-1", "1e9", "1e999"]
)


@given(st.lists(parts | texts, max_size=8).map("".join).filter(lambda text: "\0" not in text))
def test_any_requirement(requirement: str) -> None:
    with a_study() as (place, _):
        read(place, "--require", ("compare", f"--require={requirement}"))


@pytest.mark.parametrize(
    "requirement",
    [" " * 100_000 + "x", "." * 100_000, "a." * 50_000, "nn.test_acc >= " + "1" * 100_000 + "x"],
    ids=lambda text: text.strip()[:10],
)
def test_a_requirement_as_long_as_a_command_may_be(requirement: str) -> None:
    with a_study() as (place, _):
        assert read(place, "--require", ("compare", f"--require={requirement}")).code == 2


@given(st.lists(words.filter(lambda word: not word.startswith("-")), max_size=2))
def test_any_names_of_runs(names: list[str]) -> None:
    with a_study() as (place, _):
        for command in ("runs", "compare"):
            read(place, "names", (command, *names))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets no folder have such a name")
def test_names_of_folders_are_only_text() -> None:
    """A folder of any name is listed; what a terminal would obey in it is not sent there."""
    for name in filter(None, HOSTILE):
        with a_study() as (place, victim):
            if "/" in name or "\0" in name or "\ud800" in name or len(name.encode("utf-8", "surrogateescape")) > 250:
                continue
            if name in (".", ".."):
                continue
            victim.rename(victim.with_name(name))
            for command in (("compare",), ("runs",), ("runs", "--prune")):
                answer = place.ask("names", *command)
                assert "\x1b" not in answer.out + answer.err
