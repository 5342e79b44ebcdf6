"""Fetch the images and weights that a report shows: they need the data set, checkpoints and torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropexp.cli.output import print_message
from dropexp.errors import DropexpError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dropexp.analysis.comparison import Comparison
    from dropexp.report.page.pictures import Arrays


def fetch_arrays(comparison: Comparison, data_dir: Path | None) -> Arrays | None:
    """Return test images and first-layer weights of the first arms; None for runs that have kept no predictions."""
    from dropexp.report.origin_of_runs import compared_runs
    from dropexp.report.page.pictures import ARMS, Arrays

    runs = compared_runs(comparison)
    if not any(run.predictions_sha256 for run in runs):
        return None
    from dropexp.interrupts import import_torch

    import_torch()
    from dropexp.training.trained_network import load_trained

    weights: dict[str, NDArray[Any]] = {}
    seeds: dict[str, int] = {}
    for run in runs:
        if run.arm not in weights and len(weights) < ARMS:
            try:
                weights[run.arm] = load_trained(run.folder).network.weights()[0].detach().numpy()
                seeds[run.arm] = run.seed
            except DropexpError:  # no checkpoint, or one that cannot be loaded here: the arm has no picture
                continue
    images = labels = None
    try:
        images, labels = _test_images(data_dir)
    except DropexpError as error:
        print_message(f"note: the report has no images: {error}")
    return Arrays(images, labels, weights, seeds)


def _test_images(data_dir: Path | None) -> tuple[NDArray[Any], NDArray[Any]]:
    from dropexp.cli.options import find_data
    from dropexp.data import fashion_mnist

    data = fashion_mnist.load(find_data(data_dir))
    return data.X_test.numpy(), data.y_test.numpy()
