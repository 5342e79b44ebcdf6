"""`dropexp train`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropexp.cli.completion import complete_configs, complete_words
from dropexp.cli.export import Target
from dropexp.cli.github import print_failure
from dropexp.cli.options import (
    CONFIG,
    DataDir,
    DataUrl,
    Plugin,
    Quiet,
    RunsDir,
    Seeds,
    Settings,
    Sweeps,
    find_or_download_data,
    load_studies,
    one_of,
    whole_number,
)
from dropexp.cli.output import next_command, print_line, print_message, shown_paths
from dropexp.plurals import counted

if TYPE_CHECKING:
    from dropexp.cli.live_log import LiveLog
    from dropexp.config.study import Study
    from dropexp.training.jobs import Job
    from dropexp.training.pipeline import Stage, Training


def train(
    configs: Annotated[list[str] | None, CONFIG] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(
            *("--config", "-c"),
            metavar="CONFIG",
            help="The same as an argument; repeatable.",
            autocompletion=complete_configs,
        ),
    ] = None,
    settings: Settings = None,
    sweeps: Sweeps = None,
    seeds: Seeds = None,
    jobs: Annotated[
        int | None,
        typer.Option(**whole_number("N", 1), help="Runs at a time.", show_default="the cores; 32 on a CUDA device"),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="auto|cpu|cuda[:N]|mps",
            help="Where to train.",
            autocompletion=complete_words(("auto", "cpu", "cuda", "mps")),
        ),
    ] = "auto",
    data_dir: DataDir = None,
    data_url: DataUrl = None,
    runs_dir: RunsDir = None,
    plugin: Plugin = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs and their states; train nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Train finished runs again.")] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going/--fail-fast", help="Whether to train the remaining runs after one fails.")
    ] = True,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="auto|ADDRESS", help="Train on a Ray cluster; with GPUs, --jobs counts the runs on each GPU."
        ),
    ] = None,
    log_every: Annotated[
        int,
        typer.Option(**whole_number("N", 1), help="Without a terminal, print a line for every N-th epoch of a run."),
    ] = 1,
    log_to: Annotated[
        Target | None,
        typer.Option(
            "--log-to", help="Log the runs while they train, to where `dropexp export` exports them.", **one_of(Target)
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train the unfinished runs of a study: finished runs are skipped, interrupted runs resume."""
    from dropexp.runs.folder import default_runs_dir
    from dropexp.runs.provenance import missing_commit
    from dropexp.training import device as devices
    from dropexp.training.cluster import connect
    from dropexp.training.pipeline import Training

    if not (given := [*(config or ()), *(configs or ())]):
        raise typer.BadParameter(
            "give a file, a study that `dropexp config list` lists, or - for standard input",
            param_hint="CONFIG",
        )
    studies = load_studies(given, settings, sweeps, seeds, plugin)
    with nullcontext() if ray is None else connect.connected(ray):
        device = devices.resolve(device) if ray is None else connect.resolve(device)
        training = Training(studies, runs_dir or default_runs_dir(), device, force=force, on_ray=ray is not None)
        if dry_run:
            _list(training, data_dir)
            return
        if training.first.unfinished and (reason := missing_commit()):
            print_message(f"note: the commit of dropexp is not recorded with the runs: {reason}")
        log = _live_log(log_to)
        stages = []
        with closing(training.stages()) as coming:
            for stage in coming:
                stages.append(stage)
                find_data = partial(find_or_download_data, data_dir, data_url, quiet)
                if not _train_stage(training, stage, find_data, jobs, quiet, keep_going, log_every, log):
                    break
        if log:
            log.export([job for stage in stages for job in stage.jobs], report=True)

    for blocked in training.blocked:
        print_message(f"note: {blocked}")
    unfinished = [job for stage in stages for job in stage.jobs if not job.needs_no_training]
    elsewhere = [job for job in unfinished if job.folder.is_locked()]
    not_done = [job for job in unfinished if job not in elsewhere]
    for job in not_done:
        print_failure(_ending(job))
    if elsewhere:
        print_message(f"note: other processes train {len(elsewhere)} of these runs; `dropexp runs` lists their states")
    if not_done or any(not one.busy for one in training.blocked):
        raise typer.Exit(1)
    if training.blocked:
        return
    print_message(next_command("next", _next_words(studies, runs_dir)), quiet)


