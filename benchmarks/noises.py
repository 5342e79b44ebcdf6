"""What each noise costs: seconds per epoch beside inverted dropout's, in turn, and what stands in docs/performance.md.

    python benchmarks/noises.py [--rounds 5] [--quick]

Every turn takes one epoch of training of the book's network, by hand, with each noise; a noise's figure is the median
over the turns of its time divided by inverted dropout's in the same turn. Wants a machine that does nothing else.
--quick takes 2,000 images and prints only.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from peers.machine import about

from dropexp.config.schema import Config
from dropexp.data.download import fetch, find
from dropexp.data.fashion_mnist import load, split
from dropexp.nets import matmul
from dropexp.training.build import build
from dropexp.training.loop import train_epoch
from dropexp.training.rng import stream

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- noises:begin -->", "<!-- noises:end -->"
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
    "DropConnect, on all weights": {"variant": "dropconnect", "input_drop_prob": 0.5},
}


def measure(root: Path, rounds: int, train_size: int | None) -> dict[str, list[float]]:
    """Seconds of an epoch by noise and round, after one round that warms up; noises take turns."""
    data = split(load(root), train_size, 0, stream(0, "split"))
    networks = {}
    for name, keys in NOISES.items():
        config = Config.model_validate({"variant": "scratch", **keys})
        networks[name] = build(config, stream(0, "init"), stream(0, "noise")), stream(0, "order")
    seconds: dict[str, list[float]] = {name: [] for name in NOISES}
    with matmul.using(matmul.route()):
        for _ in range(rounds + 1):
            for name, (network, order) in networks.items():
                began = time.perf_counter()
                train_epoch(network, data.X_train, data.y_train, 0.1, 256, order)
                seconds[name].append(time.perf_counter() - began)
    return {name: taken[1:] for name, taken in seconds.items()}


def table(seconds: dict[str, list[float]]) -> str:
    """Markdown: by noise the median of an epoch's seconds, and the ratio to inverted dropout's with its range."""
    lines = ["| noise | s/epoch | times inverted dropout's | from – to |", "|---|---:|---:|---|"]
    for name, taken in seconds.items():
        ratios = [a / b for a, b in zip(taken, seconds[BASE], strict=True)]
        median, low, high = statistics.median(ratios), min(ratios), max(ratios)
        lines.append(f"| {name} | {statistics.median(taken):.3f} | {median:.2f} | {low:.2f} – {high:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="after one that warms up")
    parser.add_argument("--quick", action="store_true", help="one round on 2,000 images; writes nothing")
    options = parser.parse_args()
    root = find(None) or fetch()
    result = table(measure(root, 1 if options.quick else options.rounds, 2000 if options.quick else None))
    print(result)
    if options.quick:
        return
    machine = about()
    threads = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    heading = f"{machine['cpu']}, {threads}, {machine['date']}; {options.rounds} rounds after one that warms up."
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{heading}\n\n{result}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
