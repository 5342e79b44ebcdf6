"""The dropout layer, and the torch.nn network behind the interface of the reference implementation."""

from __future__ import annotations

import copy
import io
import math
from typing import Any

import pytest
import torch
from helpers.autograd import copies, generator, problem, worst_error
from torch import Tensor, nn

from dropexp.config.schema import Config
from dropexp.nets.adam import Adam, Optimizer
from dropexp.nets.from_scratch import MLP
from dropexp.nets.sgd import SGD, Layer
from dropexp.nets.torch_nn import Dropout, InputNoise, TorchMLP, as_default_generator, mlp
from dropexp.training import build

# The layer


def test_the_repr_shows_the_options() -> None:
    assert repr(Dropout(0.5)) == "Dropout(p=0.5)"
    assert repr(Dropout()) == repr(Dropout(0.5))
    assert repr(Dropout(0.2, inplace=True)) == "Dropout(p=0.2, inplace=True)"


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan, math.inf])
def test_an_invalid_probability_is_rejected(p: float) -> None:
    with pytest.raises(ValueError, match=rf"p = {p} is not in \[0, 1\]"):
        Dropout(p)


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.8])
def test_kept_elements_are_scaled_and_the_mean_is_kept(p: float) -> None:
    Y = Dropout(p, generator=generator())(torch.ones(1000, 1000))
    assert Y.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)])
    deviation = math.sqrt(p * (1 - p) / 1e6)
    assert abs(float((Y == 0).float().mean()) - p) < 5 * deviation
    assert abs(float(Y.double().mean()) - 1) < 5 * deviation / (1 - p)


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_rows_and_columns_have_the_same_drop_rate_and_neighbours_are_independent(p: float) -> None:
    dropped = (Dropout(p, generator=generator())(torch.ones(1000, 1000)) == 0).double()
    for axis in (0, 1):
        assert (dropped.mean(dim=axis) - p).abs().max() < 6 * math.sqrt(p * (1 - p) / 1000)
    neighbours = float((dropped[:, 1:] * dropped[:, :-1]).mean())
    assert abs(neighbours - p * p) < 0.003  # independent


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
def test_the_distribution_equals_that_of_nn_dropout(p: float) -> None:
    X = torch.ones(1000, 1000)
    ours = Dropout(p, generator=generator(1))(X)
    with as_default_generator(generator(2)):
        theirs = nn.Dropout(p)(X)
    assert ours.max() == pytest.approx(theirs.max().item())
    assert abs(float((ours == 0).double().mean() - (theirs == 0).double().mean())) < 0.004
    assert ours.double().var().item() == pytest.approx(theirs.double().var().item(), rel=0.02)


def test_p_0_is_the_identity_bit_for_bit() -> None:
    X = torch.randn(50, 50)
    assert torch.equal(Dropout(0.0)(X), X)


def test_p_1_gives_zeros() -> None:
    assert torch.equal(Dropout(1.0)(torch.randn(50, 50)), torch.zeros(50, 50))


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_in_evaluation_mode_the_layer_is_the_identity(p: float, inplace: bool) -> None:
    X = torch.randn(50, 50)
    before = X.clone()
    assert torch.equal(Dropout(p, inplace).eval()(X), before)
    assert torch.equal(X, before)


def test_the_input_is_overwritten_only_with_inplace() -> None:
    X = torch.ones(50, 50)
    assert Dropout(0.5)(X) is not X
    assert torch.equal(X, torch.ones(50, 50))
    Y = Dropout(0.5, inplace=True)(X)
    assert Y.data_ptr() == X.data_ptr()
    assert X.min() == 0


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
@pytest.mark.parametrize("inplace", [False, True])
def test_integers_become_float(dtype: torch.dtype, inplace: bool) -> None:
    X = torch.ones(50, 50, dtype=dtype)
    Y = Dropout(0.5, inplace, generator=generator())(X)
    assert Y.dtype == torch.float32
    assert set(Y.unique().tolist()) == {0.0, 2.0}
    assert X.all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_float_types_are_kept(dtype: torch.dtype) -> None:
    Y = Dropout(0.5, generator=generator())(torch.ones(50, 50, dtype=dtype))
    assert Y.dtype == dtype
    assert set(Y.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 3, 4, 5)])
