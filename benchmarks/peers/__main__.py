"""Time dropexp and its peers, print the tables, and write the results to benchmarks/out/peers.json."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
from pages.peers import text
from storage import OUT, data_root, load_results, save_results

from dropexp.data import dataset_files
from dropexp.errors import DataError
from peers import epochs, many, whole
from peers.process import Failed

PARTS = ("epochs", "whole", "many")
BUSY = 0.5  # load average of the last minute


def main() -> None:
    options = _arguments()
    try:
        measured = measure(options)
    except (Failed, DataError) as error:
        sys.exit(str(error))
    save_results("peers", load_results("peers", OUT) | measured)
    print(text(measured))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the requested parts. Raises Failed or DataError."""
    root = data_root()
    about = machine.about()
    if (about["load"] or 0) > BUSY:
        print(f"this machine is busy (load average {about['load']}), so figures will be too high", file=sys.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        data, cache = folder / "data", folder / "cache"
        unpacked = data / "FashionMNIST" / "raw"  # the layout of torchvision
        unpacked.mkdir(parents=True)
        cache.mkdir()
        for name, content in dataset_files.read(root).items():
            (unpacked / name).write_bytes(content)
        parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
            "epochs": lambda: epochs.measure(data, cache, options.rounds),
            "whole": lambda: whole.measure(data, cache, folder, options.whole_rounds),
            "many": lambda: many.measure(data, cache, folder, options.many_rounds),
        }
        return {name: {"about": about, "rows": parts[name]()} for name in PARTS if name in options.parts}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m peers", description=__doc__)
    parser.add_argument("--parts", type=_parts, default=PARTS, help="of epochs,whole,many")
    parser.add_argument("--rounds", type=int, default=5, help="timed epochs of each contender")
    parser.add_argument("--whole-rounds", type=int, default=2, help="whole processes of each contender")
    parser.add_argument("--many-rounds", type=int, default=1, help="times that the many runs are trained")
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    if unknown := set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return parts


if __name__ == "__main__":
    main()
