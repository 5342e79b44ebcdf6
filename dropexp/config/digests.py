"""Digests of settings: the hash in the name of a run's folder, and what the runs of an arm share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

TUNED = "tuned"  # instead of a value that a search chose


def canonical(settings: dict[str, Any]) -> str:
    """Return one text for these settings, independent of their order."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"))


def digest(settings: dict[str, Any]) -> str:
    """Return eight hexadecimal digits that name these settings. Among 100,000 runs, two are likely to share them."""
    return hashlib.sha256(canonical(settings).encode()).hexdigest()[:8]


def arm_digest(settings: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits, which are equal for runs that differ only in seed and kind of device."""
    return digest({key: value for key, value in settings.items() if key not in ("seed", "device")})


def searched(settings: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return the settings with `TUNED` for the keys that a search draws."""
    return {**settings, **dict.fromkeys(keys, TUNED)}