def test_any_shape_is_accepted(shape: tuple[int, ...]) -> None:
    assert Dropout(0.5)(torch.ones(shape)).shape == shape


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("inplace", [False, True])
def test_the_gradient_is_the_noise(p: float, inplace: bool) -> None:
    leaf = torch.ones(50, 50, requires_grad=True)
    Y = Dropout(p, inplace, generator=generator())(leaf * 1)  # not a leaf, which cannot be overwritten
    Y.sum().backward()
    assert leaf.grad is not None
    assert torch.equal(leaf.grad, Y.detach())  # for inputs of 1 the output is ξ


def test_the_mask_comes_from_the_generator_or_from_torchs_default_generator() -> None:
    X = torch.ones(20, 20)
    assert torch.equal(Dropout(0.5, generator=generator(1))(X), Dropout(0.5, generator=generator(1))(X))
    assert not torch.equal(Dropout(0.5, generator=generator(1))(X), Dropout(0.5, generator=generator(2))(X))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Y = Dropout(0.5)(X)
        torch.manual_seed(0)
        assert torch.equal(Y, Dropout(0.5)(X))
    before = torch.get_rng_state()
    Dropout(0.5, generator=generator())(X)
    assert torch.equal(torch.get_rng_state(), before)


# The network


def dropouts(*drop_probs: float) -> list[nn.Module | None]:
    """Return dropout for each hidden layer and none for the images."""
    return [None, *(nn.Dropout(p) for p in drop_probs)]


def test_dropout_follows_the_relu_of_each_hidden_layer() -> None:
    assert [str(layer) for layer in mlp([784, 256, 128, 10], dropouts(0.2, 0.5))] == [
        "Linear(in_features=784, out_features=256, bias=True)",
        "ReLU()",
        "Dropout(p=0.2, inplace=False)",
        "Linear(in_features=256, out_features=128, bias=True)",
        "ReLU()",
        "Dropout(p=0.5, inplace=False)",
        "Linear(in_features=128, out_features=10, bias=True)",
    ]


@pytest.mark.parametrize(
    ("noises", "options", "kinds"),
    [
        ([], {}, [nn.Linear, nn.ReLU, nn.Linear]),
        ([], {"output_relu": True}, [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU]),
        (dropouts(0.5), {"output_relu": True}, [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.ReLU]),
        (dropouts(0.5), {"before_relu": True}, [nn.Linear, nn.Dropout, nn.ReLU, nn.Linear]),
        ([nn.Dropout(0.1), None], {}, [nn.Dropout, nn.Linear, nn.ReLU, nn.Linear]),
        ([], {"input_noise_std": 0.1}, [InputNoise, nn.Linear, nn.ReLU, nn.Linear]),
    ],
)
def test_a_network_has_the_requested_layers(
    noises: list[nn.Module | None], options: dict[str, Any], kinds: list[type]
) -> None:
    assert [type(layer) for layer in mlp([8, 4, 2], noises, **options)] == kinds


def test_input_noise_has_its_standard_deviation_and_is_inactive_in_evaluation_mode() -> None:
    noise, X = InputNoise(0.3), torch.ones(1000, 1000)
    with as_default_generator(generator()):
        added = (noise(X) - X).double()
    assert abs(added.mean()) < 5 * 0.3 / 1000
    assert abs(added.std() / 0.3 - 1) < 5 / 1000  # the standard error of a standard deviation is 1/√(2n)
    assert noise.eval()(X) is X
    assert repr(noise) == "InputNoise(std=0.3)"


SIZES = [20, 16, 8, 10]


