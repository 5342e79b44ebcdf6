"""`dropexp evaluate`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dropexp.cli.options import DataDir, DataUrl, Plugin, RunsDir, find_or_download_data, load_plugins
from dropexp.cli.output import Format, print_message, print_tables
from dropexp.runs.metrics import format_figure

if TYPE_CHECKING:
    from dropexp.analysis.classes import ClassFigures
    from dropexp.report.table import Table
    from dropexp.training.evaluate import Evaluation


class Weights(StrEnum):
    """The epoch after which a network is evaluated."""

    last = "last"
    best_val = "best-val"


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or the name of a run.")],
    at: Annotated[Weights, typer.Option(help="The epoch: the last one, or that of best validation accuracy.")] = (
        Weights.last
    ),
    mc: Annotated[int, typer.Option(min=1, metavar="K", help="Stochastic passes to average.")] = 50,
    rotate: Annotated[
        list[float] | None,
        typer.Option(metavar="DEG", help="Degrees by which to rotate the images too, counter-clockwise; repeatable."),
    ] = None,
    images: Annotated[
        str, typer.Option(metavar="0..9", help="Test images to show one by one: a range or a list.")
    ] = "0..9",
    data_dir: DataDir = None,
    data_url: DataUrl = None,
    runs_dir: RunsDir = None,
    plugin: Plugin = None,
    output: Annotated[Format, typer.Option("--format", help="The output format; csv omits single images.")] = (
        Format.table
    ),
) -> None:
    """Evaluate a trained network: accuracy, calibration and uncertainty, also with Monte-Carlo dropout."""
    from dropexp.interrupts import import_torch

    numbers = image_numbers(images)
    import_torch()
    from dropexp.analysis.classes import by_class
    from dropexp.data import fashion_mnist
    from dropexp.runs.find import find_one
    from dropexp.training import evaluate
    from dropexp.training.trained import load_trained

    load_plugins(plugin)
    network = load_trained(find_one(run, runs_dir), at.value)
    for remark in network.remarks:
        print_message(f"note: {remark}")
    classes = by_class(network.kept) if network.kept else []
    if not classes:
        print_message(f"note: the predictions of {network.folder.path} after epoch {network.epoch} are not kept")
    root = find_or_download_data(data_dir, data_url, False)
    data = fashion_mnist.load(root)
    for note in data.notes:
        print_message(f"note: {note}")
    result = evaluate.evaluate(network, data, rotate or [], mc, numbers)
    if result.differing:
        images = f"{result.differing} of {len(data.y_test):,} test images"
        print_message(f"note: {images} are predicted to be of another class than when the run was trained")
    tables = tables_of(result, classes)
    print_tables(tables, output, csv=lambda: to_csv(result), json=lambda: to_json(result, classes))


def image_numbers(text: str) -> list[int]:
    """Parse a list of image numbers such as "0..9" or "3,7,20..25"."""
    from dropexp.config.overrides import whole_range

    numbers: list[int] = []
    for part in text.split(","):
        interval = whole_range(part) or whole_range(f"{part.strip()}..{part.strip()}")
        if not interval:
            what = f"{text!r} is not a list of whole numbers, such as 0..9 or 3,7"
            raise typer.BadParameter(what, param_hint="--images")
        numbers += interval
    return numbers


def to_csv(evaluation: Evaluation) -> str:
    """Format the figures, a row per rotation, in full precision; figures that do not apply are empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, asdict(evaluation.figures[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, evaluation.figures))
    return text.getvalue()


def to_json(evaluation: Evaluation, classes: Sequence[ClassFigures]) -> str:
    """Format everything in full precision; figures that do not apply are null."""
    content = {"schema": 1, **asdict(evaluation), "classes": [asdict(one) for one in classes]}
    return json.dumps(content, indent=2, ensure_ascii=False)


def tables_of(evaluation: Evaluation, classes: Sequence[ClassFigures]) -> list[Table]:
    """Format the figures, those by class if the predictions are kept, then the single images."""
    tables = [_figures_table(evaluation)]
    if classes:
        tables.append(_classes_table(evaluation.epoch, classes))
    return tables + ([_images_table(evaluation)] if evaluation.answers else [])


def _classes_table(epoch: int, classes: Sequence[ClassFigures]) -> Table:
    from dropexp.report.table import Table

    rows = [
        [
            one.label,
            f"{one.images:,}",
            *(format_figure(figure, ".4f") for figure in (one.acc, one.loss, one.confidence)),
            f"{one.taken_for} {one.share:.1%}" if one.taken_for else "-",
        ]
        for one in classes
    ]
    return Table(
        f"By class, as training predicted the test images after epoch {epoch}",
        ["class", "images", "accuracy", "NLL", "confidence", "most often taken for"],
        rows,
        left=(0, 5),
        legend="confidence: mean probability of the predicted class. "
        "most often taken for: the most frequent wrong class, and its share of the images.",
    )


def _figures_table(evaluation: Evaluation) -> Table:
    from dropexp.report.table import Table
    from dropexp.training.predictive import BINS

    mean = f"the mean over {evaluation.passes} stochastic passes" if evaluation.passes else "none: no noise to sample"
    names = ["accuracy", "NLL", "ECE", "entropy"]
    headers = ["images", *names, *(f"MC\n{name}" for name in names), "mutual\ninformation"]
    moments = ""
    if has_moments := evaluation.figures[0].moment_acc is not None:
        headers += [f"moments\n{name}" for name in names]
        moments = f"; moments: {evaluation.passes} samples by moment matching (Wan et al., 2013)"
    rows = []
    for row in evaluation.figures:
        values = [row.acc, row.loss, row.ece, row.entropy, row.mc_acc, row.mc_loss, row.mc_ece, row.mc_entropy]
        values.append(row.mutual_information)
        if has_moments:
            values += [row.moment_acc, row.moment_loss, row.moment_ece, row.moment_entropy]
        rows.append([_rotation(row.rotation), *map(_cell, values)])
    return Table(
        f"{evaluation.run} after epoch {evaluation.epoch}: test images",
        headers,
        rows,
        legend=f"accuracy, NLL, ECE, entropy: one pass in evaluation mode; MC: {mean}{moments}. NLL: mean negative "
        f"log-likelihood, nats. ECE: expected calibration error, {BINS} bins. entropy: mean over images, nats; "
        "mutual information: the part of it that is disagreement between passes. "
        "Images are rotated counter-clockwise with bilinear interpolation and a black background.",
    )


def _images_table(evaluation: Evaluation) -> Table:
    from dropexp.report.table import Table

    by_image: dict[tuple[int, str], list[str]] = {}
    for answer in evaluation.answers:
        by_image.setdefault((answer.image, answer.label), []).append(f"{answer.predicted} {answer.entropy:.2f}")
    source = f"the mean over {evaluation.passes} passes" if evaluation.passes else "one pass in evaluation mode"
    rotations = [_rotation(row.rotation) for row in evaluation.figures]
    return Table(
        "Single test images",
        ["image", "class", *rotations],
        [[str(image), label, *cells] for (image, label), cells in by_image.items()],
        fold=(),
        left=range(1, 2 + len(rotations)),
        legend=f"The class that {source} predicts, and the entropy of the prediction, nats.",
    )


def _rotation(degrees: float) -> str:
    return f"{degrees:g}°" if degrees else "clean"


def _cell(value: float | None) -> str:
    return "no noise" if value is None else format_figure(value, ".4f")
