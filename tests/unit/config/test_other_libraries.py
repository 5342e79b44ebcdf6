"""Keys and values as other libraries call them."""

from __future__ import annotations

import pytest
from helpers.configs import problems

from dropexp.config.other_libraries.keys import _ROWS
from dropexp.config.other_libraries.values import _VALUES
from dropexp.config.schema import STUDY_KEYS, Config
from dropexp.did_you_mean import letters


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("learning_rate: 0.1", " (did you mean 'lr'?)"),
        ("LearningRate: 0.1", " (did you mean 'lr'?)"),
        ("num_epochs: 3", " (did you mean 'epochs'?)"),
        ("lr_rate: 0.1", " (did you mean 'lr'?)"),
        ("_Learning-Rate_: 0.1", " (did you mean 'lr'?)"),
        ("LR_: 0.1", " (did you mean 'lr'?)"),
        ("Epochs: 3", " (did you mean 'epochs'?)"),
        (
            "test_size: 0.2",
            ": the test set is always the 10,000 test images; validation_size takes images from the training set",
        ),
        ("wd: 1e-4", " (did you mean 'weight_decay'?)"),
        ("opt: adam", " (did you mean 'optimizer'?)"),
        ("patience: 3", " (did you mean 'early_stopping'?); the patience, in epochs"),
        (
            "dropout: 0.5",
            " (did you mean 'drop_probs'?); a list with the probability to DROP for each hidden layer: drop_probs = "
            "[0.5, 0.5]",
        ),
        (
            "dropout_rate: [0.2, 0.5]",
            " (did you mean 'drop_probs'?); a list with the probability to DROP for each hidden layer",
        ),
        (
            "num_hiddens: 128",
            " (did you mean 'hidden'?); a list with the width of each hidden layer: hidden = [128, 128]",
        ),
        (
            "validation_split: 0.1",
            " (did you mean 'validation_size'?); a number of images, which leave the training set of 60,000: "
            "validation_size = 6000",
        ),
        (
            "kernel_regularizer: 0.001",
            " (did you mean 'weight_decay'?); λ of λ/2·‖w‖²; λ·‖w‖² without the ½, as in Keras, is twice as strong: "
            "weight_decay = 0.002",
        ),
        *((f"{name}: 1", " (did you mean 'lr'?)") for name in ("lr_init", "peak_lr", "learning_rates")),
        *(
            (f"{name}: 8", " (did you mean 'hidden'?); a list with the width of each hidden layer: hidden = [8, 8]")
            for name in ("features", "n_units", "neurons", "mlp_dims", "layer_sizes", "layers_sizes")
        ),
        *(
            (f"{name}: 3", " (did you mean 'hidden'?); a list with the width of each hidden layer")
            for name in ("layers", "hidden_layers", "n_layers", "num_layers")
        ),
        (
            "attention_dropout: 0.1",
            " (did you mean 'drop_probs'?); a list with the probability to DROP for each hidden layer: drop_probs = "
            "[0.1, 0.1]",
        ),
        (
            "eval: true",
            ": eval_train and eval_test choose the sets that are evaluated, eval_every the epochs",
        ),
        *(
            (f"{name}: [nn, none]", "; several variants are a list in `matrix`: matrix: {variant: [nn, none]}")
            for name in ("variants", "models")
        ),
        ("variants: [Dropout]", "; several variants are a list in `matrix`: matrix: {variant: [none, nn]}"),
        ("variants: {a: {lr: 1}}", " (did you mean 'arms'?); a mapping from names to {key: value, …}"),
        (
            "runs: 5",
            " (did you mean 'seed'?); several seeds are a range in `matrix`: seed: 0..4, or --seeds 0..4",
        ),
        (
            "trials: 3",
            " (did you mean 'seed'?); several seeds are a range in `matrix`: seed: 0..4, or --seeds 0..4; the trials "
            "of a search are in `tune`: tune: {trials: 20, …}",
        ),
        ("fused_adam: true", " (did you mean 'optimizer'?); optimizer: adam"),
        ("penalty: l2", " (did you mean 'weight_decay'?); λ of λ/2·‖w‖², a number"),
        ("C: 1", " (did you mean 'weight_decay'?); a larger one is a stronger penalty, unlike a larger C"),
        *((f"{name}: x", ": write a comment: # …") for name in ("comment", "description", "notes")),
        *((f"{name}: x", f": it is an option of compare: --{name}") for name in ("margin", "metric", "baseline")),
        ("validation_batch_size: 9", ": batch_size is that of training; that of evaluation cannot be set"),
        ("activation: relu", ": the hidden layers have ReLU"),
        ("device: cuda", ": it is an option of the command: --device"),
        ("metrics: {mc: 50}", " (did you mean 'probes'?); a list, such as [weight_norms, mc: 50]"),
        ("early_stop: {patience: 3}", " (did you mean 'early_stopping'?); the patience, in epochs"),
        ("experiments: [{variant: nn}]", " (did you mean 'arms'?); a mapping from names to {key: value, …}"),
        ("models: 5", " (did you mean 'arms'?); a mapping from names to {key: value, …}"),
        ("training: {lr: 1}", "; keys cannot be nested: write them at the top level; a key for anchors starts with x-"),
        ("grid: {lr: [0.1]}", " (did you mean 'matrix'?); several values are a list in `matrix`, or --sweep on the "
         "command line"),
    ],
)  # fmt: skip
def test_a_key_of_another_library_gets_ours_with_its_value(line: str, remedy: str) -> None:
    key = line.partition(":")[0]
    assert problems(f"variant: nn\n{line}\n") == [f"study.yaml:2: unknown key {key!r}{remedy}"]


