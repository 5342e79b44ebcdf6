"""The soak without its training: growth, faults and chart from generated samples."""

from __future__ import annotations

from typing import Any

import pytest
import soak
from pages.soak import TITLES, chart


def result(**leaks: float) -> dict[str, Any]:
    """Return results of 1,000 runs by a command and a worker whose measures grow by `leaks`."""
    samples = []
    for runs in range(0, 1001, 10):
        # every other sample sees one more open file
        command = {"own_mb": 300.0, "files": 10.0 + runs % 20 // 10, "threads": 3.0}
        worker = command | {key: command[key] + more * runs / 1000 for key, more in leaks.items()}
        samples.append({"runs": runs, "shm": 0, "processes": {"the command": command, "worker 1": worker}})
    results: dict[str, Any] = {"runs": 1000, "jobs": 1, "seconds": 60, "exit_code": 0, "done": 1000}
    results |= {"messages": ["1000 runs"], "samples": samples}
    results["left"] = {"processes": 0, "in /dev/shm": 0, "temporary files": 0}
    return results | {"growth": soak.growth(results)}


def test_a_flat_soak_has_no_faults() -> None:
    assert soak.faults(result()) == []


@pytest.mark.parametrize("key", soak.ALLOWED)
def test_a_growing_measure_is_a_fault(key: str) -> None:
    grown = result(**{key: 50.0})
    assert grown["growth"]["worker 1"][key] == pytest.approx(50, rel=0.1)
    (fault,) = soak.faults(grown)
    assert fault.startswith(f"worker 1: {TITLES[key]} +")


def test_unfinished_runs_and_leftovers_are_faults() -> None:
    bad = result()
    bad["left"] = {"processes": 2, "in /dev/shm": 1, "temporary files": 0}
    bad |= {"done": 999, "exit_code": 1}
    assert soak.faults(bad) == [
        "processes: 2 left",
        "in /dev/shm: 1 left",
        "999 of 1000 runs are done, exit code 1",
        "1000 runs",
    ]


def test_too_few_samples_are_a_fault() -> None:
    short = result()
    short["samples"] = short["samples"][-3:]
    short["growth"] = soak.growth(short)
    assert soak.faults(short) == ["too few samples to measure growth; give more --runs"]


def test_chart_has_a_panel_per_measure_and_describes_growth() -> None:
    drawn = chart(result(files=50.0)).to_dict()
    assert len(drawn["concat"]) == 4
    assert "worker 1: own memory, MB +0, open files +" in drawn["description"]
