"""What progress shows: figures of an epoch, counts and the time that is left, on terminals of several widths."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from dropexp.cli.epoch_figures import figures
from dropexp.cli.progress import counting, downloading, watching
from dropexp.cli.progress_bars import Bars
from dropexp.cli.time_left import Counts, clock_text
from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.runs.epochs_table import Row
from dropexp.runs.folder import RunFolder
from dropexp.runs.state_names import Status
from dropexp.training.events import Ended, Epoch, Event, Started
from dropexp.training.jobs import Job
from dropexp.training.pipeline import Stage

IMAGES: Row = {"train_loss": 0.51234, "train_acc": 0.8123, "val_acc": 0.8345, "test_acc": 0.8249}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (IMAGES, "loss 0.5123  train 81.2%  val 83.5%  test 82.5%"),
        (IMAGES | {"val_acc": None, "test_acc": None}, "loss 0.5123  train 81.2%"),
        ({"train_loss": 0.5, "train_acc": 0.8}, "loss 0.5000  train 80.0%"),
        ({"train_loss": 2e30, "train_acc": 0.1}, "loss 2e+30  train 10.0%"),
        ({"train_loss": 0.0123456, "test_loss": 1.5, "w_norm": 3.0}, "loss 0.01235  test 1.5"),
        ({"train_loss": None, "test_loss": None, "w_norm": 3.0}, ""),
    ],
)
def test_an_epoch_shows_the_figures_that_were_measured(row: Row, expected: str) -> None:
    assert "  ".join(figures({"epoch": 1, **row, "lr": 0.5, "seconds": 1.0})) == expected


def jobs(count: int = 3, epochs: int = 4, **changed: object) -> list[Job]:
    configs = [Config.model_validate({"variant": "nn", "epochs": epochs, "seed": i, **changed}) for i in range(count)]
    return [
        Job(PlannedRun("study", None, f"variant=nn,lr=0.5,seed={one.seed}", one), RunFolder(Path("run")))
        for one in configs
    ]


def epoch(job: int, number: int, seconds: float = 1.0) -> Epoch:
    return Epoch(job, {"epoch": number, **IMAGES, "lr": 0.5, "seconds": seconds})


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def counts_after(events: Iterable[tuple[float, Event]], jobs: list[Job]) -> Counts:
    """Return the counts after events at these times, in seconds after a start-up of ten seconds."""
    clock = Clock()
    counts = Counts(jobs, clock)
    for seconds, event in events:
        clock.now = 10 + seconds
        counts.add(event)
    return counts


def test_the_time_left_is_estimated_without_the_start_up_time() -> None:
    counts = counts_after([(0, Started(0)), (1, epoch(0, 1)), (2, epoch(0, 2))], jobs())
    assert (counts.epochs_done, counts.epochs, counts.elapsed) == (2, 12, 12)
    assert counts.left == pytest.approx(10)


def test_epochs_before_a_run_resumes_are_done_and_took_no_time() -> None:
    counts = counts_after([(1, epoch(0, 901))], jobs(1, epochs=1000))
    assert counts.epochs_done == 901
    assert counts.left == pytest.approx(99)


def test_a_run_that_stops_early_leaves_no_epochs() -> None:
    counts = counts_after([(1, epoch(0, 1)), (1, Ended(0, Status.DONE))], jobs(2))
    assert (counts.runs_done, counts.epochs_done) == (1, 4)
    assert counts.left == pytest.approx(4)


def test_an_epoch_of_more_images_takes_more_time() -> None:
    small, large = jobs(1, train_size=1000)[0], jobs(1, train_size=49_000)[0]
    counts = counts_after([(i, epoch(0, i)) for i in (1, 2, 3, 4)], [small, large])
    assert counts.left == pytest.approx(4 * 9)


def test_the_time_left_is_unknown_before_the_first_epoch() -> None:
    assert counts_after([(1, Started(0))], jobs()).left is None


def test_durations_have_hours_only_if_needed() -> None:
    assert [clock_text(seconds) for seconds in (0.4, 83, 3723)] == ["0:00", "1:23", "1:02:03"]


def drawn(width: int, bars: Bars) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, height=25, force_terminal=True, color_system=None).print(bars)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_bars_counts_and_labelled_times_fit_into_every_width(width: int) -> None:
    bars = Bars(Stage("run", jobs(), force=False))
    for event in (Started(0), Started(1), epoch(0, 1), epoch(1, 3)):
        bars.show(event)
    lines = drawn(width, bars)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for part in ("0/3 runs", "4/12 epochs", "elapsed", "left", "epoch 1/4", "epoch 3/4", "seed=0", "seed=1"):
        assert part in text
    assert all("━" in line for line in lines if "epoch" in line)
    assert ("loss 0.5123" in text, "test 82.5%" in text) == (width >= 120, width >= 60)


def test_a_terminal_of_few_lines_shows_how_many_more_runs_train() -> None:
    bars = Bars(Stage("run", jobs(40), force=False))
    for job in range(40):
        bars.show(Started(job))
    assert len(drawn(80, bars)) <= 24
    assert drawn(80, bars)[-1] == "and 19 more"


def test_lines_have_the_overall_count_and_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with watching(Stage("run", jobs(2, 2), force=False), quiet=False) as watcher:
        for event in (epoch(0, 1, 100.0), epoch(0, 2), Ended(0, Status.DONE)):
            watcher.show(event)
    first, _ = capsys.readouterr().err.splitlines()
    assert first.startswith("[1/4 epochs, 5:00 left] study/variant=nn,lr=0.5,seed=0  epoch 1/2  loss 0.5123")


def test_log_every_3_prints_every_third_and_the_last_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    with watching(Stage("run", jobs(2, 7), force=False), quiet=False, log_every=3) as watcher:
        for i in range(1, 8):
            watcher.show(epoch(0, i))
        for event in (epoch(1, 1), epoch(1, 2), Ended(1, Status.DIVERGED, "the loss is not finite in epoch 2")):
            watcher.show(event)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[1] for line in lines[:-1]] == ["epoch 3/7", "epoch 6/7", "epoch 7/7", "epoch 2/7"]
    assert lines[-1].endswith("diverged: the loss is not finite in epoch 2")


def test_a_bar_of_a_download_of_unknown_size_has_no_total(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dropexp.cli.progress.on_terminal", lambda: True)
    with downloading(quiet=False) as show:
        assert show is not None
        show("labels.gz", 4000, 0)
    assert "4.0/? kB" in capsys.readouterr().err


def test_a_terminal_shows_how_many_networks_are_evaluated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dropexp.cli.progress.on_terminal", lambda: True)
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    with counting("networks", 12) as count:
        for _ in range(5):
            count()
    assert "5/12" in capsys.readouterr().err


def test_without_a_terminal_no_count_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # else a bar of rich that is gone at the end prints nothing
    with counting("networks", 12) as count:
        count()
    assert capsys.readouterr().err == ""
