"""The commands. Each parses, calls, shows; what is heavy is imported when a command needs it.

Data goes to stdout, talk to stderr. Exit codes: 0 done; 1 a run failed or a requirement did not hold; 2 usage or
config error; 3 data missing or corrupt; 5 no matching runs; 130 interrupted.
"""

from __future__ import annotations

import shlex
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from dropexp import reading
from dropexp.answers import FAILED, say
from dropexp.reading import Format, RunsDir

app = typer.Typer(
    help="Does dropout help, how much, and how sure are we? Trains the Fashion-MNIST dropout study of "
    "Dive into Deep Learning from YAML configs, and compares the runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Fashion-MNIST: fetch it, verify it, say where it is.", no_args_is_help=True)
app.add_typer(data_app, name="data")


DataDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A folder with FashionMNIST/raw. [default: $DROPEXP_DATA, ./data, the cache]"),
]
Plugin = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="A Python file with a noise of your own; may be repeated.")
]
DataUrl = Annotated[str | None, typer.Option(metavar="URL", help="A mirror that is asked first.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]


@app.command()
def train(
    config: Annotated[list[Path], typer.Option("--config", "-c", metavar="FILE", help="A config; may be repeated.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a key in every run.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0..9", help="Replace the seeds: a range or a list.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Runs at a time. [default: the cores; 32 on a CUDA device]")
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
    """Train what is missing: done runs are skipped, interrupted ones go on."""
    from dropexp import cluster
    from dropexp import device as devices
    from dropexp.execute import execute
    from dropexp.plugins import files_of, load_plugin
    from dropexp.runs import FINISHED, default_runs_dir
    from dropexp.study import load_configs
    from dropexp.studyfile import write_study
    from dropexp.trainer import Plan
    from dropexp.training import tasks_of, unfinished

    for file in plugin or []:
        load_plugin(file)
    studies = load_configs(config, settings or [], seeds)
    runs_dir = runs_dir or default_runs_dir()
    with nullcontext() if ray is None else cluster.connected(ray):
        device = devices.resolve(device) if ray is None else cluster.resolve(device)
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
            from dropexp.progress import watching

            root = _data_root(data_dir, data_url, quiet) if any(task.has_images for task in todo) else None
            files = files_of(task.planned.config.variant for task in todo)
            running = execute(todo, Plan(root, device, force, files, on_ray=ray is not None), jobs)
            with watching(todo, quiet) as watcher, closing(running) as events:
                for event in events:
                    watcher.tell(event)
                    if event.note:
                        say(f"note: {event.note}")
                    trained += event.status in FINISHED
                    if event.status not in (None, "done") and not keep_going:
                        break

    before = len(tasks) - len(todo)
    say(f"{len(tasks)} runs: {trained} trained now, {before} before", quiet)
    not_done = [(state, task) for task in tasks if (state := task.status()) != "done"]
    for state, task in not_done:
        say(f"{state}: {task.folder.path}", False)
    if not_done:
        raise typer.Exit(FAILED)
    say(f"next: dropexp compare {shlex.join(dict.fromkeys(study.name for study in studies))}", quiet)


for _read in (reading.compare, reading.report, reading.runs, reading.export):
    app.command()(_read)


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or its name among the runs.")],
    mc: Annotated[int, typer.Option(min=1, metavar="K", help="Passes with the noise on that are averaged.")] = 50,
    rotate: Annotated[
        list[float] | None,
        typer.Option(metavar="DEG", help="Turn the images too, counter-clockwise; may be repeated."),
    ] = None,
    images: Annotated[str, typer.Option(metavar="0..9", help="Test images to show one by one: a range or a list.")] = (
        "0..9"
    ),
    data_dir: DataDir = None,
    data_url: DataUrl = None,
    runs_dir: RunsDir = None,
    plugin: Plugin = None,
    output: Annotated[Format, typer.Option("--format", help="How to write it; csv has no single images.")] = (
        Format.table
    ),
) -> None:
    """Evaluate a trained network: Monte-Carlo dropout, calibration, uncertainty, on turned images too."""
    from rich.console import Console

    from dropexp import display, markup
    from dropexp.interrupts import interrupts_wait
    from dropexp.plugins import load_plugin

    with interrupts_wait():  # torch is loaded
        from dropexp import data, evaluation, trained

    for file in plugin or []:
        load_plugin(file)
    numbers = evaluation.image_numbers(images)
    network = trained.load(trained.find(run, runs_dir))
    for remark in network.remarks:
        say(f"note: {remark}")
    root = _data_root(data_dir, data_url, False)
    result = evaluation.evaluate(network, data.load(root, tell=say), rotate or [], mc, numbers)
    if output is Format.csv:
        print(result.to_csv(), end="")
    elif output is Format.json:
        print(result.to_json())
    elif output is Format.md:
        print(markup.markdown(result.tables()))
    elif output is Format.latex:
        print(markup.latex(result.tables()))
    else:
        display.show_tables(result.tables(), Console())


@app.command()
def claims(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Claims by name or number. [default: all]")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only those that are provable by computation: seconds, without data.")
    ] = False,
    runs_dir: RunsDir = None,
    output: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.table,
) -> None:
    """Check what teaching texts claim of dropout, by computation and on trained runs."""
    from rich.console import Console

    from dropexp import display, markup
    from dropexp.interrupts import interrupts_wait
    from dropexp.runs import default_runs_dir

    with interrupts_wait():  # torch is loaded
        from dropexp.claims import catalogue, table

    place = None if quick else runs_dir or default_runs_dir()
    checked = [claim.run(place) for claim in catalogue.chosen(names or (), quick)]
    tables, notes = [table.overview(checked), *table.details(checked)], table.notes(checked)
    if output is Format.csv:
        print(table.to_csv(checked), end="")
    elif output is Format.json:
        print(table.to_json(checked))
    elif output is Format.md:
        print(table.heading(), markup.markdown(tables, notes), sep="\n")
    elif output is Format.latex:
        print(markup.latex(tables, notes))
    else:
        display.show_tables(tables[1:] if names else tables[:1], Console())
        for note in notes:
            say(f"note: {note}")
        if not names:
            say("dropexp claims NAME shows what a verdict rests on, with its source and its test")
    for command in table.missing(checked):
        say(f"not trained: {command}")


@app.command()
def bench(
    data_dir: DataDir = None,
    data_url: DataUrl = None,
    rounds: Annotated[int, typer.Option(min=1, help="Epochs of each, after one to warm up.")] = 5,
) -> None:
    """Time an epoch here, beside the book's loop and the matrix products alone."""
    from rich.console import Console

    from dropexp import display, tables
    from dropexp.interrupts import interrupts_wait

    with interrupts_wait():  # torch is loaded
        from dropexp import benchmark

    say("timing; the book's loop alone takes seconds per epoch")
    display.show_tables([tables.timings(benchmark.run(_data_root(data_dir, data_url, False), rounds))], Console())


@data_app.command("fetch")
def fetch_data(data_url: DataUrl = None, quiet: Quiet = False) -> None:
    """Download the four files into the cache, unless it has them."""
    from dropexp import fetch
    from dropexp.progress import downloading

    with downloading(quiet) as progress:
        print(fetch.fetch(data_url, progress))


@data_app.command("verify")
def verify_data(data_dir: DataDir = None) -> None:
    """Check every file against its known checksum."""
    from dropexp import fetch

    root = _found(data_dir)
    fetch.verify(root)
    print(f"{root}: all four files are Fashion-MNIST's")


@data_app.command("path")
def data_path(data_dir: DataDir = None) -> None:
    """Say which folder the data is taken from."""
    print(_found(data_dir))


def _found(data_dir: Path | None) -> Path:
    from dropexp import fetch

    root = fetch.find(data_dir)
    if root is None:
        raise fetch.DataError("Fashion-MNIST is not here; `dropexp data fetch` downloads it")
    return root


def _data_root(data_dir: Path | None, data_url: str | None, quiet: bool) -> Path:
    """The folder with the data, downloaded if there is none."""
    from dropexp import fetch

    root = fetch.find(data_dir)
    if root is None:
        from dropexp.progress import downloading

        with downloading(quiet) as progress:
            root = fetch.fetch(data_url, progress)
    return root
