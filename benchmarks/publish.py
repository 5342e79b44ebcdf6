"""Publish benchmark results: copy them to benchmarks/results/ and write the pages and charts in docs/.

    python benchmarks/publish.py [NAME…]

NAME is gpu, growth, noises, peers, scale, soak, two_way or verdicts; by default every benchmark with a file in
benchmarks/out/. A NAME without such a file is drawn again from its published results, if there are any.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pages import gpu, growth, noises, peers, peers_chart, scale, soak, two_way, verdicts
from pages.markdown import replace_section
from storage import DOCS, OUT, RESULTS, load_results, save_results

Results = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """A page in docs/, and the functions that return its sections by marker and write its charts."""

    file: str
    sections: Callable[[Results], dict[str, str]] | None = None
    draw: Callable[[Results, Path], None] | None = None


PAGES = {
    "gpu": Page("performance.md", gpu.sections),
    "growth": Page("performance.md", growth.sections, growth.draw),
    "noises": Page("performance.md", noises.sections),
    "peers": Page("performance.md", peers.sections, peers_chart.draw),
    "scale": Page("scale.md", scale.sections),
    "soak": Page("scale.md", draw=soak.draw),
    "two_way": Page("statistics.md", two_way.sections),
    "verdicts": Page("statistics.md", verdicts.sections),
}


def publish(name: str, out: Path = OUT, published: Path = RESULTS, docs: Path = DOCS) -> None:
    """Merge the measured results into the published ones and write the page.

    A benchmark can be measured in parts: top-level keys that were not measured keep their published value.
    """
    measured = load_results(name, out)
    results = load_results(name, published) | measured
    if not results:
        sys.exit(f"{name} has no results, neither in {out} nor in {published}; run the benchmark first")
    page = PAGES[name]
    if page.sections is not None:
        path = docs / page.file
        text = path.read_text(encoding="utf-8")
        for marker, content in page.sections(results).items():
            text = replace_section(text, marker, content)
        path.write_text(text, encoding="utf-8")
    if page.draw is not None:
        page.draw(results, docs)
    if measured:
        save_results(name, results, published)
    print(f"published {name}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PAGES))
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in PAGES]:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(PAGES)}")
    names = names or [name for name in PAGES if (OUT / f"{name}.json").exists()]
    if not names:
        sys.exit(f"nothing to publish: {OUT} has no results; run a benchmark first, or give a NAME to draw again")
    for name in names:
        publish(name)


if __name__ == "__main__":
    main()
