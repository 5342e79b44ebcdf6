"""What `dropexp evaluate` found, as tables, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dropexp.analysis.by_class import ClassFigures
from dropexp.report.tables.cells import ABSENT
from dropexp.report.tables.table import Table
from dropexp.runs.metrics import CALIBRATION_BINS, FRACTION, NATS

if TYPE_CHECKING:  # it imports torch
    from dropexp.training.ensemble import ArmEvaluation
    from dropexp.training.evaluate import Evaluation, RotationFigures

FIGURES = ("acc", "loss", "ece", "entropy")
NAMES = ("accuracy, %", "NLL", "ECE, %", "entropy")
UNITS = {"acc": FRACTION, "ece": FRACTION, "loss": NATS, "entropy": NATS, "information": NATS}  # by the last word
MUTUAL_INFORMATION = "mutual\ninformation"
NO_NOISE = "no noise"


def tables_of(evaluation: Evaluation, classes: Sequence[ClassFigures]) -> list[Table]:
    """Return the figures of a run, those by class if the predictions are kept, and the single images."""
    columns = _Columns([evaluation])
    figures = Table(
        f"{evaluation.run} after epoch {evaluation.epoch}: test images",
        ["images", *columns.headers],
        [[_rotation(row.rotation), *columns.cells(row)] for row in evaluation.figures],
        about=columns.about,
        terms=columns.terms,
        secondary=columns.secondary,
    )
    tables = [figures, *([_classes_table(evaluation.epoch, classes)] if classes else [])]
    return tables + ([_images_table(evaluation)] if evaluation.predictions_by_image else [])


def arm_table(arm: ArmEvaluation) -> Table:
    """Return the figures of an arm's runs, the means of those that are finished, and those of their ensemble."""
    columns = _Columns(arm.runs)
    rows = [
        [f"seed {one.seed}", str(one.epoch), _rotation(row.rotation), *columns.cells(row)]
        for one in arm.runs
        for row in one.figures
    ]
    about, terms = columns.about, columns.terms
    if arm.ensemble:
        of = f"of {arm.ensemble.networks}"
        for row in arm.ensemble.members:
            rows.append([f"mean {of}", "", _rotation(row.rotation), *columns.cells(row)])
        for row in arm.ensemble.figures:
            rows.append([f"ensemble {of}", "", _rotation(row.rotation), *columns.cells(row, ABSENT)])
        about += (
            " mean, ensemble: of the finished runs; the ensemble predicts with the mean of their probabilities in "
            "evaluation mode."
        )
        terms[MUTUAL_INFORMATION] += " That of the ensemble is disagreement between its networks."
    headers = ["run", "epoch", "images", *columns.headers]
    title = f"{arm.arm}: test images"
    return Table(title, headers, rows, fold=(), left=(0, 2), about=about, terms=terms, secondary=columns.secondary)


class _Columns:
    """The columns of figures of runs of one arm."""

    def __init__(self, evaluations: Sequence[Evaluation]) -> None:
        self.passes = next((one.passes for one in evaluations if one.passes), None)
        self.moments = any(one.figures[0].moment_acc is not None for one in evaluations)
        self.headers = [*NAMES, *(f"MC\n{name}" for name in NAMES), MUTUAL_INFORMATION]
        if self.moments:
            self.headers += [f"moments\n{name}" for name in NAMES]

    @property
    def secondary(self) -> list[str]:
        """The headers of columns that a narrow terminal leaves out: accuracies and NLLs are the last ones."""
        kinds = ("moments\n", "MC\n", "") if self.moments else ("MC\n", "")
        accuracy, nll, ece, entropy = NAMES
        first = [f"{kind}{name}" for name in (entropy, ece) for kind in kinds]
        moments = [f"moments\n{name}" for name in (nll, accuracy)] if self.moments else []
        return [*first, MUTUAL_INFORMATION, *moments, f"MC\n{nll}", nll]

    def cells(self, row: RotationFigures, absent: str = NO_NOISE) -> list[str]:
        names = [*FIGURES, *(f"mc_{name}" for name in FIGURES), "mutual_information"]
        if self.moments:
            names += [f"moment_{name}" for name in FIGURES]
        values = [(getattr(row, name), UNITS[name.rpartition("_")[2]]) for name in names]
        return [absent if value is None else unit.show(value) for value, unit in values]

    @property
    def about(self) -> str:
        mean = f"the mean over {self.passes} stochastic passes" if self.passes else "none: no noise to sample"
        return (
            "Images are rotated counter-clockwise with bilinear interpolation and a black background. "
            f"MC: {mean}; other figures: one pass in evaluation mode."
        )

    @property
    def terms(self) -> dict[str, str]:
        """Sentences on single columns, by header. One that also holds for MC and moments has the plain column's header.

        A narrow terminal leaves out the plain column last.
        """
        accuracy, nll, ece, entropy = NAMES
        moments = f"moments: {self.passes} samples by moment matching (Wan et al., 2013)."
        return ({f"moments\n{accuracy}": moments} if self.moments else {}) | {
            nll: "NLL: mean negative log-likelihood, nats.",
            ece: f"ECE: expected calibration error, {CALIBRATION_BINS} bins.",
            entropy: "entropy: mean over images, nats.",
            MUTUAL_INFORMATION: "mutual information: the part of the entropy that is disagreement between passes.",
        }


