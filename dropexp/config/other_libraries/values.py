"""Words of other libraries for the values of a config, and what to write here."""

from __future__ import annotations

from typing import Any

from dropexp.did_you_mean import did_you_mean, letters

# By key: a word without case and punctuation, and what to write in its place.
_VALUES: dict[str, dict[str, str]] = {
    "variant": {
        **dict.fromkeys(("dropout", "bernoulli", "standard"), "dropout is nn, which is nn.Dropout, or scratch"),
        **dict.fromkeys(("inverted", "inverteddropout", "fromscratch", "manual", "byhand"), "it is called scratch"),
        **dict.fromkeys(("nndropout", "torchnndropout", "torch", "pytorch", "concise"), "nn is nn.Dropout"),
        **dict.fromkeys(
            ("no", "nodropout", "without", "baseline", "off", "false", "plain", "vanilla", "nothing", "null"),
            "without dropout it is called none",
        ),
        **dict.fromkeys(("gaussiandropout", "gaussiannoise"), "it is called gaussian"),
        "alphadropout": "there is no alpha dropout",
        "mcdropout": "train nn or scratch, and add probes: [mc: 50], the mean of 50 stochastic passes",
    },
    "optimizer": {
        **dict.fromkeys(("nag", "nesterov"), "it is sgd with momentum: 0.9 and nesterov: true"),
        **dict.fromkeys(("momentum", "sgdmomentum", "msgd"), "it is sgd with momentum: 0.9"),
        **dict.fromkeys(("rmsprop", "adagrad", "adadelta", "adamax", "nadam", "radam"), "the nearest is adam"),
    },
    "lr_schedule": {
        **dict.fromkeys(("none", "null", "off", "fixed", "no", "constantlr", "false"), "it is called constant"),
        **dict.fromkeys(("cosineannealing", "cosineannealinglr", "cosinedecay", "annealing"), "it is called cosine"),
        **dict.fromkeys(("steplr", "multisteplr", "multistep", "piecewiseconstant"), "it is called step"),
    },
    "init": {
        **dict.fromkeys(
            ("kaiming", "kaiminguniform", "he", "heuniform", "hekaiming", "uniform", "default", "linear"),
            "torch is nn.Linear's default, a uniform Kaiming rule",
        ),
        **dict.fromkeys(
            ("xavier", "xavieruniform", "glorot", "glorotuniform", "xaviernormal", "orthogonal", "zeros", "ones"),
            "there is no other; normal has init_std",
        ),
        **dict.fromkeys(("gaussian", "randomnormal", "gauss", "randn"), "it is normal, with init_std"),
    },
    "init_bias": {"zero": "it is called zeros", "gaussian": "it is called normal", "0": "it is called zeros"},
    "mask": {"bernoulli": "it is called rand", "randn": "it is randn-2019, a bug of the book's early code"},
    "precision": {
        **dict.fromkeys(("fp32", "32", "float", "full", "single", "highest"), "it is called float32"),
        **dict.fromkeys(("bfloat16", "16", "fp16", "float16", "half", "amp", "mixed", "bf16mixed"), "it is bf16"),
    },
    "placement": {
        **dict.fromkeys(("afterrelu", "post"), "it is called after"),
        **dict.fromkeys(("beforerelu", "pre"), "it is called before"),
    },
    "task": dict.fromkeys(("mnist", "fashion", "classification", "images"), "it is called fashion-mnist"),
}
_BOOLEANS = {"true": {"yes", "on", "y", "1", "t"}, "false": {"no", "off", "n", "0", "f"}}


def value_instead(key: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return what to write instead of a value that a key does not take, such as "; it is called cosine", or "".

    `choices` are the words that the key takes; none for numbers.
    """
    if isinstance(value, dict) and key != "probes":
        return "; keys cannot be nested: write each at the top level"
    word = letters("null" if value is None else str(value))
    words = _VALUES.get(key, {})
    if word in words:
        return f"; {words[word]}"
    if choices == ("true", "false"):
        return next((f" (did you mean {name}?)" for name, others in _BOOLEANS.items() if word in others), "")
    if not isinstance(value, str):
        return ""
    if similar := did_you_mean(value, choices):
        return similar
    similar = did_you_mean(value, words)
    if similar:
        return next(f"; {remedy}" for one, remedy in words.items() if repr(one) in similar)
    _, dot, last = value.rpartition(".")
    return value_instead(key, last, choices) if dot and last else ""  # torch.optim.SGD
