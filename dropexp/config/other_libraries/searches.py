"""What Optuna, Ray Tune, Keras Tuner and W&B call the parts of a search, without case and punctuation."""

KEYS = {
    **dict.fromkeys(("ntrials", "numtrials", "maxtrials", "budget", "numsamples", "niter", "evaluations"), "trials"),
    **dict.fromkeys(("seeds", "seed", "nrepeats", "numrepeats", "runs", "searches", "replicates"), "repeats"),
    **dict.fromkeys(("searchspace", "parameters", "params", "config", "keys", "distributions", "grid"), "space"),
}
KINDS = {
    **dict.fromkeys(("loguniform", "loguniformvalues", "log10", "logarithmic", "qloguniform", "reciprocal"), "log"),
    **dict.fromkeys(("quniform", "int", "float", "randint", "range", "real", "integer", "linear"), "uniform"),
    **dict.fromkeys(("categorical", "choices", "options", "values", "enum", "list", "gridsearch"), "choice"),
}
LOW, HIGH = ("min", "low", "minvalue", "lower", "start"), ("max", "high", "maxvalue", "upper", "end", "stop")
