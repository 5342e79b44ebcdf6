"""What Keras, PyTorch, scikit-learn, Lightning and d2l call the keys of a config, and what they are here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dropexp.config.other_libraries.keep_probs import drop_probs_instead
from dropexp.config.schema import STUDY_KEYS, Config
from dropexp.config.tasks import NUM_TRAIN_IMAGES
from dropexp.config.values import whole
from dropexp.config.yaml import KeyPath
from dropexp.did_you_mean import did_you_mean, letters, nearest

MAX_LENGTH = 200  # of a converted value in a message
MIN_ABBREVIATION = len("--abcd")  # a shorter option, such as --lr, is rather a key than the beginning of an option


@dataclass(frozen=True)
class _Here:
    """The key of this program, "" if there is none, and a note on what differs.

    `convert` returns its value for the other key's value and the number of hidden layers; None if there is none.
    """

    key: str
    note: str = ""
    convert: Callable[[Any, int], Any] | None = None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _per_layer(value: Any, layers: int) -> Any:
    """Return a value for each hidden layer; None if it is not a number."""
    return [value] * layers if _is_number(value) and layers <= 20 else None


def _images(value: Any, layers: int) -> Any:
    """Return the number of images in a share of the training set; None if the value is not a share."""
    return round(value * NUM_TRAIN_IMAGES) if _is_number(value) and 0 < value < 1 else None


def _doubled(value: Any, layers: int) -> Any:
    return float(f"{2 * value:.12g}") if _is_number(value) and value >= 0 else None


def _in_list(value: Any, layers: int) -> Any:
    return [value] if isinstance(value, str) else None


_L2 = "λ of λ/2·‖w‖²; λ·‖w‖² without the ½, as in Keras, is twice as strong"
_DROP = "a list with the probability to DROP for each hidden layer"
_SEEDS = "several seeds are a range in `matrix`: seed: 0..4, or --seeds 0..4"
_MATRIX = "several values are a list in `matrix`, or --sweep on the command line"
_OPTION = "it is an option of the command: "
_ROWS: list[tuple[_Here, str]] = [
    (_Here("lr"),
     "lr_rate lrate learning_rate learn_rate learning_rate_init initial_learning_rate initial_lr init_lr base_lr "
     "max_lr lr0 eta eta0 lr_init peak_lr learning_rates"),
    (_Here("epochs"),
     "num_epochs n_epochs nb_epoch nb_epochs max_epochs max_epoch total_epochs train_epochs training_epochs "
     "num_train_epochs number_of_epochs max_iter n_iter passes"),
    (_Here("batch_size"),
     "batch bs batchsize minibatch mini_batch minibatch_size mini_batch_size train_batch_size num_batch mbs "
     "per_device_train_batch_size examples_per_batch"),
    (_Here("drop_probs", _DROP, _per_layer),
     "dropout dropout_rate dropout_rates dropout_p dropout_prob dropout_probs dropout_probability dropout_ratio "
     "dropouts drop drop_rate drop_rates drop_p drop_prob drop_probability drop_ratio p p_drop pdrop p_dropout "
     "rate hidden_dropout hidden_dropout_prob hidden_drop_prob hidden_drop_probs fc_dropout mlp_dropout "
     "layer_dropout attention_dropout "
     "attn_dropout"),
    (_Here("drop_probs", "it has an entry for each hidden layer"),
     "dropout1 dropout2 drop_prob1 drop_prob2 dropout_1 dropout_2 drop1 drop2 p1 p2"),
    (_Here("input_drop_prob"),
     "input_dropout input_dropout_rate input_drop_rate input_drop input_p visible_dropout pixel_dropout "
     "input_dropout_prob dropout_input dropout_in"),
    (_Here("hidden", "a list with the width of each hidden layer", _per_layer),
     "hidden_size hidden_sizes hidden_dim hidden_dims hidden_units hidden_layer_sizes hidden_width "
     "num_hidden num_hiddens n_hidden nhid units width "
     "widths layer_sizes fc_dims num_units hidden_features dims features n_units neurons n_neurons "
     "mlp_dims layers_sizes"),
    (_Here("hidden", "a list with the width of each hidden layer"),
     "layers hidden_layers num_layers n_layers nlayers depth num_hidden_layers num_hiddens1 num_hiddens2 "
     "num_hiddens_1 num_hiddens_2"),
    (_Here("weight_decay"), "wd weightdecay lambd lambda lam l2_weight_decay wdecay"),
    (_Here("weight_decay", _L2, _doubled),
     "l2 l2_reg l2reg l2_penalty l2_lambda l2_regularization l2_regularizer kernel_regularizer reg reg_lambda "
     "regularization"),
    (_Here("weight_decay", "λ of λ/2·‖w‖², a number"), "penalty"),
    (_Here("weight_decay", "a larger one is a stronger penalty, unlike a larger C"), "C"),
    (_Here("l1"), "l1_reg l1_penalty l1_lambda l1_regularization l1_weight lasso"),
    (_Here("early_stopping", "the patience, in epochs"),
     "patience earlystopping early_stop early_stopping_patience early_stopping_rounds es_patience n_iter_no_change "
     "stop_patience"),
    (_Here("optimizer"), "opt optim optimiser solver updater trainer optimizer_name optimizer_type algorithm"),
    (_Here("optimizer", "optimizer: adam"), "fused_adam"),
    (_Here("momentum"), "sgd_momentum mom mu momentum_rate"),
    (_Here("nesterov"), "use_nesterov nesterovs_momentum nesterov_momentum"),
    (_Here("train_size"),
     "n_train num_train num_train_samples train_samples n_samples num_samples max_samples max_train_samples subset "
     "train_subset subset_size num_examples n_examples train_examples num_train_images training_size "
     "limit_train_batches"),
    (_Here("train_size", "a number of images", _images), "train_fraction train_split data_fraction subset_fraction"),
    (_Here("validation_size"),
     "n_val num_val val_size valid_size validation_samples dev_size holdout num_validation n_valid"),
    (_Here("validation_size", f"a number of images, which leave the training set of {NUM_TRAIN_IMAGES:,}", _images),
     "validation_split validation_fraction val_split val_fraction val_frac val_ratio valid_split holdout_fraction"),
    (_Here("", "the test set is always the 10,000 test images; validation_size takes images from the training set"),
     "test_size test_split test_fraction n_test num_test test_samples num_test_samples"),
    (_Here("seed"), "random_seed random_state rng_seed manual_seed torch_seed rng"),
    (_Here("seed", _SEEDS),
     "seeds num_seeds n_seeds repeats n_repeats num_repeats replicates repetitions n_runs num_runs"),
    (_Here("seed", f"{_SEEDS}; the trials of a search are in `tune`: tune: {{trials: 20, …}}"), "trials"),
    (_Here("variant"),
     "model model_name model_type method noise noise_type dropout_type dropout_variant kind technique regularizer "
     "regulariser layer layer_type net network arch architecture"),
    (_Here("task", "the data is Fashion-MNIST, or drawn for linear-regression"), "dataset data data_name problem"),
    (_Here("name"),
     "study study_name experiment experiment_name exp_name project project_name run_name run_id title id group tag"),
    (_Here("matrix", _MATRIX),
     "grid sweep sweeps param_grid grid_search parameters params hyperparameters hparams product"),
    (_Here("arms", "a mapping from names to {key: value, …}"),
     "conditions variants treatments experiments models runs arm"),
    (_Here("tune", "a mapping with trials, repeats and space"),
     "tuning search search_space space random_search hyperopt hpo tuner"),
    (_Here("label_smoothing"), "smoothing label_smooth smooth label_smoothing_factor ls"),
    (_Here("lr_schedule", "constant, step or cosine"),
     "scheduler schedule lr_scheduler lr_sched learning_rate_schedule lr_decay lr_policy annealing "
     "lr_scheduler_type"),
    (_Here("max_norm"),
     "maxnorm max_norm_constraint kernel_constraint weight_constraint norm_constraint max_weight_norm max_value"),
    (_Here("init"),
     "initializer initialiser initialization initialisation kernel_initializer weight_init weights_init "
     "weight_initializer init_method init_type"),
    (_Here("init_std"), "std sigma stddev init_scale init_stddev weight_std weight_scale initializer_range init_sigma"),
    (_Here("init_bias"), "bias_init bias_initializer bias"),
    (_Here("precision", "float32 or bf16"), "dtype amp fp16 bf16 mixed_precision use_amp half floatx"),
    (_Here("label_noise"), "noisy_labels label_noise_rate label_flip flip_prob noise_rate corrupt_prob random_labels"),
    (_Here("input_noise_std"), "input_noise noise_std gaussian_noise noise_stddev input_sigma pixel_noise"),
    (_Here("eval_every"),
     "eval_interval eval_freq eval_frequency eval_steps val_interval val_freq check_val_every_n_epoch "
     "validation_freq test_every log_every log_interval"),
    (_Here("eval_test"), "test evaluate_test do_test run_test"),
    (_Here("", "eval_train and eval_test choose the sets that are evaluated, eval_every the epochs"),
     "eval do_eval evaluate evaluation run_eval"),
    (_Here("probes", "a list, such as [weight_norms, mc: 50]", _in_list), "metrics probe extra_metrics measure track"),
    (_Here("probes", "probes: [mc: 50] averages 50 stochastic passes"),
     "mc mc_samples mc_dropout mc_passes num_mc mc_iterations"),
    (_Here("drop_schedule"), "dropout_schedule dropout_scheduler drop_scheduler"),
    (_Here("published"), "expected reference reported results paper"),
    (_Here("", "a learning rate is lr, an L2 penalty is weight_decay"), "alpha"),
    (_Here("", "a decay of the learning rate is lr_schedule, of the weights weight_decay"), "decay"),
    (_Here("", "lr_schedule has no parameters: step is lr/10 after 1/2 and lr/100 after 3/4 of the epochs"),
     "gamma milestones t_max step_size stepsize decay_steps decay_rate warmup warmup_steps warmup_epochs eta_min"),
    (_Here("", "early_stopping watches validation accuracy, and `compare --at best-val` uses the best epoch"),
     "monitor min_delta restore_best_weights save_best_only"),
    (_Here("", "the network has 784 inputs and 10 outputs"),
     "num_inputs num_outputs n_inputs n_outputs num_classes n_classes input_dim input_size output_dim output_size "
     "input_shape in_features out_features"),
    (_Here("", "batch_size is that of training; that of evaluation cannot be set"),
     "validation_batch_size val_batch_size eval_batch_size test_batch_size"),
    (_Here("", "write a comment: # …"), "comment comments description notes note remark"),
    (_Here("", "it is an option of compare: --margin"), "margin"),
    (_Here("", "it is an option of compare: --metric"), "metric"),
    (_Here("", "it is an option of compare: --baseline"), "baseline"),
    (_Here("", f"{_OPTION}--quiet"), "verbose verbosity quiet silent"),
    (_Here("", "the hidden layers have ReLU"), "activation activation_fn act nonlinearity hidden_act act_fn"),
    (_Here("", "the loss is the mean cross entropy"), "loss loss_fn criterion loss_function objective"),
    (_Here("", "adam and adamw have β₁ = 0.9, β₂ = 0.999 and ε = 1e-8"),
     "beta beta1 beta2 beta_1 beta_2 betas eps epsilon amsgrad adam_epsilon adam_beta1 adam_beta2"),
    (_Here("", "gradients are not clipped"),
     "clip clipnorm clipvalue clip_norm grad_clip gradient_clip gradient_clip_val max_grad_norm clip_grad"),
    (_Here("", "the length of a run is given in epochs"),
     "steps max_steps num_steps iterations num_iterations steps_per_epoch total_steps"),
    (_Here("", "the training images are shuffled in each epoch"), "shuffle"),
    (_Here("", "the network has no normalisation layers"), "batch_norm batchnorm bn use_bn layer_norm layernorm"),
    (_Here("", f"{_OPTION}--device"), "device gpu gpus cuda use_cuda accelerator devices use_gpu"),
    (_Here("", f"{_OPTION}--jobs"), "num_workers workers n_jobs jobs parallel num_jobs"),
    (_Here("", f"{_OPTION}--data-dir"), "data_dir data_path data_root root dataset_path datadir"),
    (_Here("", f"{_OPTION}--runs-dir"),
     "output_dir out_dir log_dir save_dir checkpoint_dir results_dir runs_dir default_root_dir logdir outdir "
     "output"),
    (_Here("", f"{_OPTION}--plugin"), "plugin plugins"),
]  # fmt: skip


_KEYS = {letters(name): here for here, names in _ROWS for name in names.split()}


def numbered(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the keys of this program that several of these names are the entries of, each with its names in order."""
    found: dict[str, list[str]] = {}
    endings = {name: int(digits[0]) for name in names if (digits := re.search(r"[0-9]{1,3}\Z", name))}
    for name in sorted(endings, key=endings.__getitem__):
        here = _KEYS.get(letters(name.rstrip("0123456789")))
        if here and here.convert is _per_layer:
            found.setdefault(here.key, []).append(name)
    return {key: several for key, several in found.items() if len(several) > 1}


