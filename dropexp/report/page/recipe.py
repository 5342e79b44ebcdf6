"""How to reproduce a comparison: the configs of its studies and the commands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dropexp.analysis.comparison import Comparison
from dropexp.analysis.published_comparison import check_published
from dropexp.config import yaml
from dropexp.config.names import is_name
from dropexp.program import command
from dropexp.report.origin_of_runs import ComparedRun, seed_range
from dropexp.runs.metrics import MARGIN
from dropexp.runs.search_records import SearchRecord
from dropexp.runs.study_file import Declared

Searches = Mapping[str, Sequence[SearchRecord]]  # by the label of their arm


@dataclass(frozen=True)
class Recipe:
    """A config that defines the compared runs of a study and `more_runs` more."""

    file: str
    text: str
    more_runs: int


def recipes(comparison: Comparison, runs: Sequence[ComparedRun]) -> list[Recipe]:
    """Return a config per study that defines these runs with the labels that they have in the comparison.

    A study with tested runs gets no config if study.json lacks their searches, which select the tested settings.
    """
    without = studies_without_recipe(comparison, runs)
    return [
        _recipe(study, own, comparison.declared.get(study, []), comparison.tuning.records)
        for study, own in _by_study(runs).items()
        if study not in without
    ]


def studies_without_recipe(comparison: Comparison, runs: Sequence[ComparedRun]) -> list[str]:
    """Return the studies with tested runs whose searches study.json lacks."""
    searches = comparison.tuning.records
    return list(dict.fromkeys(run.study for run in runs if run.tuned and run.arm not in searches))


def _by_study(runs: Sequence[ComparedRun]) -> dict[str, list[ComparedRun]]:
    studies: dict[str, list[ComparedRun]] = {}
    for run in runs:
        studies.setdefault(run.study, []).append(run)
    return studies


def _recipe(study: str, runs: Sequence[ComparedRun], declared: Sequence[Declared], searches: Searches) -> Recipe:
    """Return the config. It gives every arm every seed or repeat: `more_runs` counts those that an arm lacks."""
    names = _arm_names(study, runs)
    arms = {names[run.arm]: _config(run, searches) for run in runs}
    own = [search for arm in names for search in searches.get(arm, [])]
    configs = list(arms.values())
    keys = dict.fromkeys(key for config in configs for key in config)
    shared = {
        key: configs[0][key]
        for key in keys
        if all(key in config and config[key] == configs[0].get(key) for config in configs)
    }
    seeds = {run.seed for run in runs}
    content = {
        "name": study,
        **shared,
        "arms": {
            name: {key: value for key, value in config.items() if key not in shared} for name, config in arms.items()
        },
        **({"tune": _tune(own)} if own else {"matrix": {"seed": seed_range(seeds)}}),
    }
    if published := _published(runs, names, declared):
        content["published"] = published
    return Recipe(f"{study}.yaml", yaml.dump(content), len(arms) * len(seeds) - len(runs))


def _config(run: ComparedRun, searches: Searches) -> dict[str, Any]:
    """Return the keys of a run's arm, without what a search chose."""
    return searches[run.arm][0].fixed if run.arm in searches else run.config


def _tune(searches: Sequence[SearchRecord]) -> dict[str, Any]:
    """Return the section `tune` of these searches. Their spaces are merged: an arm still searches only its own keys."""
    repeats = [search.repeat for search in searches]
    space = {key: written for search in searches for key, written in search.space.items()}
    return {
        "trials": max(search.num_trials for search in searches),
        "repeats": f"{min(repeats)}..{max(repeats)}",
        "space": space,
    }


def _arm_names(study: str, runs: Sequence[ComparedRun]) -> dict[str, str]:
    """Return each label as an arm's name in a config; a label that is not a valid name gets a number."""
    names = {}
    for i, label in enumerate(dict.fromkeys(run.arm for run in runs), 1):
        name = re.sub(r"\[([^]]*)\]", _as_in_folders, label.removeprefix(f"{study}/"))
        names[label] = name if is_name(name) else f"arm-{i}"
    return names


def _as_in_folders(found: re.Match[str]) -> str:
    """Return a list as names have it, since they have no brackets: [0.2, 0.5] as 0.2-0.5."""
    return found[1].replace(", ", "-")


def _published(runs: Sequence[ComparedRun], names: dict[str, str], declared: Sequence[Declared]) -> dict[str, Any]:
    """Return the first published figures that belong to any of these arms, under the arms' new names."""
    found = (_section([run for run in runs if file.defines(run.arm_digest)], names, file) for file in declared)
    return next(filter(None, found), {})


def _section(runs: Sequence[ComparedRun], names: dict[str, str], file: Declared) -> dict[str, Any]:
    """Return a file's published figures under the new names of its arms; nothing if they belong to none of these."""
    published = check_published(file.published, runs[0].folder).value if runs else {}
    named = published.get("arm") or list(names.values())
    named = {named} if isinstance(named, str) else set(named)
    arms = [names[run.arm] for run in runs if named & {names[run.arm], run.base}]
    if not published or not arms:
        return {}
    norms = published.pop("w_norm", {})
    published["arm"] = list(dict.fromkeys(arms))
    if own := {names[run.arm]: norms[run.base] for run in runs if run.base in norms}:
        published["w_norm"] = own
    return published


def commands(comparison: Comparison, runs: Sequence[ComparedRun]) -> list[str]:
    """Return the commands that train the recipes and compare them; a run's device is part of its identity."""
    without = studies_without_recipe(comparison, runs)
    trained = [run for run in runs if run.study not in without]
    configs: dict[str, dict[str, None]] = {}  # by device
    for run in trained:
        configs.setdefault(run.device, {})[f"--config={run.study}.yaml"] = None
    options = []
    if comparison.by is not None:
        options.append(f"--by={comparison.by}")
    if comparison.metric.name != comparison.usual.name:
        options.append(f"--metric={comparison.metric.name}")
    if comparison.margin != MARGIN:
        options.append(f"--margin={comparison.margin}")
    names = {label: name for study, own in _by_study(trained).items() for label, name in _arm_names(study, own).items()}
    options += [_renamed(option, names) for option in comparison.options]
    of_page = [option for option in options if not option.startswith("--interaction=")]  # `report` has no such option
    if any("arm" in option.partition("=")[2].split(",") for option in options if option not in of_page):
        options = of_page  # each arm of a recipe has a name of its own, so that `arm` crosses no other key
    studies = dict.fromkeys(comparison.arms["study"])
    lines = [["train", *files, f"--device={device}"] for device, files in configs.items()]
    lines += [["compare", *studies, *options], ["report", *studies, *of_page]]
    return [command(*line) for line in lines]


def _renamed(option: str, names: Mapping[str, str]) -> str:
    """Return an option whose arm has the name that it has in the recipe."""
    key, _, label = option.partition("=")
    return f"{key}={names.get(label, label)}" if key == "--baseline" else option


def arm_configs(comparison: Comparison, runs: Sequence[ComparedRun]) -> dict[str, str]:
    """Return each arm's config as YAML by the arm's title, without what a search chose."""
    searches, titles = comparison.tuning.records, comparison.titles
    return {titles.get(run.arm, run.arm): yaml.dump({"name": run.study, **_config(run, searches)}) for run in runs}
