"""`dropexp evaluate`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dropexp.cli.completion import complete_runs
from dropexp.cli.options import (
    DataDir,
    DataUrl,
    Plugin,
    RunsDir,
    any_number,
    find_or_download_data,
    load_plugins,
    one_of,
    whole_number,
)
from dropexp.cli.output import Format, print_message, print_tables

if TYPE_CHECKING:
    from pathlib import Path

    from dropexp.data.fashion_mnist import Data
    from dropexp.runs.record import Run
    from dropexp.training.ensemble import ArmEvaluation
    from dropexp.training.evaluate import Evaluation
    from dropexp.training.trained_network import Trained


IMAGES = "0..9"  # test images that are shown by default


class Weights(StrEnum):
    """The epoch after which a network is evaluated."""

    last = "last"
    best_val = "best-val"


def evaluate(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|NAME", help="Run folders, names of runs, or names of studies.", autocompletion=complete_runs
        ),
    ],
    at: Annotated[
        Weights, typer.Option(help="The epoch: the last one, or that of best validation accuracy.", **one_of(Weights))
    ] = (Weights.last),
    mc: Annotated[int, typer.Option(**whole_number("K", 1), help="Stochastic passes to average.")] = 50,
    rotate: Annotated[
        list[float] | None,
        typer.Option(
            **any_number("DEG"),
            help="Also evaluate the images rotated by this many degrees, counter-clockwise; repeatable.",
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="0..9",
            help="Test images to show one by one, of a single run: a range or a list.",
            show_default=IMAGES,
        ),
    ] = None,
    data_dir: DataDir = None,
    data_url: DataUrl = None,
    runs_dir: RunsDir = None,
    plugin: Plugin = None,
    output: Annotated[
        Format, typer.Option("--format", help="The output format; csv omits single images.", **one_of(Format))
    ] = (Format.table),
) -> None:
    """Evaluate trained networks: accuracy, calibration, uncertainty; with Monte-Carlo dropout, and as ensembles."""
    from dropexp.interrupts import import_torch

    numbers = image_numbers(images or IMAGES)
    import_torch()
    from dropexp.analysis.by_class import by_class
    from dropexp.analysis.select_runs import select
    from dropexp.cli.progress import counting
    from dropexp.report.tables import evaluation as tables
    from dropexp.runs.find import find_named
    from dropexp.training.evaluate import evaluate as evaluate_run
    from dropexp.training.evaluate import num_passes
    from dropexp.training.trained_network import load_trained

    load_plugins(plugin)
    folders = find_named(runs, runs_dir)
    if len(folders) > 1:
        if images is not None:
            raise typer.BadParameter("requires a single run", param_hint="--images")
        selected = select([str(folder.path) for folder in folders], runs_dir, None)  # no trials of a search
        for note in selected.notes:
            print_message(f"note: {note}")
        data = _load_data(data_dir, data_url)
        arms = list(_evaluate_arms(selected.runs, at, data, rotate or [], mc))
        print_tables(
            list(map(tables.arm_table, arms)),
            output,
            csv=lambda: tables.arms_to_csv(arms),
            json=lambda: tables.arms_to_json(arms),
        )
        return
    network = load_trained(folders[0], at.value)
    _print_remarks(network)
    classes = by_class(network.kept) if network.kept else []
    if not classes:
        print_message(f"note: the predictions of {network.folder.path} after epoch {network.epoch} are not kept")
    data = _load_data(data_dir, data_url)
    with counting("passes", num_passes(network.config, rotate or [], mc)) as count:
        result = evaluate_run(network, data, rotate or [], mc, numbers, count)
    _print_differing(result, data)
    print_tables(
        tables.tables_of(result, classes),
        output,
        csv=lambda: tables.to_csv(result),
        json=lambda: tables.to_json(result, classes),
    )


def _evaluate_arms(
    runs: Sequence[Run], at: Weights, data: Data, rotations: Sequence[float], mc: int
) -> Iterator[ArmEvaluation]:
    """Evaluate the runs arm by arm. Raises `RunError` if none of them has a network."""
    from dropexp.analysis.labels import labels_of
    from dropexp.cli.progress import counting
    from dropexp.errors import RunError
    from dropexp.runs.record import natural
    from dropexp.runs.state_names import NO_RUN
    from dropexp.training.ensemble import evaluate_arm

    labels = labels_of(runs)
    by_label: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.status in NO_RUN:
            print_message(f"note: left out: {run.why}")
        else:
            by_label[labels[run.study, run.key]].append(run)
    arms = sorted(by_label.items(), key=lambda arm: (arm[1][0].variant != "none", natural(arm[0])))
    found = False
    with counting("networks", sum(map(len, by_label.values()))) as count:
        for label, members in arms:
            networks = _load_each(sorted(members, key=lambda run: run.seed or 0), at, count)
            arm = evaluate_arm(label, networks, data, rotations, mc)
            for evaluation in arm.runs:
                _print_differing(evaluation, data)
            if arm.runs:
                found = True
                yield arm
    if not found:
        raise RunError("none of these runs has a network to evaluate")


def _load_each(runs: Sequence[Run], at: Weights, count: Callable[[], None]) -> Iterator[Trained]:
    """Load and yield the networks one at a time; `count` is called after each.

    Print a note on each run that is left out because it has none.
    """
    from dropexp.errors import RunError
    from dropexp.training.trained_network import load_trained

    for run in runs:
        try:
            network = load_trained(run.folder, at.value)
        except RunError as error:
            print_message(f"note: left out: {error}")
        else:
            _print_remarks(network, f"{network.folder.path.name}: ")
            yield network
        count()


def _load_data(data_dir: Path | None, data_url: str | None) -> Data:
    from dropexp.data import fashion_mnist

    data = fashion_mnist.load(find_or_download_data(data_dir, data_url, False))
    for note in data.notes:
        print_message(f"note: {note}")
    return data


def _print_remarks(network: Trained, which: str = "") -> None:
    for remark in network.remarks:
        print_message(f"note: {which}{remark}")


def _print_differing(result: Evaluation, data: Data) -> None:
    if result.differing:
        count = f"{result.differing:,} of {len(data.y_test):,} test images"
        print_message(f"note: {result.run}: {count} get another predicted class than when the run was trained")


def image_numbers(text: str) -> list[int]:
    """Parse a list of image numbers such as "0..9" or "3,7,20..25". Raises `BadParameter`."""
    from dropexp.config.overrides import whole_range

    numbers: list[int] = []
    for part in text.split(","):
        interval = whole_range(part) or whole_range(f"{part.strip()}..{part.strip()}")
        if not interval:
            what = f"{text!r} is not a list of whole numbers, such as 0..9 or 3,7"
            raise typer.BadParameter(what, param_hint="--images")
        numbers += interval
    return numbers