def key_instead(key: str, value: Any, layers: int, path: KeyPath, takes: Callable[[str, Any], bool]) -> str | None:
    """Return the remedy for a key that has another name here, with its value if that changes; None for any other key.

    Also None for a key of runs that is similar to one of ours: `variants` in the matrix is `variant`, not `arms`.

    `layers` is the number of hidden layers, `path` leads to the key, and `takes` returns whether a key allows a value.
    """
    several = path[0] == "matrix"
    if keep := drop_probs_instead(key, value, layers, several=several):
        return f"; {keep}"
    here = _KEYS.get(letters(key))
    if here is None:
        return None
    if not here.key:
        return f": {here.note}"
    has_names = isinstance(value, list) and not any(isinstance(one, dict) for one in value)
    if here.key == "arms" and has_names and len(path) == 1:
        variants = value if value and all(takes("variant", one) for one in value) else ["none", "nn"]
        return f"; several variants are a list in `matrix`: matrix: {{variant: [{', '.join(variants)}]}}"
    if type(value) is int and letters(key) in ("runs", "experiments"):
        here = _KEYS["seeds"]
    elsewhere = here.key in STUDY_KEYS and len(path) > 1
    if elsewhere and nearest(key, Config.model_fields):
        return None
    where = " at the top of the file" if elsewhere else ""
    similar = f" (did you mean {here.key!r}{where}?)"
    if here.convert is None:
        return f"{similar}; {here.note}" if here.note else similar
    values = value if several and isinstance(value, list) else [value]
    converted = [here.convert(one, layers) for one in values]
    text = str(converted if several else converted[0])
    is_valid = None not in converted and all(takes(here.key, one) for one in converted)
    example = f": {here.key} = {text}" if is_valid and len(text) <= MAX_LENGTH else ""
    return f"{similar}; {here.note}{example}"