@pytest.mark.parametrize(
    ("line", "unknown", "where"),
    [
        ("model: {hidden: [64]}", "model", "at the top level; a key for anchors starts with x-"),
        ("optim: {type: sgd, lr: 0.1}", "optim", "at the top level; a key for anchors starts with x-"),
        ("hparams: {lr: 0.1}", "hparams", "at the top level; a key for anchors starts with x-"),
        ("arms: {a: {model: {hidden: [64]}}}", "model", "in arms.a itself"),
        ("matrix: {model: {hidden: [[64], [32]]}}", "model", "in matrix itself"),
    ],
)
def test_keys_below_a_key_of_another_library_are_not_nested_here(line: str, unknown: str, where: str) -> None:
    (found,) = problems(f"variant: nn\n{line}\n")
    assert found == f"study.yaml:2: unknown key {unknown!r}; keys cannot be nested: write them {where}"


def test_a_quoted_merge_key_is_reported_with_the_way_to_merge() -> None:
    (found,) = problems('x-w: &w {lr: 1}\nvariant: nn\n"<<": *w\n')
    assert found == "study.yaml:3: unknown key '<<'; to merge the keys of an anchor, write << without quotes"


@pytest.mark.parametrize("line", ["matix: {seed: 0..4}", "sweep: {seed: 0..4}", "grid: {foo: 1}"])
def test_a_mapping_like_a_matrix_is_one(line: str) -> None:
    (found,) = problems(f"variant: nn\n{line}\n")
    assert " (did you mean 'matrix'?)" in found


@pytest.mark.parametrize(
    "key", ["base", "max_fun", "warm_start", "noise_shape", "training", "transform", "defaults", "features_in"]
)
def test_a_key_that_is_not_like_ours_suggests_none(key: str) -> None:
    problem, *_ = problems(f"variant: nn\n{key}: 1\n")
    assert problem == f"study.yaml:2: unknown key {key!r}, which is not one of the keys listed below"


