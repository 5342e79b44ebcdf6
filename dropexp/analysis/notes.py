"""The type of a result with notes, which many functions of this package return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Noted(Generic[T]):
    """A result, and notes for the user on what it leaves out."""

    value: T
    notes: list[str]
