"""`dropexp evaluate`: a trained network on the test images, also rotated, and with Monte-Carlo dropout."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.configs import TINY
from helpers.fake_runs import change, write_raw
from helpers.in_process import InProcess
from helpers.training import rows_of, train_run
from typer import BadParameter

from dropexp.cli.evaluate import image_numbers
from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.config.tasks import CLASSES
from dropexp.data.fashion_mnist import Data
from dropexp.errors import ConfigError, EvaluationError, RunError
from dropexp.files import add_checksum
from dropexp.report.tables.evaluation import tables_of, to_json
from dropexp.runs.epochs_table import Row
from dropexp.runs.folder import RunFolder
from dropexp.training import build, evaluate
from dropexp.training.evaluate import Evaluation, rotated
from dropexp.training.trained_network import load_trained


def run_of(folder: Path, data: Data, epochs: int | None = None, **keys: Any) -> list[Row]:
    keys = {"variant": "scratch", "hidden": [32, 16], "batch_size": 64, "epochs": 2, "init": "torch"} | keys
    planned = PlannedRun("study", None, "cell", Config.model_validate(keys))
    rows = train_run(planned, RunFolder(folder), data, torch.device("cpu"))
    finished = rows_of(itertools.islice(rows, epochs))
    rows.close()
    return finished


def evaluated(folder: Path, data: Data, *rotations: float, K: int = 5, images: tuple[int, ...] = (0, 1)) -> Evaluation:
    return evaluate.evaluate(load_trained(RunFolder(folder)), data, rotations, K, images)


@pytest.mark.parametrize("variant", ["none", "nn", "scratch", "classic", "dropconnect", "dropconnect-per-example"])
def test_unrotated_images_give_the_figures_of_the_last_epoch(variant: str, tmp_path: Path, data: Data) -> None:
    last = run_of(tmp_path, data, variant=variant)[-1]
    clean = evaluated(tmp_path, data).figures[0]
    assert clean.rotation == 0 and clean.acc == last["test_acc"]
    assert clean.loss == pytest.approx(last["test_loss"], rel=1e-5)


@pytest.mark.parametrize(("variant", "passes"), [("none", 0), ("scratch", 15), ("dropconnect-per-example", 15)])
def test_each_stochastic_pass_is_counted(variant: str, passes: int, tmp_path: Path, data: Data) -> None:
    run_of(tmp_path, data, variant=variant)
    trained, counted = load_trained(RunFolder(tmp_path)), []
    evaluate.evaluate(trained, data, [10, 20], 5, [], lambda: counted.append(1))
    assert len(counted) == passes == evaluate.num_passes(trained.config, [10, 20], 5)


def test_rotating_by_0_is_the_identity() -> None:
    X = torch.rand(3, 784)
    assert torch.equal(rotated(X, 0), X)
    torch.testing.assert_close(rotated(X, 360), X, atol=1e-4, rtol=0)


def test_images_rotate_counter_clockwise_on_a_black_background() -> None:
    X = torch.zeros(1, 28, 28)
    X[0, 0, :] = 1  # the upper edge
    quarter = rotated(X.flatten(1), 90).view(28, 28)
    assert quarter[:, 0].mean() > 0.9 and quarter[:, 1:].max() < 0.1
    assert rotated(torch.ones(1, 784), 45).view(28, 28)[0, 0] == 0


def test_figures_of_a_rotation_do_not_depend_on_other_rotations(tmp_path: Path, data: Data) -> None:
    run_of(tmp_path, data)
    one, other = evaluated(tmp_path, data, 30), evaluated(tmp_path, data, 60, 30, 60)
    assert [figures.rotation for figures in other.figures] == [0, 60, 30]
    assert one.figures == [other.figures[0], other.figures[2]]
    assert [row for row in other.predictions_by_image if row.rotation != 60] == one.predictions_by_image


def test_mutual_information_is_a_part_of_the_entropy(tmp_path: Path, data: Data) -> None:
    run_of(tmp_path, data)
    for figures in evaluated(tmp_path, data, 45, K=10).figures:
        assert figures.mc_entropy is not None and figures.mutual_information is not None
        assert 0 < figures.mutual_information < figures.mc_entropy < math.log(10)


def test_predictions_have_true_and_predicted_classes(tmp_path: Path, data: Data) -> None:
    run_of(tmp_path, data, epochs=None, lr=0.1)
    found = evaluated(tmp_path, data, 20, images=tuple(range(100)))
    clean = [one for one in found.predictions_by_image if one.rotation == 0]
    assert [one.label for one in clean] == [CLASSES[y] for y in data.y_test.tolist()]
    correct = sum(one.predicted == one.label for one in clean)
    assert correct / 100 == found.figures[0].mc_acc
    assert sum(one.entropy for one in clean) / 100 == pytest.approx(found.figures[0].mc_entropy)


@pytest.mark.usefixtures("one_thread")
def test_only_dropconnect_has_figures_of_moment_matching(tmp_path: Path, data: Data) -> None:
    found = {}
    for variant in ("dropconnect-per-example", "dropconnect"):
        run_of(tmp_path / variant, data, variant=variant, lr=0.1)
        found[variant] = evaluated(tmp_path / variant, data, K=50)
    figures = found["dropconnect-per-example"].figures[0]
    assert figures.moment_loss == pytest.approx(figures.mc_loss, rel=0.02)
    assert figures.moment_acc == pytest.approx(figures.mc_acc, abs=0.05)
    table = tables_of(found["dropconnect-per-example"], [])[0]
    assert len(table.headers) == len(table.rows[0]) == 14 and "50 samples by moment matching" in table.legend
    assert found["dropconnect"].figures[0].moment_acc is None
    assert len(tables_of(found["dropconnect"], [])[0].headers) == 10


@pytest.mark.parametrize("keys", [{"variant": "none"}, {"drop_probs": [0.0, 0.0]}])
def test_a_network_without_noise_has_no_figures_of_stochastic_passes(
    keys: dict[str, Any], tmp_path: Path, data: Data
) -> None:
    run_of(tmp_path, data, **keys)
    found = evaluated(tmp_path, data)
    assert found.passes is None and found.figures[0].mc_acc is None
    assert tables_of(found, [])[0].rows[0][-5:] == ["no noise"] * 5
    assert json.loads(to_json(found, []))["figures"][0]["mutual_information"] is None


def test_an_interrupted_run_is_evaluated_at_its_last_epoch_with_a_remark(tmp_path: Path, data: Data) -> None:
    first = run_of(tmp_path, data, epochs=1)[0]
    found = load_trained(RunFolder(tmp_path))
    assert found.epoch == 1
    assert "interrupted" in found.remarks[0] and "epoch 1 of 2" in found.remarks[0]
    assert evaluate.evaluate(found, data, [], 1, []).figures[0].acc == first["test_acc"]


def test_a_diverged_run_without_a_checkpoint_is_rejected(tmp_path: Path, data: Data) -> None:
    run_of(tmp_path, data, lr=1e30)
    with pytest.raises(RunError, match=r"diverged .* has no checkpoint"):
        load_trained(RunFolder(tmp_path))


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_corrupted_checkpoint_is_rejected(content: bytes, tmp_path: Path, data: Data) -> None:
    run_of(tmp_path, data, epochs=1)
    RunFolder(tmp_path).checkpoint.write_bytes(content)
    with pytest.raises(RunError, match=r"checkpoint\.pt is corrupted .*--force"):
        load_trained(RunFolder(tmp_path))


@pytest.mark.parametrize("shape", [(1, 32), None])
def test_a_checkpoint_of_another_network_is_rejected(shape: tuple[int, int] | None, tmp_path: Path, data: Data) -> None:
    run_of(tmp_path, data, epochs=1)
    folder = RunFolder(tmp_path)
    saved = torch.load(folder.checkpoint, weights_only=True)
    saved["network"] = saved["network"] | {"W1": torch.zeros(shape)} if shape else {}
    file = io.BytesIO()
    torch.save(saved, file)
    folder.checkpoint.write_bytes(add_checksum(file.getvalue()))
    with pytest.raises(RunError, match=r"checkpoint\.pt is corrupted"):
        load_trained(folder)


def test_a_network_larger_than_its_checkpoint_is_not_built(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(tmp_path, data, epochs=1)
    folder = RunFolder(tmp_path)
    change(folder, config=folder.read_info().config | {"hidden": [1_000_000, 1_000_000]})
    monkeypatch.setattr(build, "network", lambda *_: pytest.fail("terabytes"))
    with pytest.raises(RunError, match="smaller than the network"):
        load_trained(folder)


@pytest.mark.parametrize("changed", [{"settings": None}, {"config": []}, {"why": 5}])
def test_an_invalid_run_json_is_rejected(changed: dict[str, Any], tmp_path: Path, data: Data) -> None:
    run_of(tmp_path, data, epochs=1)
    write_raw(RunFolder(tmp_path), **changed)
    with pytest.raises(RunError, match=r"run\.json is corrupted"):
        load_trained(RunFolder(tmp_path))


def test_a_failed_run_is_evaluated_with_a_remark(tmp_path: Path, data: Data) -> None:
    run_of(tmp_path, data, epochs=1)
    change(RunFolder(tmp_path), status="failed", why="no memory")
    (remark,) = load_trained(RunFolder(tmp_path)).remarks
    assert remark == f"{tmp_path} is failed (no memory): this is its checkpoint after epoch 1 of 2"


def test_a_linear_regression_run_is_rejected(tmp_path: Path) -> None:
    config = Config.model_validate({"variant": "scratch", "task": "linear-regression", "epochs": 1})
    planned = PlannedRun("study", None, "cell", config)
    list(train_run(planned, RunFolder(tmp_path), None, torch.device("cpu")))
    with pytest.raises(ConfigError, match="linear-regression has no images"):
        load_trained(RunFolder(tmp_path))


def test_an_unknown_variant_is_an_error_that_names_the_option_plugin(tmp_path: Path, data: Data) -> None:
    run_of(tmp_path, data, epochs=1)
    folder = RunFolder(tmp_path)
    change(folder, config=folder.read_info().config | {"variant": "my-noise"})
    with pytest.raises(ConfigError, match=r"'my-noise' .* --plugin"):
        load_trained(folder)


def test_predictions_that_differ_from_those_of_the_training_are_counted(tmp_path: Path, data: Data) -> None:
    run_of(tmp_path, data)
    found = load_trained(RunFolder(tmp_path))
    assert found.kept is not None
    assert evaluate.evaluate(found, data, [30], 1, []).differing == 0
    others = replace(found.kept, classes=(found.kept.classes + np.array([1] * 7 + [0] * 93, np.uint8)) % 10)
    assert evaluate.evaluate(replace(found, kept=others), data, [30], 1, []).differing == 7
    assert evaluate.evaluate(replace(found, kept=None), data, [], 1, []).differing is None


def test_image_numbers_are_ranges_and_lists() -> None:
    assert image_numbers("0..3") == [0, 1, 2, 3]
    assert image_numbers("7, 2,10..11") == [7, 2, 10, 11]
    for text in ("", "a", "3..1", "-1", "1.5"):
        with pytest.raises(BadParameter):
            image_numbers(text)


def test_invalid_images_and_rotations_are_rejected(tmp_path: Path, data: Data) -> None:
    run_of(tmp_path, data, epochs=1)
    for images in ((100,), tuple(range(100_000))):
        with pytest.raises(EvaluationError, match="there is no test image 100; there are 0 to 99"):
            evaluated(tmp_path, data, images=images)
    with pytest.raises(EvaluationError, match="a rotation by nan degrees is not finite"):
        evaluated(tmp_path, data, math.nan)


def test_the_command_prints_tables_csv_and_json(cli: InProcess) -> None:
    cli("train", "-c", cli.write("tiny.yaml", TINY), "--jobs", "1", "-q")
    call = ["evaluate", "variant=scratch,seed=0", "--mc", "3", "--rotate", "30", "--rotate", "-60", "--images", "0..2"]
    table = cli(*call).stdout
    for text in ("clean", "30°", "-60°", "MC", "mutual", "3 passes", "Ankle boot", "By class", "most often taken for"):
        assert text in table
    rows = list(csv.DictReader(io.StringIO(cli(*call, "--format", "csv").stdout)))
    content = json.loads(cli(*call, "--format", "json").stdout)
    assert [float(row["rotation"]) for row in rows] == [0, 30, -60]
    assert [float(row["mc_loss"]) for row in rows] == [figures["mc_loss"] for figures in content["figures"]]
    assert sum(one["acc"] for one in content["classes"]) / 10 == pytest.approx(content["figures"][0]["acc"])
    assert content["differing"] == 0
    assert len(content["answers"]) == 9 and content["passes"] == 3 and content["epoch"] == 1
    assert "no noise" in cli("evaluate", "tiny/variant=none,seed=0", "--format", "md").stdout


def test_the_command_reports_errors(cli: InProcess) -> None:
    (cli.folder / "runs").mkdir()
    assert "(nothing yet) nor a folder of runs\n" in cli("evaluate", "nowhere", code=5).stderr
    assert "for --images: 'x' is not a list" in cli("evaluate", "nowhere", "--images", "x", code=2).stderr
    assert "--mc" in cli("evaluate", "nowhere", "--mc", "0", code=2).stderr