@pytest.mark.parametrize(
    ("lines", "named", "ours"),
    [
        (("dropout1: 0.2", "dropout2: 0.5"), "'dropout1' and 'dropout2'", "drop_probs = [0.2, 0.5]"),
        (("num_hiddens2: 64", "num_hiddens1: 256"), "'num_hiddens1' and 'num_hiddens2'", "hidden = [256, 64]"),
    ],
)
def test_keys_that_are_numbered_by_layer_are_one_list(lines: tuple[str, str], named: str, ours: str) -> None:
    (problem,) = problems("\n".join(["variant: nn", *lines]))
    key = ours.partition(" ")[0]
    assert problem.endswith(f": unknown keys {named} (did you mean {key!r}?); they are one list: {ours}")
    _, *alone = problems(f"variant: nn\nlr: 0\n{lines[0]}")
    assert key in alone[0] and " = " not in alone[0]


@pytest.mark.parametrize("line", ["matrix: {variants: [nn, none]}", "arms: {a: {variants: nn}}"])
def test_a_key_of_runs_that_is_like_ours_is_not_sent_to_the_top_of_the_file(line: str) -> None:
    assert problems(line) == ["study.yaml:1: unknown key 'variants' (did you mean 'variant'?)"]


@pytest.mark.parametrize("section", ["train_size: 600", "matrix: {train_size: [600, 1000]}"])
def test_a_share_for_validation_is_not_converted_beside_a_train_size(section: str) -> None:
    (found,) = problems(f"variant: nn\n{section}\nvalidation_split: 0.2\n")
    assert found.endswith("; a number of images, which leave the training set of 60,000")


def test_values_in_a_matrix_and_of_other_layers_are_converted() -> None:
    (found,) = problems("variant: nn\nhidden: [8, 8, 8]\nmatrix: {dropout: [0.1, 0.2]}\n")
    assert found.endswith(": drop_probs = [[0.1, 0.1, 0.1], [0.2, 0.2, 0.2]]")


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("variant: droput", "; dropout is nn, which is nn.Dropout, or scratch"),
        ("variant: dropconect", " (did you mean 'dropconnect'?)"),
        ("variant: no", "; without dropout it is called none"),
        ("variant: null", "; without dropout it is called none"),
        ("optimizer: Adam", " (did you mean 'adam'?)"),
        ("optimizer: nag", "; it is sgd with momentum: 0.9 and nesterov: true"),
        *((f"optimizer: {name}", "; the nearest is adam") for name in ("RMSprop", "torch.optim.NAdam")),
        ("optimizer: torch.optim.SGD", " (did you mean 'sgd'?)"),
        ("variant: torch.nn.Dropout", "; nn is nn.Dropout"),
        ("lr_schedule: CosineAnnealingLR", "; it is called cosine"),
        ("precision: fp16", "; it is bf16"),
        ("init: kaiming_uniform", "; torch is nn.Linear's default, a uniform Kaiming rule"),
        ("eval_test: no", " (did you mean false?)"),
        ("weight_decay: none", "; its default is 0"),
        ("train_size: full", "; its default is all"),
        ("probes: [calibrated]", " (did you mean 'calibration'?)"),
    ],
)
def test_a_value_of_another_library_gets_ours(line: str, remedy: str) -> None:
    variant = "" if line.startswith("variant") else "variant: nn\n"
    (found,) = problems(f"{variant}{line}\n")
    assert found.endswith(remedy)


def test_the_table_maps_to_keys_that_exist_and_from_names_that_do_not() -> None:
    ours = {*Config.model_fields, *STUDY_KEYS}
    names = [name for _, listed in _ROWS for name in listed.split()]
    assert {here.key for here, _ in _ROWS} <= {*ours, ""}
    assert not ours & set(names)
    by_letters = {letters(name): here for here, listed in _ROWS for name in listed.split()}
    assert all(by_letters[letters(name)] is here for here, listed in _ROWS for name in listed.split())
    assert _VALUES.keys() <= ours
