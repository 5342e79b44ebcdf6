"""The number of cores that a process may use: its affinity, and the quota of its container."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dropexp import cpu_cores as module
from dropexp.cpu_cores import cores, quotas

V1 = "4:cpu,cpuacct:/docker/abc\n3:cpuset:/docker/abc\n"
V2 = "0::/user.slice/job\n"


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (V2, {"user.slice/job/cpu.max": "150000 100000\n"}, [1.5]),
        (V2, {"user.slice/cpu.max": "100000 100000\n", "user.slice/job/cpu.max": "max 100000\n"}, [1]),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, [0.5]),
        ("0::/../outside\n", {"cpu.max": "50000 100000\n"}, [0.5]),
        (V1, {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, [2]),
        (
            V1,
            {"cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "1\n", "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "4"},
            [0.25],
        ),
        (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, []),
        (V1, {"cpu/cpu.cfs_quota_us": "1\n", "cpu/cpu.cfs_period_us": "0\n"}, []),
        (V2, {"user.slice/job/cpu.max": "garbage\n"}, []),
        ("garbage", {}, []),
    ],
)
def test_quotas_of_control_groups_and_those_above_are_found(
    groups: str, files: dict[str, str], expected: list[float], tmp_path: Path
) -> None:
    write(tmp_path, {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()}})
    assert quotas(tmp_path) == expected


def test_a_system_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    assert quotas(tmp_path) == []


@pytest.mark.parametrize(("found", "expected"), [([1.0], 1), ([0.1], 1), ([1.5, 300.0], 2)])
def test_a_part_of_a_core_counts_as_one(found: list[float], expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "quotas", lambda: found)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(64), raising=False)
    assert cores() == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux lets a process choose its processors")
def test_only_processors_that_the_process_may_use_count() -> None:
    program = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from dropexp.cpu_cores import cores; print(cores())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
