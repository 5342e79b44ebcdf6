"""The soak, but for the training: what it calls growth, what it says of leaks, and its chart, from made-up samples."""

from __future__ import annotations

from typing import Any

import pytest
import soak


def result(**leaks: float) -> dict[str, Any]:
    """1,000 runs of a command and a worker, which holds more and more of what leaks, by so much in all."""
    samples = []
    for runs in range(0, 1001, 10):
        held = {"own_mb": 300.0, "files": 10.0 + runs % 20 // 10, "threads": 3.0}  # a file is open at every other look
        worker = held | {key: held[key] + more * runs / 1000 for key, more in leaks.items()}
        samples.append({"runs": runs, "shm": 0, "processes": {"the command": held, "worker 1": worker}})
    left = {"processes": 0, "in /dev/shm": 0, "half-written files": 0}
    ended = {"runs": 1000, "jobs": 1, "seconds": 60, "exit_code": 0, "done": 1000, "said": ["1000 runs"], "left": left}
    found = {**ended, "samples": samples}
    return found | {"growth": soak.growth(found)}


def test_a_flat_soak_has_no_faults() -> None:
    assert soak.faults(result()) == []


@pytest.mark.parametrize("key", soak.MEASURED)
def test_what_grows_is_named_with_how_much(key: str) -> None:
    grown = result(**{key: 50.0})
    assert grown["growth"]["worker 1"][key] == pytest.approx(50, rel=0.1)
    (said,) = soak.faults(grown)
    assert said.startswith(f"worker 1: {soak.MEASURED[key]} +")


def test_what_is_left_or_not_done_is_named() -> None:
    bad = result()
    bad["left"] = {"processes": 2, "in /dev/shm": 1, "half-written files": 0}
    bad |= {"done": 999, "exit_code": 1}
    assert soak.faults(bad) == [
        "processes: 2 left",
        "in /dev/shm: 1 left",
        "999 of 1000 runs are done, exit code 1",
        "1000 runs",
    ]


def test_too_short_a_soak_says_so() -> None:
    short = result()
    short["samples"] = short["samples"][-3:]
    short["growth"] = soak.growth(short)
    assert soak.faults(short) == ["too few samples to tell what grows; take more --runs"]


def test_the_chart_shows_every_process_and_says_what_grows() -> None:
    chart = soak.chart(result(files=50.0)).to_dict()
    assert len(chart["concat"]) == 4
    assert "worker 1: own memory, MB +0, open files +" in chart["description"]