def network(
    layers: list[Layer],
    p: float = 0.5,
    optimizer: Optimizer | None = None,
    *,
    seed: int = 0,
    output_relu: bool = False,
    noise_at_eval: bool = False,
) -> TorchMLP:
    net = mlp(SIZES, dropouts(p, p), output_relu=output_relu).to(layers[0][0].dtype)
    return TorchMLP(net, layers, generator(seed), optimizer or SGD(), noise_at_eval=noise_at_eval)


def layers_of(net: TorchMLP) -> list[Layer]:
    """Return the parameters in the layout of `from_scratch.py`."""
    return [(m.weight.detach().T, m.bias.detach()) for m in net.net if isinstance(m, nn.Linear)]


@pytest.mark.parametrize("output_relu", [False, True])
@pytest.mark.parametrize(
    "sgd", [SGD(), SGD(divisor=32), SGD(momentum=0.9), SGD(weight_decay=0.01), SGD(0.9, 0.01, 4)], ids=str
)
def test_without_noise_the_network_steps_like_the_reference_implementation(sgd: SGD, output_relu: bool) -> None:
    layers, X, y, _ = problem(SIZES, 32, dtype=torch.float64)
    reference = MLP(copies(layers), [], generator(), sgd, output_relu=output_relu)
    net = network(layers, 0.0, sgd, output_relu=output_relu)
    for _ in range(3):  # momentum matters from the second step on
        torch.testing.assert_close(net.step(X, y, 0.3), reference.step(X, y, 0.3), rtol=1e-12, atol=1e-12)
    assert worst_error(layers_of(net), reference.layers) < 1e-12
    torch.testing.assert_close(net.logits(X), reference.logits(X), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("fused", [False, True])
def test_variant_nn_at_p_0_equals_variant_none_within_rounding(fused: bool) -> None:
    X = torch.rand(256, 784, generator=generator(1))
    y = torch.randint(10, (256,), generator=generator(2))
    keys = {"init": "torch", "drop_probs": [0.0, 0.0], "fused": fused, "momentum": 0.9, "weight_decay": 0.001}
    configs = [Config.model_validate({"variant": variant, **keys}) for variant in ("nn", "none")]
    nn_net, none = (build.network(config, generator(), generator()) for config in configs)
    assert isinstance(nn_net, TorchMLP)
    torch.testing.assert_close(nn_net.logits(X), none.logits(X), rtol=1e-6, atol=1e-6)
    for _ in range(2):
        torch.testing.assert_close(nn_net.step(X, y, 0.5), none.step(X, y, 0.5), rtol=1e-6, atol=1e-6)
    state = none.state()
    from_scratch = [(state[f"W{i}"], state[f"b{i}"]) for i in (1, 2, 3)]
    assert worst_error(layers_of(nn_net), from_scratch) < 1e-6


def test_the_initial_parameters_are_copied() -> None:
    layers, X, y, _ = problem(SIZES, 32)
    before = copies(layers)
    network(layers).step(X, y, 0.3)
    assert worst_error(layers, before) == 0


def test_a_step_returns_the_outputs_with_dropout_active_without_a_graph() -> None:
    layers, X, y, _ = problem(SIZES, 32)
    net = network(layers)
    clean = net.logits(X)
    noisy = net.step(X, y, 0.3)
    assert not noisy.requires_grad
    assert noisy.shape == clean.shape
    assert not torch.allclose(noisy, clean)


def test_torchs_default_generator_is_not_changed() -> None:
    layers, X, y, _ = problem(SIZES, 32)
    before = torch.get_rng_state()
    net = network(layers, noise_at_eval=True)
    torch.set_rng_state(before)  # nn.Linear used it
    net.step(X, y, 0.3)
    net.logits(X)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("variant", ["none", "nn", "scratch"])
def test_building_a_variant_does_not_change_torchs_default_generator(variant: str) -> None:
    before = torch.get_rng_state()
    build.network(Config.model_validate({"variant": variant}), generator(), generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_torchs_default_generator_is_restored_after_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), as_default_generator(generator()):
        torch.rand(3)
        _ = 1 / 0
    assert torch.equal(torch.get_rng_state(), before)


def test_as_default_generator_continues_the_generator() -> None:
    source, same = generator(), generator()
    with as_default_generator(source):
        one = torch.rand(3)
    with as_default_generator(source):
        two = torch.rand(3)
    assert torch.equal(torch.cat([one, two]), torch.cat([torch.rand(3, generator=same) for _ in range(2)]))


def test_networks_that_train_in_turn_do_not_affect_each_other() -> None:
    layers, X, y, _ = problem(SIZES, 32)

    def trained(in_turn: bool) -> list[Tensor]:
        nets = [network(layers, seed=1), network(layers, seed=2)]
        order = [0, 1] * 3 if in_turn else [0] * 3 + [1] * 3
        for which in order:
            nets[which].step(X, y, 0.3)
        return [net.logits(X) for net in nets]

    one_by_one, in_turn = trained(False), trained(True)
    assert torch.equal(torch.stack(one_by_one), torch.stack(in_turn))
    assert not torch.equal(one_by_one[0], one_by_one[1])


def test_evaluation_has_no_noise_unless_noise_at_eval_is_set() -> None:
    layers, X, y, _ = problem(SIZES, 32)
    clean = network(layers)
    clean.step(X, y, 0.3)
    assert torch.equal(clean.logits(X), clean.logits(X))
    noisy = network(layers, noise_at_eval=True)
    assert not torch.equal(noisy.logits(X), noisy.logits(X))
    assert not clean.logits(X).requires_grad


def test_a_stochastic_pass_uses_only_the_given_generator() -> None:
    layers, X, _, _ = problem(SIZES, 32)
    net = network(layers)
    before = net.generator.get_state()
    one, same, other = (net.logits(X, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(net.generator.get_state(), before)


def test_evaluation_does_not_change_the_training() -> None:
    layers, X, y, _ = problem(SIZES, 32)
    evaluated, plain = network(layers), network(layers)
    for _ in range(3):
        evaluated.step(X, y, 0.3)
        evaluated.logits(X)
        plain.step(X, y, 0.3)
    assert torch.equal(evaluated.logits(X), plain.logits(X))


@pytest.mark.parametrize(
    "optimizer",
    [SGD(), SGD(momentum=0.9, weight_decay=0.01, divisor=4), Adam(0.01), Adam(0.01, decoupled=True)],
    ids=str,
)
def test_a_restored_state_continues_like_the_original(optimizer: Optimizer) -> None:
    layers, X, y, _ = problem(SIZES, 32)
    net = network(layers, optimizer=optimizer)
    net.step(X, y, 0.3)
    file = io.BytesIO()
    torch.save(net.state(), file)
    file.seek(0)
    other = network(copies(layers), optimizer=optimizer, seed=9)
    other.load(torch.load(file, weights_only=True))
    other.generator.set_state(net.generator.get_state())
    for lr in (0.3, 0.1):
        assert torch.equal(net.step(X, y, lr), other.step(X, y, lr))
    assert torch.equal(net.logits(X), other.logits(X))


@pytest.mark.parametrize("optimizer", [SGD(momentum=0.9), Adam()], ids=str)
def test_a_state_that_does_not_fit_is_refused(optimizer: Optimizer) -> None:
    layers, X, y, _ = problem(SIZES, 32)
    net = network(layers, optimizer=optimizer)
    net.step(X, y, 0.1)
    for name in net.state()["optimizer"]["state"][0]:
        for wrong in (None, 0.5, torch.zeros(3)):  # None: it is missing
            state = copy.deepcopy(net.state())
            if wrong is None:
                del state["optimizer"]["state"][0][name]
            else:
                state["optimizer"]["state"][0][name] = wrong
            with pytest.raises((ValueError, LookupError, AttributeError)):
                net.load(state)
    net.load(net.state())
