"""A comparison -> one HTML page that needs a browser and nothing else."""

from __future__ import annotations

import json
import re
import shlex
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from altair.typing import ChartType
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from dropexp.analysis.comparison import Comparison
from dropexp.analysis.published import published_section
from dropexp.config.names import is_name
from dropexp.files import write_whole
from dropexp.report import chart_parts, charts, tables
from dropexp.report.tables import Table
from dropexp.runs.folder import RunFolder
from dropexp.runs.metrics import MARGIN, usual

UNKNOWN = "unknown"
ORIGIN = {  # of run.json's provenance, in the page's words
    **{"dropexp": "dropexp", "commit": "commit", "python": "Python", "torch": "torch", "data": "data checksum"},
    **{"device": "device", "threads": "threads", "route": "matrix products", "cpu": "processor", "platform": "system"},
}


@dataclass(frozen=True)
class Figure:
    """A chart's specification, its title and subtitle as HTML shows them, and what it says in words."""

    id: str
    spec: dict[str, Any]
    title: str
    subtitle: str
    alt: str


@dataclass(frozen=True)
class _Run:
    arm: str
    study: str
    seed: int
    folder: RunFolder
    info: dict[str, Any]

    @property
    def origin(self) -> dict[str, Any]:
        return self.info.get("provenance") or {}

    @property
    def config(self) -> dict[str, Any]:
        """Without its seed."""
        return {key: value for key, value in self.info["config"].items() if key != "seed"}


def write(comparison: Comparison, path: Path) -> None:
    """Write the page to `path`, whole or not at all."""
    content = page(comparison).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)


def page(comparison: Comparison) -> str:
    """The page, whole; the same runs give the same page."""
    runs = []
    for row in comparison.runs.to_dict("records"):
        folder = RunFolder(Path(row["path"]))
        runs.append(_Run(row["arm"], row["study"], row["seed"], folder, folder.read_info()))
    studies = list(dict.fromkeys(comparison.arms["study"]))
    shown = tables.of(comparison)
    sections = _sections(comparison, shown)
    specs = {figure.id: figure.spec for _, _, figure, _ in sections if figure}
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters["sha256"] = lambda text: b64encode(sha256(text.encode()).digest()).decode()
    template = environment.from_string(files("dropexp.report").joinpath("page.html.j2").read_text(encoding="utf-8"))
    return template.render(
        comparison=comparison,
        studies=studies,
        facts=_facts(comparison, runs),
        sections=sections,
        settings=[table for table in shown if table.kind == "settings"],
        configs={run.arm: _yaml({"name": run.study, **run.config}) for run in runs},
        origins=_origins(runs),
        recipes=[_recipe(study, own) for study in studies if (own := [run for run in runs if run.study == study])],
        commands=_commands(comparison, runs, studies),
        figures=_in_script(
            {"charts": specs, "themes": {"light": chart_parts.theme(False), "dark": chart_parts.theme(True)}}
        ),
        vega=Markup(chart_parts.vega()),
    )


def _facts(comparison: Comparison, runs: list[_Run]) -> str:
    """How much there is, and of when."""
    days = sorted({str(ended)[:10] for run in runs if (ended := run.origin.get("ended"))})
    when = f", trained {' to '.join(dict.fromkeys((days[0], days[-1])))}" if days else ""
    arms = len(comparison.arms)
    return f"{arms} arm{'s' * (arms != 1)}, {len(runs)} run{'s' * (len(runs) != 1)}{when}."


def _in_script(content: Any) -> Markup:
    """JSON that cannot end the script element it stands in."""
    return Markup(json.dumps(content, ensure_ascii=False).replace("<", "\\u003c"))


def _sections(comparison: Comparison, shown: list[Table]) -> list[tuple[str, str, Figure | None, list[Table]]]:
    """Id, heading, figure and tables of each section on what was found that has a figure or a table."""
    arms, *others = shown
    further = [table for table in others if table.kind == "further"]
    differences = [table for table in others if table.kind == "differences"]
    published = [table for table in others if table.kind in ("published", "fits")]
    found = [
        ("learning", "Learning curves", charts.learning_curves, []),
        ("arms", "Arms", charts.arms, [arms, *further]),
        ("differences", "Differences", charts.differences, differences),
        ("usual", comparison.metrics[usual(comparison.metrics)].title.capitalize(), charts.usual_curves, []),
        ("gap", "From training to test", charts.gap, []),
        ("dose", f"Along {comparison.by}", charts.dose_response, []),
        ("published", "Beside the published figures", charts.published, published),
    ]
    drawn = [(name, title, _figure(name, chart(comparison)), own) for name, title, chart, own in found]
    return [section for section in drawn if section[2] or section[3]]


def _figure(name: str, chart: ChartType | None) -> Figure | None:
    """The title leaves the chart: as HTML it folds on a narrow page."""
    if chart is None:
        return None
    spec = json.loads(_steady(json.dumps(chart.to_dict())))
    title = spec.pop("title", "")
    title = title if isinstance(title, dict) else {"text": title}
    text, subtitle = (
        " ".join([said] if isinstance(said := title.get(key, ""), str) else said) for key in ("text", "subtitle")
    )
    return Figure(f"chart-{name}", spec, text, subtitle, spec.pop("description", text))


