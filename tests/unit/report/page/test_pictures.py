"""Pictures of the page, from arrays."""

from __future__ import annotations

import io
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from helpers.fake_runs import write_arm, write_predictions
from PIL import Image

from dropexp.analysis.comparison import compare
from dropexp.config.tasks import CLASSES
from dropexp.report.kept_predictions import kept_of
from dropexp.report.origin_of_runs import compared_runs
from dropexp.report.page.page import page
from dropexp.report.page.pictures import Arrays, galleries, png

IMAGES = np.linspace(0, 1, 50 * 784, dtype=np.float32).reshape(50, 784)
LABELS = (np.arange(50) % 10).astype(np.int64)


def decoded(url: str) -> np.ndarray:
    assert url.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(b64decode(url.partition(",")[2]))))


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    for variant in ("none", "nn"):
        for run in write_arm(tmp_path, variant, [0.8, 0.81]):
            write_predictions(run, 2, correct=0.8, images=50)
    return tmp_path


def test_a_picture_has_the_pixels_of_its_array() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert (decoded(png(pixels)) == pixels).all()


def test_samples_have_an_image_per_class_and_mistakes_name_both_classes(runs_dir: Path) -> None:
    kept = kept_of(compared_runs(compare((), runs_dir)))
    samples, mistakes = galleries(Arrays(IMAGES, LABELS), kept)
    ((_, pictures),) = samples.rows
    assert [picture.caption for picture in pictures][:2] == ["T-shirt/top", "Trouser"] and len(pictures) == 10
    assert [arm for arm, _ in mistakes.rows] == ["none", "nn"]
    worst = mistakes.rows[0][1]
    assert len(worst) == 8
    confidences = [float(picture.caption.split(", ")[1].rstrip("%")) for picture in worst]
    assert confidences == sorted(confidences, reverse=True) and confidences[0] > 50
    image = int(worst[0].alt.split()[2].rstrip(","))
    label, predicted = (CLASSES[(LABELS[image] + shift) % 10] for shift in (0, 1))
    assert image >= 40  # the last 20 % are wrong
    assert worst[0].alt == f"test image {image}, class {label}, predicted {predicted}"
    assert worst[0].caption.startswith(f"{label} → {predicted}, ")
    assert (decoded(worst[0].url) == (255 * IMAGES[image]).round().reshape(28, 28)).all()


def test_units_with_the_largest_weights_are_shown_around_grey() -> None:
    W = np.zeros((784, 40), np.float32)
    W[:, 7] = np.linspace(-1, 1, 784)
    (gallery,) = galleries(Arrays(weights={"nn": W}, seeds={"nn": 3}), {})
    ((title, (picture,)),) = gallery.rows
    sheet = decoded(picture.url)
    assert title == "nn, seed 3" and sheet.shape == (4 * 29, 8 * 29)
    assert sheet[0, 0] == 0 and sheet[27, 27] == 255 and sheet[0, 29] == 127
    broken = np.full((784, 3), np.nan, np.float32)
    assert galleries(Arrays(weights={"nn": broken}, seeds={"nn": 0}), {})


def test_the_page_has_pictures_only_with_arrays(runs_dir: Path) -> None:
    comparison = compare((), runs_dir)
    assert "<li><img" not in page(comparison)
    html = page(comparison, Arrays(IMAGES, LABELS))
    assert html.count("<li><img") == 10 + 2 * 8