def _classes_table(epoch: int, classes: Sequence[ClassFigures]) -> Table:
    rows = [
        [
            one.label,
            f"{one.images:,}",
            FRACTION.show(one.acc),
            NATS.show(one.loss),
            FRACTION.show(one.confidence),
            f"{one.taken_for} {one.share:.1%}" if one.taken_for else ABSENT,
        ]
        for one in classes
    ]
    return Table(
        f"By class: predictions kept by training after epoch {epoch}",
        ["class", "images", "accuracy, %", "NLL", "confidence, %", "most often taken for"],
        rows,
        left=(0, 5),
        secondary=("confidence, %", "NLL", "images"),
        about="most often taken for: the most frequent wrong class, and its share of the images.",
        terms={"confidence, %": "confidence: mean probability of the predicted class."},
    )


def _images_table(evaluation: Evaluation) -> Table:
    by_image: dict[tuple[int, str], list[str]] = {}
    for prediction in evaluation.predictions_by_image:
        by_image.setdefault((prediction.image, prediction.label), []).append(
            f"{prediction.predicted} {prediction.entropy:.2f}"
        )
    source = f"the mean over {evaluation.passes} passes" if evaluation.passes else "one pass in evaluation mode"
    rotations = [_rotation(row.rotation) for row in evaluation.figures]
    return Table(
        "Single test images",
        ["image", "class", *rotations],
        [[str(image), label, *cells] for (image, label), cells in by_image.items()],
        fold=(),
        left=range(1, 2 + len(rotations)),
        about=f"The class that {source} predicts, and the entropy of the prediction, nats.",
    )


def _rotation(degrees: float) -> str:
    return f"{degrees:g}°" if degrees else "clean"


def to_csv(evaluation: Evaluation) -> str:
    """Return a row per rotation, in full precision; figures that do not apply are empty."""
    return _csv(map(asdict, evaluation.figures))


def arms_to_csv(arms: Sequence[ArmEvaluation]) -> str:
    """Return a row per run and rotation, then those of each arm's mean and ensemble, whose run and epoch are empty."""
    return _csv(row for arm in arms for row in _csv_rows(arm))


def _csv_rows(arm: ArmEvaluation) -> Iterator[dict[str, Any]]:
    for one in arm.runs:
        about = {"arm": arm.arm, "of": "run", "networks": 1, "run": one.run, "seed": one.seed, "epoch": one.epoch}
        yield from (about | asdict(row) for row in one.figures)
    if arm.ensemble:
        for of, figures in (("mean", arm.ensemble.members), ("ensemble", arm.ensemble.figures)):
            about = {"arm": arm.arm, "of": of, "networks": arm.ensemble.networks}
            yield from (about | asdict(row) for row in figures)


def _csv(rows: Iterator[dict[str, Any]]) -> str:
    first = next(rows)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, first, lineterminator="\n")
    writer.writeheader()
    writer.writerows([first, *rows])
    return text.getvalue()


def to_json(evaluation: Evaluation, classes: Sequence[ClassFigures]) -> str:
    """Return everything about a run in full precision; figures that do not apply are null."""
    content = {"schema": 1, **_content(evaluation), "classes": [asdict(one) for one in classes]}
    return json.dumps(content, indent=2, ensure_ascii=False)


def arms_to_json(arms: Sequence[ArmEvaluation]) -> str:
    """Return an object per arm, with its runs and its ensemble, null if it has none."""
    content = {"schema": 1, "arms": [{**asdict(arm), "runs": [_content(run) for run in arm.runs]} for arm in arms]}
    return json.dumps(content, indent=2, ensure_ascii=False)


def _content(evaluation: Evaluation) -> dict[str, Any]:
    names = {"predictions_by_image": "answers"}  # the keys of schema 1
    return {names.get(key, key): value for key, value in asdict(evaluation).items()}