def _steady(spec: str) -> str:
    """Altair counts what it names over a whole process; count from the start of each chart."""
    numbers: dict[str, str] = {}
    return re.sub(r'(?<=")(view|param)_\d+(?=["_])', lambda m: numbers.setdefault(m[0], f"{m[1]}_{len(numbers)}"), spec)


def _yaml(content: dict[str, Any]) -> str:
    return yaml.dump(content, None, _Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


class _Dumper(yaml.SafeDumper):
    """Quotes text that `yamlfile` would read as a number, where YAML 1.1 would not."""


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?\Z"),
    list("-+.0123456789"),
)


def _seeds(seeds: Iterable[int]) -> str | list[int]:
    """As a config says them: 0..4, or a list of what is no range."""
    seeds = sorted(set(seeds))
    whole = len(seeds) > 1 and seeds[-1] - seeds[0] == len(seeds) - 1
    return f"{seeds[0]}..{seeds[-1]}" if whole else seeds


def _origins(runs: list[_Run]) -> Table | None:
    """Where the runs come from: a column for those that come from the same."""
    groups: dict[str, list[_Run]] = {}
    for run in runs:
        same = {key: run.origin.get(key) for key in (*ORIGIN, "dirty")}
        groups.setdefault(json.dumps(same), []).append(run)
    if not groups:
        return None
    columns = []
    for same, members in zip(map(json.loads, groups), groups.values(), strict=True):
        times = [[run.origin.get(key) for run in members] for key in ("began", "ended")]
        began, ended = min(filter(None, times[0]), default=UNKNOWN), max(filter(None, times[1]), default=UNKNOWN)
        same["commit"] = f"{same['commit']}, with changes since" if same["dirty"] else same["commit"]
        trained = UNKNOWN if began == ended == UNKNOWN else f"{_time(began)} to {_time(ended)}"
        columns.append([_members(members), trained, *(str(same[key] or UNKNOWN) for key in ORIGIN)])
    rows = [[label, *cells] for label, *cells in zip(("runs", "trained", *ORIGIN.values()), *columns, strict=True)]
    every = range(len(columns) + 1)
    return Table("Where the runs come from", ["", *("" for _ in columns)], rows, left=every)


def _members(runs: list[_Run]) -> str:
    """The runs' seeds, by arm."""
    seeds: dict[str, list[int]] = {}
    for run in runs:
        seeds.setdefault(run.arm, []).append(run.seed)
    return "; ".join(f"{arm}: seed {str(_seeds(own)).strip('[]')}" for arm, own in seeds.items())


def _time(moment: str) -> str:
    return moment.replace("T", " ").replace("+00:00", " UTC")


def _recipe(study: str, runs: list[_Run]) -> tuple[str, str, int]:
    """A config file that asks for the runs of a study again: its name, its text and how many runs more it asks for.

    It has every arm by its label, so that the new runs are labelled alike, and every arm with every seed.
    """
    labels = dict.fromkeys(run.arm for run in runs)
    names = {label: _arm_name(label.removeprefix(f"{study}/"), i) for i, label in enumerate(labels, 1)}
    arms = {names[run.arm]: run.config for run in runs}
    values = {key: [config.get(key) for config in arms.values()] for config in arms.values() for key in config}
    shared = {key: found[0] for key, found in values.items() if all(value == found[0] for value in found)}
    seeds = {run.seed for run in runs}
    content = {
        "name": study,
        **shared,
        "arms": {name: {key: arm[key] for key in arm if key not in shared} for name, arm in arms.items()},
        "matrix": {"seed": _seeds(seeds)},
    }
    if published := published_section(runs[0].folder).value:
        named = published.get("arm") or list(names.values())
        named = {named} if isinstance(named, str) else set(named)
        if here := [names[run.arm] for run in runs if named & {names[run.arm], run.info["arm"], run.config["variant"]}]:
            norms = {names[run.arm]: published.get("w_norm", {}).get(run.info["arm"]) for run in runs}
            norms = {name: norm for name, norm in norms.items() if norm is not None}
            own = {"arm": list(dict.fromkeys(here))} | ({"w_norm": norms} if norms else {})
            content["published"] = {key: value for key, value in published.items() if key != "w_norm"} | own
    return f"{study}.yaml", _yaml(content), len(arms) * len(seeds) - len(runs)


def _arm_name(label: str, number: int) -> str:
    return label if is_name(label) else f"arm-{number}"


def _commands(comparison: Comparison, runs: list[_Run], studies: list[str]) -> list[str]:
    """What to type to have all this again; a run's device is part of what it is."""
    configs: dict[str, dict[str, None]] = {}
    for run in runs:
        configs.setdefault(run.info["settings"].get("device", "auto"), {})[f"--config={run.study}.yaml"] = None
    chosen = {"by": comparison.by, "metric": comparison.metric.name, "margin": comparison.margin}
    defaults = {"by": None, "metric": usual(comparison.metrics), "margin": MARGIN}
    options = [f"--{key}={value}" for key, value in chosen.items() if value != defaults[key]]
    lines = [["train", *files, f"--device={device}"] for device, files in configs.items()]
    options += comparison.options
    lines += [["compare", *studies, *options], ["report", *studies, *options]]
    return [shlex.join(["dropexp", *line]) for line in lines]