def key_called(name: str) -> str | None:
    """Return the key of this program that has another name elsewhere; None if no key is called so."""
    here = _KEYS.get(letters(name))
    return (here.key or None) if here else None


def setting_instead(option: str, value: str, options: Sequence[str]) -> str | None:
    """Return the --set for an option that is called like a key, here or elsewhere; None for any other option.

    `value` is "" if none was given. Also None for an option that is more similar to one of `options`, or abbreviates
    one with at least MIN_ABBREVIATION characters.
    """
    here, known = _KEYS.get(letters(option)), [*Config.model_fields, "name"]
    number: Any = value
    with suppress(ValueError):
        number = whole(float(value))
    if keep := drop_probs_instead(option, number, 2):
        return f"; {keep}; --set KEY=VALUE sets a key"
    key = here.key if here else nearest(option, [*known, *options])
    if key not in known or (len(option) >= MIN_ABBREVIATION and any(one.startswith(option) for one in options)):
        return None
    if option.removesuffix("s") in options:
        return None  # --metrics is --metric
    converted = here.convert(number, 2) if here and here.convert else None
    setting = shlex.quote(f"{key}={value if converted is None else converted}") if value else f"{key}=…"
    return f" (did you mean --set {setting}?)"


def similar_key(key: str, known: Sequence[str]) -> str:
    """Return the remedy for a key that is not among the `known` keys of runs: a similar one, or a list of all."""
    only_in_files = key_called(key) in {*STUDY_KEYS} - {*known}
    elsewhere = None if only_in_files else key_instead(key, None, 2, (key,), lambda key, value: True)
    return elsewhere or did_you_mean(key, known) or f"; the keys are: {', '.join(known)}"