def _live_log(target: Target | None) -> LiveLog | None:
    """Return the log to `target`, None without one. Raises `ExportError` if the target is not installed."""
    if target is None:
        return None
    from dropexp.cli.live_log import LiveLog

    return LiveLog(target)


def _next_words(studies: Sequence[Study], runs_dir: Path | None) -> list[str]:
    """Return the arguments of the command that compares what was trained."""
    words = list(dict.fromkeys(study.name for study in studies))
    from_files = all(study.file for study in studies)  # standard input is read once
    if from_files and any(study.added for study in studies):  # by name, other runs would be compared too
        words = [word for study in studies for word in study.options[:2]] + list(studies[0].options[2:])
    where = runs_dir or os.environ.get("DROPEXP_RUNS")  # the variable may be set for this command only
    return ["compare", *words, *(("--runs-dir", str(where)) if where else ())]


def _ending(job: Job) -> str:
    """Return the state of a job that is not done, its folder, and the reason as far as it is known."""
    from dropexp.runs.record import read_any

    state, path = job.state(), str(job.folder.path)
    why = state.why or read_any(job.folder).why or ""
    return f"{state.status}: {why if path in why else f'{path}: {why}' if why else path}"


def _list(training: Training, data_dir: Path | None) -> None:
    """List the runs and their states; train nothing."""
    jobs = training.jobs
    paths = shown_paths([str(job.folder.path) for job in jobs], indent=13)
    states = [job.state() for job in jobs]
    for state, path in zip(states, paths, strict=True):
        print_line(f"{state.status:<12} {path}")
        if state.why:
            print_message(state.why)
    counts = Counter(str(state.status) for state in states)
    print_message(f"{counted(len(jobs), 'run')}: {', '.join(f'{count} {status}' for status, count in counts.items())}")
    if waiting := training.num_unselected:
        print_message(
            f"note: after the trials: {counted(waiting, 'tested run')}, each with the settings selected from its trials"
        )
    for note in [*training.blocked, *training.notes, *training.notes_on_others(), *training.restarts(data_dir)]:
        print_message(f"note: {note}")


def _train_stage(
    training: Training,
    stage: Stage,
    find_data: Callable[[], Path],
    at_once: int | None,
    quiet: bool,
    keep_going: bool,
    log_every: int,
    log: LiveLog | None,
) -> bool:
    """Train the jobs of a stage. Return whether to train the next stage: False after a failure without `keep_going`."""
    from dropexp.cli.progress import watching
    from dropexp.runs.state_names import FINISHED, Status
    from dropexp.training.events import Ended, Epoch, Note

    events = training.start(stage, find_data, at_once)
    trained: set[int] = set()  # those with an epoch of this process
    finished: set[int] = set()
    busy: set[int] = set()  # in training by another process when it was their turn
    succeeded = True
    with watching(stage, quiet, log_every) as watcher, closing(events):
        for event in events:
            watcher.show(event)
            if log:
                log.show(stage.unfinished, event)
            match event:
                case Note(text=text):
                    print_message(f"note: {text}")
                case Epoch(job=index):
                    trained.add(index)
                case Ended(job=index, status=status):
                    if status in FINISHED:
                        finished.add(index)
                    elif status == Status.BUSY:
                        busy.add(index)
                    if not keep_going and stage.unfinished[index].is_failure(status):
                        succeeded = False
                        break
    now, before = len(finished & trained), len(stage.finished) + len(finished - trained)
    others = sum(stage.unfinished[i].is_finished for i in busy - finished)
    elsewhere = f", {others} by other processes" if others else ""
    print_message(f"{counted(len(stage.jobs), stage.noun)}: {now} trained now, {before} before{elsewhere}", quiet)
    return succeeded
