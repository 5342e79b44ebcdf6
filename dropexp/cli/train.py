"""`dropexp train`."""

from __future__ import annotations

import shlex
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from dropexp.cli.options import DataDir, DataUrl, Plugin, Quiet, RunsDir, find_or_download_data, load_plugins
from dropexp.cli.output import print_message


def train(
    config: Annotated[list[Path], typer.Option("--config", "-c", metavar="FILE", help="A config; may be repeated.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a key in every run.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0..9", help="Replace the seeds: a range or a list.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Runs at a time.", show_default="the cores; 32 on a CUDA device"),
    ] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda[:N]|mps", help="Where to train.")] = "auto",
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
        str | None, typer.Option(metavar="auto|ADDRESS", help="Train on a Ray cluster; --jobs are on each GPU there.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train the unfinished runs of a study: finished runs are skipped, interrupted runs resume."""
    from dropexp.config.study import load_configs
    from dropexp.runs.folder import default_runs_dir
    from dropexp.runs.status import FINISHED, Status
    from dropexp.training import device as devices
    from dropexp.training.cluster import connect
    from dropexp.training.events import Ended, Note
    from dropexp.training.train import Training

    load_plugins(plugin)
    studies = load_configs(config, settings or [], seeds)
    with nullcontext() if ray is None else connect.connected(ray):
        device = devices.resolve(device) if ray is None else connect.resolve(device)
        training = Training(studies, runs_dir or default_runs_dir(), device, force=force, on_ray=ray is not None)
        if dry_run:
            for job in training.jobs:
                state = job.state()
                print(f"{state.status:<12} {job.folder.path}")
                if state.why:
                    print_message(state.why)
            for note in [*training.notes, *training.restarts(data_dir)]:
                print_message(f"note: {note}")
            return

        from dropexp.cli.progress import watching

        events = training.start(lambda: find_or_download_data(data_dir, data_url, quiet), jobs)
        trained = 0
        with watching(training.unfinished, quiet) as watcher, closing(events):
            for event in events:
                watcher.show(event)
                match event:
                    case Note(text=text):
                        print_message(f"note: {text}")
                    case Ended(status=status):
                        trained += status in FINISHED
                        if status != Status.DONE and not keep_going:
                            break

    finished_before = len(training.jobs) - len(training.unfinished)
    print_message(f"{len(training.jobs)} runs: {trained} trained now, {finished_before} before", quiet)
    not_done = [(state, job) for job in training.jobs if (state := job.state()).status != Status.DONE]
    for state, job in not_done:
        print_message(f"{state.status}: {state.why or job.folder.path}")
    if not_done:
        raise typer.Exit(1)
    compared = list(dict.fromkeys(study.name for study in studies))
    if any(study.added for study in studies):  # the names would compare the runs of the files too
        compared = [word for study in studies for word in study.options[:2]] + list(studies[0].options[2:])
    print_message(f"next: dropexp compare {shlex.join(compared)}", quiet)
