"""Values as people write them, and as a run has them: whole numbers in any notation, and words for defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MAX_EXACT = 2**53 - 1  # a float up to this has exactly the whole number that was written; 2**53 + 1 becomes 2**53
# What a key without a value is called, in files, tables and --filter; the others are "none".
DEFAULT_WORDS = {"train_size": "all", "drop_epochs": "half"}
NULLABLE = ("drop_epochs", "max_norm", "early_stopping", "train_size")


def in_words(key: str, value: Any) -> str:
    """Return a value as a config has it: a word for null, a list as in YAML, true and false."""
    if value is None:
        return DEFAULT_WORDS.get(key, "none")
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def normalised(key: str, value: Any, takes: Callable[[str, Any], bool]) -> Any:
    """Return null for the word of a key's default, and 10 for 1e1 or 10.0 where the key takes whole numbers only.

    `takes` returns whether a key allows a value. Any other value is returned as it is.
    """
    if isinstance(value, str) and key in NULLABLE and value.lower() in ("none", "null", DEFAULT_WORDS.get(key)):
        return None
    number = whole(value)
    return number if repr(number) != repr(value) and not takes(key, value) and takes(key, number) else value


def whole(value: Any) -> Any:
    """Return a value with whole numbers instead of floats that are whole."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT:
        return int(value)
    if isinstance(value, list):
        return [whole(one) for one in value]
    if isinstance(value, dict):
        return {key: whole(one) for key, one in value.items()}
    return value
