"""Time dropexp beside its peers, print the tables, and write them into the page, its chart and its raw results."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dropexp.data import download
from dropexp.errors import DataError
from peers import chart, epochs, machine, many, page, whole
from peers.process import Failed

PARTS = ("epochs", "whole", "many")
BUSY = 0.5  # processes that run or wait for a core, over the last minute
PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def main() -> None:
    asked = _arguments()
    page_file: Path = asked.page
    raw, picture = (page_file.with_name(f"{page_file.stem}-peers{suffix}") for suffix in (".json", ".svg"))
    if asked.from_:
        results = json.loads(asked.from_.read_text(encoding="utf-8"))
    else:
        before = json.loads(raw.read_text(encoding="utf-8")) if raw.exists() else {}
        try:
            results = before | measure(asked)
        except (Failed, DataError) as error:
            sys.exit(str(error))
    print(page.sections(results))
    if "epochs" in results:
        chart.draw(results["epochs"]["rows"], picture)
    text = page.write(page_file.read_text(encoding="utf-8"), results, picture.name)
    page_file.write_text(text, encoding="utf-8")
    raw.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """The parts that are asked for, each with what it was taken with."""
    root = download.find() or download.fetch()
    about = machine.about()
    if (about["load"] or 0) > BUSY:
        print(f"this machine is busy (load average {about['load']}): times of two threads suffer most", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        data, cache = scratch / "data", scratch / "cache"  # unpacked, as torchvision wants it; and caches of our own
        unpacked = data / "FashionMNIST" / "raw"
        unpacked.mkdir(parents=True)
        cache.mkdir()
        download.verify(root, copy_to=unpacked)
        parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
            "epochs": lambda: epochs.measure(data, cache, asked.rounds),
            "whole": lambda: whole.measure(data, cache, scratch, asked.whole_rounds),
            "many": lambda: many.measure(data, cache, scratch, asked.many_rounds),
        }
        return {name: {"about": about, "rows": parts[name]()} for name in PARTS if name in asked.parts}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m peers", description=__doc__)
    parser.add_argument("--parts", type=_parts, default=PARTS, help="of epochs,whole,many; others stay in the page")
    parser.add_argument("--rounds", type=int, default=5, help="timed epochs of each contender")
    parser.add_argument("--whole-rounds", type=int, default=2, help="whole processes of each contender")
    parser.add_argument("--many-rounds", type=int, default=1, help="times that the many runs are trained")
    parser.add_argument("--from", dest="from_", type=Path, help="make the page from raw results, time nothing")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page; chart and raw results lie beside it")
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    if unknown := set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return parts


if __name__ == "__main__":
    main()
