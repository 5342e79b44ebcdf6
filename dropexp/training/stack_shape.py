"""Which runs can train side by side as one stack. Imports no torch, for the parent of worker processes."""

from __future__ import annotations

from dropexp.config.schema import Config
from dropexp.config.variant_table import VARIANTS

# The keys that stacks support. A run that sets any other key trains alone.
OWN_KEYS = frozenset(  # may differ between the runs of a stack
    {"device", "plugin", "variant", "seed", "drop_probs", "input_drop_prob", "mask", "drop_schedule", "drop_epochs"}
    | {"input_noise_std", "label_noise", "label_smoothing", "lr", "sgd", "weight_decay", "l1", "max_norm"}
    | {"early_stopping", "init", "init_std", "init_bias"}
)
SHARED_KEYS = frozenset(  # must be equal
    {"hidden", "placement", "batch_size", "epochs", "optimizer", "momentum", "nesterov", "lr_schedule", "output_relu"}
    | {"eval_train", "eval_every", "eval_test", "train_size", "validation_size", "probes"}
)


def stack_shape(config: Config) -> str | None:
    """Return a text that is equal for runs that can share a stack, or None for a run that must train alone."""
    variant, used = VARIANTS[config.variant], config.settings("")
    if variant.builder != "from_scratch" or not used.keys() <= OWN_KEYS | SHARED_KEYS:
        return None
    return str([variant.on_weights, *((key, used.get(key)) for key in sorted(SHARED_KEYS))])
