"""Profiles of hypothesis: quick by default; torture tries many more inputs. The counts are printed at the end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from fuzz.sandbox import tried

# No deadline: sandbox.py limits CPU time, because wall time depends on what else the machine does.
_COMMON: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=30, derandomize=True, **_COMMON)  # the same inputs each time
settings.register_profile("torture", max_examples=400, phases=[Phase.explicit, Phase.generate], **_COMMON)
settings.load_profile("quick")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    by_target = ", ".join(f"{target}: {count:,}" for target, count in sorted(tried.items()))
    terminalreporter.write_line(f"inputs tried: {tried.total():,} ({by_target})")
