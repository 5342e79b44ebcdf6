"""`dropexp train`."""

from __future__ import annotations

import shlex
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from dropexp.cli.options import DataDir, DataUrl, Plugin, Quiet, RunsDir, find_or_download_data, load_plugins
from dropexp.cli.output import say


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
        bool, typer.Option("--keep-going/--fail-fast", help="Whether the rest goes on when a run fails.")
    ] = True,
    ray: Annotated[
        str | None, typer.Option(metavar="auto|ADDRESS", help="Train on a Ray cluster; --jobs are on each GPU there.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train the unfinished runs of a study: finished runs are skipped, interrupted runs resume."""
    from dropexp.config.plugins import files_of
    from dropexp.config.study import load_configs
    from dropexp.runs.folder import FINISHED, default_runs_dir
    from dropexp.runs.study_file import write_study
    from dropexp.training import device as devices
    from dropexp.training.cluster import connect
    from dropexp.training.events import Ended, Note
    from dropexp.training.execute import execute
    from dropexp.training.task import Plan
    from dropexp.training.train import tasks_of, unfinished

    load_plugins(plugin)
    studies = load_configs(config, settings or [], seeds)
    runs_dir = runs_dir or default_runs_dir()
    with nullcontext() if ray is None else connect.connected(ray):
        device = devices.resolve(device) if ray is None else connect.resolve(device)
        tasks = tasks_of(studies, runs_dir, device)
        if dry_run:
            for task in tasks:
                print(f"{task.status():<12} {task.folder.path}")
            return

        todo = unfinished(tasks, force)
        for study in studies:
            if note := write_study(runs_dir, study.name, study.remarks):
                say(f"note: {note}")
        trained = 0
        if todo:
            from dropexp.cli.progress import watching

            root = find_or_download_data(data_dir, data_url, quiet) if any(task.has_images for task in todo) else None
            files = files_of(task.planned.config.variant for task in todo)
            running = execute(todo, Plan(root, device, force, files, on_ray=ray is not None), jobs)
            with watching(todo, quiet) as watcher, closing(running) as events:
                for event in events:
                    watcher.show(event)
                    if isinstance(event, Note):
                        say(f"note: {event.text}")
                    elif isinstance(event, Ended):
                        trained += event.status in FINISHED
                        if event.status != "done" and not keep_going:
                            break

    before = len(tasks) - len(todo)
    say(f"{len(tasks)} runs: {trained} trained now, {before} before", quiet)
    not_done = [(state, task) for task in tasks if (state := task.status()) != "done"]
    for state, task in not_done:
        say(f"{state}: {task.folder.path}", False)
    if not_done:
        raise typer.Exit(1)
    say(f"next: dropexp compare {shlex.join(dict.fromkeys(study.name for study in studies))}", quiet)
