"""Reliability and confident mistakes of predictions."""

from __future__ import annotations

import numpy as np
import pytest

from dropexp.analysis.reliability import confident_mistakes, reliability
from dropexp.runs.predictions import Predictions


def predictions(classes: list[int], confidences: list[float], labels: list[int]) -> Predictions:
    return Predictions(
        np.array(labels, np.uint8),
        np.array(classes, np.uint8),
        np.array(confidences, np.float16),
        np.zeros(len(labels), np.float16),
    )


def test_bins_have_mean_confidence_accuracy_and_share_of_all_runs() -> None:
    first = predictions([0, 1], [0.875, 0.25], [0, 0])
    second = predictions([0, 0], [0.90625, 1.0], [1, 0])
    low, high, sure = reliability([first, second])
    assert (low.confidence, low.accuracy, low.share) == (0.25, 0.0, 0.25)
    assert (high.confidence, high.accuracy, high.share) == pytest.approx((0.890625, 0.5, 0.5))
    assert (sure.confidence, sure.accuracy, sure.share) == (1.0, 1.0, 0.25)


def test_the_worst_mistakes_are_those_of_most_runs() -> None:
    first = predictions([1, 2, 3], [0.5, 1.0, 0.75], [0, 0, 3])
    second = predictions([1, 0, 3], [0.75, 1.0, 0.75], [0, 0, 3])
    worst, other = confident_mistakes([first, second], 5)
    assert (worst.image, worst.label, worst.predicted, worst.confidence) == (0, 0, 1, 0.625)
    assert (other.image, other.predicted, other.confidence) == (1, 2, 0.5)
