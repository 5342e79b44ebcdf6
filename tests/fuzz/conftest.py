"""Inputs that nobody meant. `--hypothesis-profile=torture` tries many more; the counts are printed at the end."""

from __future__ import annotations

import pytest
from asked import tried
from hypothesis import HealthCheck, Phase, settings

# The deadline is the process's own time, in asked.py: the clock tells nothing on a machine that is busy.
_COMMON = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=30, derandomize=True, **_COMMON)  # the same inputs each time
settings.register_profile("torture", max_examples=400, phases=[Phase.explicit, Phase.generate], **_COMMON)  # as found
settings.load_profile("quick")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    by_target = ", ".join(f"{target}: {count:,}" for target, count in sorted(tried.items()))
    terminalreporter.write_line(f"inputs tried: {tried.total():,} ({by_target})")
