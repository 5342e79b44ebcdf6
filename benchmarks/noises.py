"""What each kind of noise costs: seconds per epoch relative to inverted dropout.

    python benchmarks/noises.py [--rounds 5] [--quick]

Every round trains the book's network from scratch for one epoch with each noise in turn. A noise's figure is the median
over the rounds of its time divided by the time of inverted dropout in the same round. Needs an idle machine. --quick
takes 2,000 images and one round, and writes nothing.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from machine import about
from pages.noises import table
from storage import data_root, save_results

from dropexp.config.schema import Config
from dropexp.data.fashion_mnist import load, split
from dropexp.nets import matmul
from dropexp.training import build
from dropexp.training.rng import stream
from dropexp.training.trainees import train_epoch

BASE = "inverted dropout"
NOISES: dict[str, dict[str, Any]] = {
    BASE: {},
    "no noise": {"variant": "none"},
    "unscaled": {"variant": "unscaled"},
    "classic": {"variant": "classic"},
    "inverted, one mask per batch": {"mask": "per-batch"},
    "unscaled, one mask per batch": {"variant": "unscaled", "mask": "per-batch"},
    "the mask of 2019": {"mask": "randn-2019"},
    "inverted, before the ReLU": {"placement": "before"},
    "inverted, a random rate per batch": {"drop_schedule": "random"},
    "inverted, curriculum": {"drop_schedule": "curriculum"},
    "inverted, on the images too": {"input_drop_prob": 0.2},
    "three-point": {"variant": "three-point"},
    "Gaussian": {"variant": "gaussian"},
    "additive noise on the images": {"variant": "none", "input_noise_std": 0.1},
    "one mask per batch on all weights": {"variant": "dropconnect", "input_drop_prob": 0.5},
    "DropConnect, a mask per image": {"variant": "dropconnect-per-example"},
}


def measure(root: Path, rounds: int, train_size: int | None) -> dict[str, list[float]]:
    """Return the seconds of an epoch by noise and round, after a warm-up round."""
    data = split(load(root), train_size, 0, stream(0, "split"))
    networks = {}
    for name, keys in NOISES.items():
        config = Config.model_validate({"variant": "scratch", **keys})
        networks[name] = build.network(config, stream(0, "init"), stream(0, "noise")), stream(0, "order")
    seconds: dict[str, list[float]] = {name: [] for name in NOISES}
    with matmul.using(matmul.best_backend()):
        for _ in range(rounds + 1):
            for name, (network, order) in networks.items():
                start = time.perf_counter()
                train_epoch(network, data.X_train, data.y_train, 0.1, 256, order)
                seconds[name].append(time.perf_counter() - start)
    return {name: measured[1:] for name, measured in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="after a warm-up")
    parser.add_argument("--quick", action="store_true", help="one round on 2,000 images; writes nothing")
    options = parser.parse_args()
    root, machine = data_root(), about()
    rounds, train_size = (1, 2000) if options.quick else (options.rounds, None)
    results = {"about": machine, "rounds": rounds, "base": BASE, "seconds": measure(root, rounds, train_size)}
    print(table(results))
    if not options.quick:
        save_results("noises", results)


if __name__ == "__main__":
    main()
