"""A comparison as one HTML page that needs a browser and nothing else."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from altair.typing import ChartType
from altair.utils import schemapi
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from dropexp.analysis.comparison import Comparison
from dropexp.errors import ChartError, printable
from dropexp.files import write_result
from dropexp.report.arm_names import for_charts, titled
from dropexp.report.charts.by_name import KINDS
from dropexp.report.charts.style import AUTO, theme, vega
from dropexp.report.kept_predictions import kept_of
from dropexp.report.origin_of_runs import compared_runs, origin_table, summary
from dropexp.report.page.pictures import Arrays, galleries
from dropexp.report.page.recipe import arm_configs, commands, recipes, studies_without_recipe
from dropexp.report.page.run_table import run_table
from dropexp.report.tables.classes import accuracies_table
from dropexp.report.tables.comparison import (
    arms_table,
    fit_tables,
    probes_table,
    published_tables,
    settings_table,
)
from dropexp.report.tables.differences import best_val_table, differences_table
from dropexp.report.tables.searches import selections_table, tuning_table
from dropexp.report.tables.table import Table

SUFFIXES = (".html", ".htm")
MAX_NOTES, MAX_ROWS = 5, 8  # in the main part; longer tables, except that of the arms, are in the appendix


@dataclass(frozen=True)
class PageChart:
    """A chart without its title and description, which the page shows as text."""

    id: str
    spec: dict[str, Any]
    title: str
    legend: str
    description: str


@dataclass(frozen=True)
class Section:
    """A part of the page with a chart, tables or both."""

    id: str
    heading: str
    figure: PageChart | None
    tables: Sequence[Table]
    appendix: Section | None = None  # its long tables


def check_suffix(path: Path) -> None:
    """Raise ChartError for a path that does not name an HTML file: under another name no program would open it."""
    if path.suffix.lower() not in SUFFIXES:
        what = f"unknown kind of report {path.suffix!r}; allowed: {', '.join(SUFFIXES)}"
        raise ChartError(f"{path}: {what}; a browser prints the page as PDF")


def write(comparison: Comparison, path: Path, arrays: Arrays | None = None) -> None:
    """Write the page to `path` atomically, and create its folder. Raises ChartError for another suffix than .html."""
    check_suffix(path)
    content = page(comparison, arrays).encode()
    write_result(path, content)


def page(comparison: Comparison, arrays: Arrays | None = None) -> str:
    """Return the page, with pictures if there are arrays; the same runs and arrays give the same bytes."""
    runs = compared_runs(comparison)
    main_part, details = _sections(comparison)
    figures = {section.figure.id: section.figure.spec for section in [*main_part, *details] if section.figure}
    themes = {"light": theme(dark=False), "dark": theme(dark=True)}
    return _template().render(
        comparison=comparison,
        studies=", ".join(dict.fromkeys(comparison.arms["study"])),
        summary=summary(comparison, runs),
        notes=comparison.notes[:MAX_NOTES],
        more_notes=comparison.notes[MAX_NOTES:],
        main_part=main_part,
        details=details,
        galleries=galleries(arrays, kept_of(runs), comparison.titles) if arrays else [],
        runs=run_table(titled(comparison)),
        settings=settings_table(titled(comparison)),
        configs=arm_configs(comparison, runs),
        origin=origin_table(runs),
        recipes=recipes(comparison, runs),
        without_recipe=studies_without_recipe(comparison, runs),
        commands="\n".join(commands(comparison, runs)),
        figures=_json_for_script({"charts": figures, "themes": themes}),
        vega=Markup(vega()),
        style=Markup(_text("page.css")),
        draw=Markup(_text("page.js")),
    )


def _template() -> Template:
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, finalize=_printable
    )
    environment.filters["sha256"] = lambda text: b64encode(sha256(text.encode()).digest()).decode()
    return environment.from_string(_text("page.html.j2"))


def _text(name: str) -> str:
    return files("dropexp.report.page").joinpath(name).read_text(encoding="utf-8")


def _printable(value: Any) -> Any:
    """Make text printable; our own scripts are Markup."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _json_for_script(content: Any) -> Markup:
    """Return JSON that cannot end the script element that contains it."""
    return Markup(json.dumps(content, ensure_ascii=False).replace("<", "\\u003c"))


@schemapi.debug_mode(False)  # validating each part takes as long as drawing it; the tests validate
def _sections(comparison: Comparison) -> tuple[list[Section], list[Section]]:
    """Return the sections of the main part, which prints on a few pages, and those of the appendix."""
    named, whole = for_charts(comparison), titled(comparison)

    def section(name: str, heading: str, *shown: Table | None, chart: str | None = None) -> Section:
        figure = _figure(chart or name, KINDS[chart or name].draw(named, AUTO))
        return Section(name, heading, figure, [table for table in shown if table])

    main_part = [
        Section("arms", "Arms", None, [arms_table(named)]),
        _short(section("differences", "Differences", differences_table(named), best_val_table(named))),
        section("sweep", f"Effect of {comparison.by}"),
        _short(section("published", "Published figures", *published_tables(whole), *fit_tables(whole))),
        section("loss", "Losses"),
        section("book", "Training"),
    ]
    details = [
        *(one.appendix for one in main_part if one.appendix),
        section("seeds", "Runs by arm", chart="arms"),
        Section("probes", "Probes", None, [table] if (table := probes_table(named)) else []),
        section("learning", f"{comparison.metric.title.capitalize()} by epoch"),
        section("usual", comparison.usual.title.capitalize()),
        *([section("gap", "Generalisation gap")] if comparison.metric.name != "gap" else []),
        section("budget", "Search for the settings", tuning_table(whole), selections_table(whole)),
        section("confusion", "Confusion matrices"),
        section("classes", "Classes", accuracies_table(kept_of(compared_runs(named)))),
        section("reliability", "Reliability"),
    ]
    return [one for one in main_part if one.figure or one.tables], [one for one in details if one.figure or one.tables]


def _short(section: Section) -> Section:
    """Move the tables to the appendix if they have many rows."""
    if sum(len(table.rows) for table in section.tables) <= MAX_ROWS:
        return section
    appendix = Section(f"{section.id}-tables", f"{section.heading}: tables", None, section.tables)
    return replace(section, tables=[], appendix=appendix)


def _figure(name: str, chart: ChartType | None) -> PageChart | None:
    """Take the title out of the chart: as HTML it wraps on a narrow page."""
    if chart is None:
        return None
    spec = chart.to_dict(validate=False)  # the tests validate
    title, description = spec.pop("title"), spec.pop("description")
    return PageChart(f"chart-{name}", spec, title["text"], title["subtitle"], description)
