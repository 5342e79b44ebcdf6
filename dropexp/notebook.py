"""What a notebook shows: a comparison as tables, and `fit`, which trains with a progress bar and compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from dropexp.analysis import comparison
from dropexp.config.study import Study, load_config
from dropexp.report.formats.latex import latex
from dropexp.report.formats.markdown import markdown
from dropexp.report.formats.notebook import html
from dropexp.report.tables.comparison import comparison_tables
from dropexp.report.tables.table import Table

if TYPE_CHECKING:
    from altair.typing import ChartType

P = ParamSpec("P")


class ShownComparison(comparison.Comparison):
    """A comparison that Jupyter shows as tables, and that returns charts, Markdown and LaTeX."""

    @property
    def tables(self) -> list[Table]:
        """The tables that the command prints."""
        return comparison_tables(self)

    def chart(
        self, name: str, *, width: int | None = None, height: int | None = None, title: str | None = None
    ) -> ChartType:
        """Return the Altair chart that the command's `--chart NAME` writes. Raises `ChartError`."""
        from dropexp.report.charts.by_name import single
        from dropexp.report.charts.style import Size

        return single(self, name, Size(width, height), title)

    def to_markdown(self) -> str:
        """Return the headlines, tables and notes in GitHub's Markdown."""
        return markdown(self.tables, self.headlines, self.notes)

    def to_latex(self) -> str:
        """Return the tables for the LaTeX package booktabs."""
        return latex(self.tables, [*map(str, self.headlines), *self.notes])

    def _repr_html_(self) -> str:
        return html(self.tables, self.headlines, self.notes)


def _shown(function: Callable[P, comparison.Comparison]) -> Callable[P, ShownComparison]:
    @wraps(function)
    def shown(*args: P.args, **kwargs: P.kwargs) -> ShownComparison:
        return ShownComparison(**vars(function(*args, **kwargs)))

    return shown


compare = _shown(comparison.compare)


def fit(
    config: Study | str | Path | Mapping[str, Any],
    *,
    runs_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    jobs: int | None = None,
    force: bool = False,
    quiet: bool = False,
) -> ShownComparison:
    """Train the unfinished runs of a study with a progress bar, and compare the runs that it defines.

    The options are those of `train`; `quiet` shows no progress. Raises what `train` and `compare` raise.
    """
    from dropexp.cli.progress import Watcher, watching
    from dropexp.training.api import prepare, train_stages

    study = config if isinstance(config, Study) else load_config(config)  # standard input can be read only once
    training, find_data = prepare(study, runs_dir, data_dir, device, force, jobs)
    watchers: dict[int, Watcher] = {}
    with ExitStack() as shown, closing(train_stages(training, find_data, jobs)) as events:
        for stage, event in events:
            if id(stage) not in watchers:
                shown.close()  # the bar of the previous stage
                watchers[id(stage)] = shown.enter_context(watching(stage, quiet))
            watchers[id(stage)].show(event)
    return compare(runs_dir=runs_dir, config=study)
