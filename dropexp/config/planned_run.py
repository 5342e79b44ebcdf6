"""A run that a config defines, and its part in a search for settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from dropexp.config.digests import arm_digest, digest
from dropexp.config.names import is_letter
from dropexp.config.schema import Config


class SearchPart(BaseModel):
    """The role of a run in a search. It is in run.json under `tune`, and not part of the hash."""

    model_config = ConfigDict(strict=True, frozen=True)

    role: Literal["trial", "tested"]
    search: str  # the digest of the search
    arm: str  # the digest that the searches of its arm share
    repeat: int
    trial: int  # of a tested run: the trial whose settings it has
    keys: list[str]  # whose values the search draws
    selection: dict[str, float] | None = None  # of a tested run: the validation figures of that trial


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study: its config, and `cell`, the readable part of its folder's name."""

    name: str  # of the study
    arm: str | None
    cell: str
    config: Config
    tuning: SearchPart | None = None

    def digest(self, device_kind: str) -> str:
        """Return the hash in the folder's name."""
        return digest(self.config.settings(device_kind))

    @property
    def arm_digest(self) -> str:
        """The digest that the run shares with the other runs of its arm."""
        if self.tuning is not None and self.tuning.role == "tested":
            return self.tuning.arm
        return arm_digest(self.config.settings("any"))


def cell_of(keys: Mapping[str, Any]) -> str:
    """Return the readable part of a folder's name: key=value, lists joined by '+', at most 120 safe characters."""
    parts = (f"{key}={'+'.join(map(str, v)) if isinstance(v, list) else v}" for key, v in keys.items())
    return re.sub(r"[^\w=,.+-]", lambda found: found[0] if is_letter(found[0]) else "-", ",".join(parts))[:120]
