"""Plugins: a file that registers a noise, and everything that can be wrong with it."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from helpers.command import Command
from helpers.in_process import InProcess

from dropexp import interrupts, load_plugin, register
from dropexp.config import plugins
from dropexp.config.digests import digest
from dropexp.config.planned_run import PlannedRun
from dropexp.config.plugins import files_of
from dropexp.config.schema import Config
from dropexp.config.variant_table import VARIANTS
from dropexp.errors import PluginError
from dropexp.nets.noise import Inverted
from dropexp.runs.folder import RunFolder
from dropexp.training.dispatch import execute
from dropexp.training.jobs import Job, Plan

EXAMPLE = Path(__file__).parents[3] / "examples" / "uniform_noise.py"
TRAIN = ("train", "--jobs", "1", "-c")
CONFIG = "train_size: 300\nepochs: 2\nmatrix: {variant: [none, uniform], seed: 0..1}\n"

pytestmark = pytest.mark.usefixtures("no_plugins")


def test_the_example_trains_equally_in_one_process_and_in_workers(command: Command, cli: InProcess) -> None:
    config = command.write("my.yaml", CONFIG)
    cli(*TRAIN, config, "--plugin", str(EXAMPLE))
    alone = command.tables()
    cli("train", "-c", config, "--plugin", str(EXAMPLE), "--jobs", "2", "--runs-dir", "again/runs", "-q")
    again = {path.parent.name: pd.read_csv(path) for path in command.folder.glob("again/runs/my/*/epochs.csv")}
    assert len(alone) == 4 and alone.keys() == again.keys()
    for name, table in again.items():
        assert [str(value) for value in table["test_loss"]] == [
            row[alone[name][0].index("test_loss")] for row in alone[name][1:]
        ]
    listed = command("compare", "my").stdout  # a process that loads no plugin
    assert "uniform" in listed and "none" in listed
    assert cli("compare", "-c", config, "--plugin", str(EXAMPLE)).stdout == listed


@pytest.mark.parametrize(("start", "ends"), [(b"", b"\r\n"), (codecs.BOM_UTF8, b"\n"), (codecs.BOM_UTF8, b"\r\n")])
def test_line_ends_and_a_byte_order_mark_do_not_make_another_plugin(start: bytes, ends: bytes, tmp_path: Path) -> None:
    load_plugin(EXAMPLE)
    digest = VARIANTS["uniform"].plugin
    (copy := tmp_path / "copy.py").write_bytes(start + EXAMPLE.read_bytes().replace(b"\n", ends))
    VARIANTS.pop("uniform")
    load_plugin(copy)
    assert VARIANTS["uniform"].plugin == digest


def test_the_registered_noise_is_used(cli: InProcess) -> None:
    zeros = EXAMPLE.read_text(encoding="utf-8").replace("return 1 + width", "return 0 * width")
    cli.write("zeros.py", zeros)
    cli(*TRAIN, cli.write("my.yaml", CONFIG), "--plugin", "zeros.py", "-q")
    (found,) = cli.folder.glob("runs/my/*uniform,seed=0*/epochs.csv")
    table = pd.read_csv(found)
    assert (table["train_loss"] > 2.2).all()  # only biases reach the output: chance level of ten classes
    assert table["train_loss"].iloc[0] == pytest.approx(2.30, abs=0.01)


def test_a_changed_plugin_is_another_run(cli: InProcess) -> None:
    config = cli.write("my.yaml", CONFIG)
    cli.write("mine.py", EXAMPLE.read_text(encoding="utf-8"))
    cli(*TRAIN, config, "--plugin", "mine.py", "-q")
    assert "4 runs: 0 trained now, 4 before" in cli(*TRAIN, config, "--plugin", "mine.py").stderr
    cli.write("mine.py", EXAMPLE.read_text(encoding="utf-8") + "# changed\n")
    states = cli(*TRAIN, config, "--plugin", "mine.py", "--dry-run").stdout.splitlines()
    assert [line.split()[0] for line in states] == ["done", "done", "new", "new"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nowhere\n", ["mine.py:1", "nowhere"]),
        ("x = 1\nx = 1 +\n", ["mine.py:2", "SyntaxError"]),
        ("x = 1\n", ["mine.py", "registers no noise", "dropexp.register"]),
        ("import sys\nsys.exit(0)\n", ["mine.py:2", "SystemExit"]),
        (
            "from dropexp import register\n\nregister('scratch', lambda p: None)\n",
            ["mine.py:3", "'scratch' exists already"],
        ),
    ],
)
def test_a_wrong_plugin_is_reported_with_file_line_and_remedy(cli: InProcess, text: str, words: list[str]) -> None:
    cli.write("mine.py", text)
    errors = cli(*TRAIN, cli.write("my.yaml", CONFIG), "--plugin", "mine.py", code=2).stderr
    assert all(word in errors for word in words)


def test_a_changed_file_can_be_loaded_again_in_a_notebook(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    config = {"variant": "uniform"}
    seen = []
    for text in (EXAMPLE.read_text(encoding="utf-8"), EXAMPLE.read_text(encoding="utf-8") + "# changed\n"):
        file.write_text(text, encoding="utf-8")
        load_plugin(file)
        load_plugin(file)  # no effect
        seen.append(digest(Config.model_validate(config).settings("cpu")))
    assert seen[0] != seen[1]
    with pytest.raises(PluginError, match="has changed since it was loaded"):
        load_plugin(file, "00000000")
    file.write_text("1 / 0\n", encoding="utf-8")
    with pytest.raises(PluginError, match=r"mine.py:1: ZeroDivisionError"):
        load_plugin(file)
    assert digest(Config.model_validate(config).settings("cpu")) == seen[1]  # the variant is unchanged


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_plugin_in_another_encoding_is_rejected_with_its_name(encoding: str, tmp_path: Path) -> None:
    (file := tmp_path / "mine.py").write_text(EXAMPLE.read_text(encoding="utf-8"), encoding=encoding)
    with pytest.raises(PluginError, match=r"mine\.py is UTF-16; save it as UTF-8"):
        load_plugin(file)


def test_a_cycle_of_links_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.symlink_to(file)
    with pytest.raises(PluginError, match=r"mine\.py cannot be read"):
        load_plugin(file)


def test_a_plugin_that_fails_after_registering_adds_no_variant(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(EXAMPLE.read_text(encoding="utf-8") + "1 / 0\n", encoding="utf-8")
    with pytest.raises(PluginError):
        load_plugin(file)
    assert "uniform" not in VARIANTS


def test_register_is_rejected_outside_a_plugin_file() -> None:
    with pytest.raises(RuntimeError, match="load_plugin"):
        register("mine", Inverted)
    assert "mine" not in VARIANTS


def test_a_worker_rejects_a_plugin_that_changed_after_the_command_started(tmp_path: Path, real_root: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    load_plugin(file)
    runs = [PlannedRun("s", None, f"seed={s}", Config(variant="uniform", seed=s, train_size=100)) for s in (0, 1)]
    jobs = [Job(run, RunFolder(tmp_path / run.cell)) for run in runs]
    file.write_text(EXAMPLE.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    with pytest.raises(PluginError, match="has changed"):
        list(execute(jobs, Plan(real_root, plugins=files_of(["uniform"])), 2))
    assert not list(tmp_path.glob("*/epochs.csv"))


def test_a_missing_or_unnamed_plugin_is_a_usage_error(cli: InProcess) -> None:
    config = cli.write("my.yaml", CONFIG)
    assert "nowhere.py" in cli(*TRAIN, config, "--plugin", "nowhere.py", code=2).stderr
    errors = cli(*TRAIN, config, code=2).stderr
    assert "my.yaml:3" in errors and "'uniform' is not one of none, nn, scratch" in errors


def test_an_interrupt_during_the_import_of_torch_changes_no_variant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook, which continues afterwards."""
    file = tmp_path / "noise.py"
    file.write_text("import dropexp\ndropexp.register('late', lambda p: None)\n")

    @contextmanager
    def interrupted() -> Iterator[None]:
        yield
        raise KeyboardInterrupt

    monkeypatch.setattr(interrupts, "delay_interrupts", interrupted)
    before = dict(VARIANTS)
    with pytest.raises(KeyboardInterrupt):
        load_plugin(file)
    assert before == VARIANTS and plugins.loading == []
