"""The options that `compare` and `report` share, and the comparison that they request."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dropexp.cli.options import Filters, Names, RunsDir, parse_filters
from dropexp.runs.metrics import MARGIN

if TYPE_CHECKING:
    from dropexp.analysis.comparison import Comparison


def takes_comparison(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `_compare` before its own; its first argument is the comparison they request."""
    unloaded = {"Comparison": None}  # pandas, which takes a second, is imported when the command runs
    shared = inspect.signature(_compare, eval_str=True, locals=unloaded).parameters
    _, *own = inspect.signature(command, eval_str=True, locals=unloaded).parameters.values()

    def run(**options: Any) -> None:
        comparison = _compare(**{name: options.pop(name) for name in shared})
        command(comparison, **options)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature([*shared.values(), *own])  # type: ignore[attr-defined]  # Typer reads it
    return run


def _compare(
    names: Names = None,
    runs_dir: RunsDir = None,
    by: Annotated[
        str | None, typer.Option(metavar="KEY", help="A swept config key: order the arms by it, and chart its effect.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="ARM", help="The arm that the others are compared with.", show_default="the arm without dropout"
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC",
            help="What is compared: gap, or a column of epochs.csv.",
            show_default="test_acc, or test_loss in regression",
        ),
    ] = None,
    at: Annotated[str, typer.Option(metavar="last|best-val|best-test|EPOCH", help="The epoch to compare at.")] = "last",
    filters: Filters = None,
    published: Annotated[
        bool, typer.Option("--published", help="Report which arm the published figures fit best.")
    ] = False,
    margin: Annotated[
        float,
        typer.Option(
            metavar="X",
            help="Differences within ±X count as none; a fraction for accuracies, else in the metric's unit.",
        ),
    ] = MARGIN,
) -> Comparison:
    from dropexp.analysis.comparison import compare

    return compare(
        names or (),
        runs_dir,
        baseline,
        by=by,
        metric=metric,
        at=at,
        where=parse_filters(filters),
        likelihood=published,
        margin=margin,
    )
