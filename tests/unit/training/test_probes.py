"""Probes: what each one measures, and that measuring does not change the training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.training import train_run
from helpers.weights import same, saved
from torch import Tensor

from dropexp.config.fields import PROBES
from dropexp.config.planned_run import PlannedRun
from dropexp.config.schema import Config
from dropexp.config.variant_table import VARIANTS
from dropexp.data.fashion_mnist import Data
from dropexp.nets.network_interface import Network
from dropexp.runs.folder import RunFolder
from dropexp.training import build, probes
from dropexp.training.predictive_distribution import predictive
from dropexp.training.rng import stream

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
ALL: list[Any] = ["weight_norms", "activations", "correlation", "noise_at_test", "calibration", {"mc": 3}]
COLUMNS = [
    *("w1_norm", "w2_norm", "w3_norm"),
    *("h1_mean", "h1_var", "h1_zero", "h1_noisy_mean", "h1_noisy_var"),
    *("h2_mean", "h2_var", "h2_zero", "h2_noisy_mean", "h2_noisy_var"),
    *("h1_corr", "h2_corr"),
    *("noisy_acc", "noisy_loss", "noisy_flips", "ece", "mc_acc", "mc_loss", "mc_ece"),
]


def built(**keys: Any) -> Network:
    config = Config.model_validate({"hidden": [32, 16], "init": "torch"} | keys)
    return build.network(config, stream(0, "init"), stream(0, "noise"))


def measured(probe: Any, network: Network, data: Data) -> dict[str, float]:
    return probes.measure([probe], network, data.X_test, data.y_test, lambda name: stream(0, name))


def planned(**keys: Any) -> PlannedRun:
    keys = {"hidden": [32, 16], "batch_size": 64, "epochs": 3, "init": "torch", "lr": 0.1} | keys
    return PlannedRun("study", None, "cell", Config.model_validate(keys))


def table(run: PlannedRun, folder: Path, data: Data) -> pd.DataFrame:
    list(train_run(run, RunFolder(folder), data, CPU))
    return pd.read_csv(folder / "epochs.csv", dtype=str)


@pytest.mark.parametrize("variant", ["nn", "scratch", "dropconnect"])
def test_weight_norms_equal_those_of_torch(variant: str, data: Data) -> None:
    network = built(variant=variant)
    norms = measured("weight_norms", network, data)
    assert [W.shape for W in network.weights()] == [(784, 32), (32, 16), (16, 10)]
    for i, W in enumerate(network.weights(), start=1):
        assert norms[f"w{i}_norm"] == pytest.approx(torch.linalg.matrix_norm(W).item(), rel=1e-6)


def test_activations_follow_from_the_parameters(data: Data) -> None:
    network = built(variant="scratch")
    state: Any = network.state()
    H1 = (data.X_test @ state["W1"] + state["b1"]).relu()
    H2 = (H1 @ state["W2"] + state["b2"]).relu()
    found = measured("activations", network, data)
    for name, H in (("h1", H1), ("h2", H2)):
        assert found[f"{name}_mean"] == pytest.approx(H.mean().item(), rel=1e-5)
        assert found[f"{name}_var"] == pytest.approx(H.var(correction=0).item(), rel=1e-5)
        assert found[f"{name}_zero"] == (H == 0).double().mean().item()


@pytest.mark.parametrize("value", [0.7, 1.1, 2.2])
def test_the_variance_of_constant_activations_is_not_negative(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    network = built(variant="none")
    monkeypatch.setattr(network, "hidden", lambda X, generator=None: [torch.full((len(X), 3), value)])
    found = probes.activations(network, torch.zeros(500, 784), torch.zeros(500), stream(0, "probe"))
    assert found["h1_mean"] == pytest.approx(value)
    assert 0 <= found["h1_var"] < 1e-14


@pytest.mark.parametrize("hidden", [[32, 16], [300, 2]])
def test_correlations_are_those_of_numpy(hidden: list[int], data: Data) -> None:
    network = built(variant="scratch", hidden=hidden)
    found = measured("correlation", network, data)
    assert list(found) == ["h1_corr", "h2_corr"]
    for H, value in zip(network.hidden(data.X_test), found.values(), strict=True):
        r = np.abs(np.corrcoef(H[:, H.std(dim=0) > 0].double().numpy(), rowvar=False))
        assert value == pytest.approx(r[np.triu_indices(len(r), 1)].mean(), rel=1e-9)


def test_a_unit_that_is_constant_is_in_no_pair() -> None:
    x = torch.linspace(0, 1, 100, dtype=torch.float64)
    zero, one = torch.zeros_like(x), torch.full_like(x, 0.1)  # whose mean is rounded
    wave = torch.sin(40 * x)
    pair = probes._mean_correlation(torch.stack([x, wave], dim=1))
    assert 0 < pair < 1
    assert probes._mean_correlation(torch.stack([zero, x, one, wave, zero], dim=1)) == pytest.approx(pair)
    assert probes._mean_correlation(torch.stack([x, 3 - 2 * x, x + 1], dim=1)) == pytest.approx(1)
    assert math.isnan(probes._mean_correlation(torch.stack([x, zero, one], dim=1)))


@pytest.mark.parametrize("variant", ["nn", "scratch", "gaussian", "three-point"])
def test_noise_keeps_the_mean_of_the_first_layer_and_increases_its_variance(variant: str, data: Data) -> None:
    found = measured("activations", built(variant=variant, drop_probs=[0.5, 0.5], hidden=[512, 16]), data)
    assert found["h1_noisy_mean"] == pytest.approx(found["h1_mean"], rel=0.03)
    second_moment = found["h1_var"] + found["h1_mean"] ** 2
    added = {"three-point": 0.5}.get(variant, 1.0) * second_moment  # Var[ξ]·E[h²], with Var[ξ] = p/(1 − p) or half
    assert found["h1_noisy_var"] == pytest.approx(found["h1_var"] + added, rel=0.05)


def test_classic_dropout_scales_activations_in_evaluation_mode(data: Data) -> None:
    plain, classic = (measured("activations", built(variant=name), data) for name in ("none", "classic"))
    assert classic["h1_mean"] == pytest.approx(0.8 * plain["h1_mean"], rel=1e-5)


@pytest.mark.parametrize("variant", ["nn", "scratch"])
def test_hidden_units_with_noise_before_the_relu_are_never_negative(variant: str, data: Data) -> None:
    network = built(variant=variant, placement="before")
    for generator in (None, stream(0, "x")):
        assert all(H.min() == 0 for H in network.hidden(data.X_test, generator))


def test_noise_at_test_changes_predictions_only_if_the_network_has_noise(data: Data) -> None:
    found = measured("noise_at_test", built(variant="scratch"), data)
    generator = stream(0, "noise_at_test")
    network = built(variant="scratch")
    first, second = (network.logits(data.X_test, generator).argmax(dim=1) for _ in range(2))
    assert found["noisy_acc"] == (first == data.y_test).double().mean().item()
    assert found["noisy_flips"] == (first != second).double().mean().item() > 0
    assert measured("noise_at_test", built(variant="none"), data)["noisy_flips"] == 0


def test_without_noise_the_mean_over_passes_equals_the_evaluation_pass(data: Data) -> None:
    network = built(variant="none")
    loss = torch.nn.functional.cross_entropy(network.logits(data.X_test), data.y_test).item()
    found = measured({"mc": 4}, network, data)
    assert found["mc_loss"] == pytest.approx(loss, rel=1e-6)
    assert found["mc_ece"] == pytest.approx(measured("calibration", network, data)["ece"], rel=1e-9)


def test_the_mean_over_many_passes_converges_to_the_mean_over_all_masks(data: Data) -> None:
    """With one hidden layer of 4 units and p = 0.5, the 16 masks are equally likely."""
    network = built(variant="scratch", hidden=[4], drop_probs=[0.5])
    state: Any = network.state()
    H = (data.X_test @ state["W1"] + state["b1"]).relu()
    masks = torch.cartesian_prod(*[torch.tensor([0.0, 2.0])] * 4)
    P = torch.stack([((mask * H) @ state["W2"] + state["b2"]).softmax(dim=1) for mask in masks]).mean(dim=0)
    exact = -P.gather(1, data.y_test[:, None]).log().mean().item()
    few, many = (abs(measured({"mc": K}, network, data)["mc_loss"] - exact) for K in (1, 2000))
    assert many < 1e-3 < few


def test_the_mean_is_taken_over_probabilities() -> None:
    passes = [torch.tensor([[2.0, 0.0]]), torch.tensor([[-1.0, 0.0]])]
    P = torch.stack([O.softmax(dim=1) for O in passes]).mean(dim=0).squeeze()
    mean = predictive(passes)
    assert mean.loss(torch.tensor([1])) == pytest.approx(-math.log(P[1]))
    assert mean.entropy.item() == pytest.approx(-sum(p * math.log(p) for p in P.tolist()))


def test_mutual_information_is_0_for_equal_passes_and_log_2_for_opposite_ones() -> None:
    certain, opposite = torch.tensor([[50.0, 0.0]]), torch.tensor([[0.0, 50.0]])
    assert predictive([certain, certain]).mutual_information.item() == pytest.approx(0, abs=1e-12)
    assert predictive([certain, opposite]).mutual_information.item() == pytest.approx(math.log(2))


def test_the_loss_of_a_certain_mistake_is_finite() -> None:
    assert predictive([torch.tensor([[5000.0, 0.0]])]).loss(torch.tensor([1])) == 5000


def test_the_calibration_error_equals_an_example_by_hand() -> None:
    """Confidences 0.9 and 0.9 (one correct) share a bin, 0.6 (correct) has another: (|1 − 1.8| + |1 − 0.6|) / 3."""
    P = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    found = predictive([P.log()]).calibration_error(torch.tensor([0, 1, 1]))
    assert found == pytest.approx((0.8 + 0.4) / 3, rel=1e-6)


def test_a_certain_and_correct_network_has_no_calibration_error() -> None:
    assert predictive([torch.eye(10) * 1000]).calibration_error(torch.arange(10)) == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_probes_do_not_change_the_training(variant: str, tmp_path: Path, data: Data) -> None:
    plain = table(planned(variant=variant), tmp_path / "plain", data)
    probed = table(planned(variant=variant, probes=ALL), tmp_path / "probed", data)
    assert list(probed.columns) == [*plain.columns, *COLUMNS]
    of_training = plain.columns.drop("seconds")
    assert probed[of_training].to_csv() == plain[of_training].to_csv()
    assert same(saved(tmp_path / "probed"), saved(tmp_path / "plain"))


@pytest.mark.parametrize("keys", [{"noise_at_eval": True}, {"drop_schedule": "random"}, {"mask": "per-batch"}])
def test_probes_do_not_change_a_training_with_special_noise(keys: dict[str, Any], tmp_path: Path, data: Data) -> None:
    plain = table(planned(variant="scratch", **keys), tmp_path / "plain", data)
    probed = table(planned(variant="scratch", probes=ALL, **keys), tmp_path / "probed", data)
    of_training = plain.columns.drop("seconds")
    assert probed[of_training].to_csv() == plain[of_training].to_csv()


def test_a_probe_does_not_depend_on_other_probes(tmp_path: Path, data: Data) -> None:
    alone = table(planned(variant="scratch", probes=[{"mc": 3}]), tmp_path / "alone", data)
    joint = table(planned(variant="scratch", probes=ALL), tmp_path / "joint", data)
    assert list(alone["mc_loss"]) == list(joint["mc_loss"])
    assert len(set(alone["mc_loss"])) == 3


@pytest.mark.parametrize("variant", ["nn", "scratch"])
def test_a_resumed_run_has_the_same_probes(variant: str, tmp_path: Path, data: Data) -> None:
    run = planned(variant=variant, probes=ALL)
    whole = table(run, tmp_path / "whole", data)
    rows = train_run(run, RunFolder(tmp_path / "cut"), data, CPU)
    next(rows)
    rows.close()
    resumed = table(run, tmp_path / "cut", data)
    pd.testing.assert_frame_equal(resumed.drop(columns="seconds"), whole.drop(columns="seconds"))


def test_probes_do_not_depend_on_the_number_of_threads(data: Data) -> None:
    network = built(variant="scratch", hidden=[300, 200])
    X, y = data.X_train.repeat(4, 1), data.y_train.repeat(4)
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(probes.measure(ALL, network, X, y, lambda name: stream(0, name)))
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1]


def test_a_diverged_run_has_all_columns(tmp_path: Path, data: Data) -> None:
    found = table(planned(variant="scratch", probes=ALL, lr=1e30), tmp_path, data)
    assert list(found.columns)[-len(COLUMNS) :] == COLUMNS
    assert found["ece"].isna().all() and found["mc_loss"].isna().all()


def test_hidden_units_are_equal_in_all_networks(data: Data) -> None:
    def hidden(**keys: Any) -> list[Tensor]:
        return built(**keys).hidden(data.X_test)

    for reference, fused, nn in zip(
        hidden(variant="scratch", fused=False), hidden(variant="scratch"), hidden(variant="nn"), strict=True
    ):
        torch.testing.assert_close(reference, fused)
        torch.testing.assert_close(reference, nn)


def test_every_probe_is_a_valid_config_value() -> None:
    assert {*PROBES, "mc"} == set(probes._PROBES)
