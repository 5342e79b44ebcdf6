"""`dropexp bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dropexp.cli.options import DataDir, DataUrl, find_or_download_data, whole_number
from dropexp.cli.output import print_message

if TYPE_CHECKING:
    from dropexp.report.tables.table import Table
    from dropexp.training import benchmark


def bench(
    data_dir: DataDir = None,
    data_url: DataUrl = None,
    rounds: Annotated[
        int, typer.Option(**whole_number("N", 1), help="Timed epochs of each contender, after one to warm up.")
    ] = 5,
) -> None:
    """Time an epoch on this machine; for comparison, the book's loop and the matrix products alone."""
    from rich.console import Console

    from dropexp.interrupts import import_torch
    from dropexp.report.formats import console

    import_torch()
    from dropexp.training import benchmark

    print_message("timing; the book's loop alone takes seconds per epoch")
    result = benchmark.run(find_or_download_data(data_dir, data_url, False), rounds)
    console.show([_table(result)], Console())


def _table(result: benchmark.BenchmarkResult) -> Table:
    from dropexp.report.tables.table import Table
    from dropexp.training.benchmark import BOOK, MATMULS

    book, matmuls = result.seconds(BOOK), result.seconds(MATMULS)
    rows = [
        [
            timing.name,
            f"{timing.median:.3f}",
            f"{min(timing.seconds):.3f} - {max(timing.seconds):.3f}",
            f"{book / timing.median:.1f}",
            f"{timing.median / matmuls:.2f}",
        ]
        for timing in result.timings
    ]
    about = (
        "An epoch trains on 60,000 images and evaluates 10,000; contenders take turns in one process. "
        f"Threads: {result.threads}. Matmul backend of all but the book's loop: {result.backend}."
    )
    if result.peak_mb is not None:
        about += f" Peak memory of training: {result.peak_mb:.0f} MB, without torch and its first matrix product."
    headers = ["", "s/epoch", "min - max", "times the\nbook's speed", "times the matrix\nproducts' time"]
    return Table("Epoch time, median", headers, rows, about=about)
