"""What a value of the wrong kind was meant to be: '10', 50%, 60,000, 0,5, or 0.2, 0.5."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from dropexp.config import yaml
from dropexp.config.values import whole
from dropexp.errors import ConfigError

_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:([,_' ])\d{3})(?:\1\d{3})*")
_LEADING_ZERO = re.compile(r",0\d")
_NUMBER = re.compile(r"[-+]?\d*[.,]?\d+(?:e[-+]?\d+)?", re.IGNORECASE)


def meant(value: Any, takes: Callable[[Any], bool]) -> Any:
    """Return the value that a text was meant to be, if there is one that `takes` accepts; None otherwise."""
    if not isinstance(value, str) or len(value) > 200:
        return None
    text = value.strip().rstrip(",")  # JSON has a comma after a value
    return next((whole(one) for one in _readings(text, takes) if takes(whole(one))), None)


def is_percentage(value: Any) -> bool:
    """Return whether a number given for a probability or an accuracy is a percentage; one just above 1 is a typo."""
    return type(value) in (int, float) and 5 <= value <= 100


def written(value: Any) -> str:
    """Return a value as a line of a config has it: a list in brackets, words without quotes where possible."""
    return yaml.dump_line([value])[1:-1]


def _readings(text: str, takes: Callable[[Any], bool]) -> Iterator[Any]:
    """Yield what a text can be read as, the likeliest first."""
    yield from _as_yaml(text)  # '10' and 'true' in quotes
    items = text[1:-1] if re.fullmatch(r"\([^()]*\)|\[[^\[\]]*\]", text) else text
    is_list = "," in items and not _LEADING_ZERO.search(items)  # 1,024 is a number
    if is_list:
        yield from _as_yaml(f"[{items}]")
    if len(parts := re.split(r"[,;]?\s+|;|[x×]", items)) == 1 and is_list:
        parts = items.split(",")
    if len(parts) > 1 and all(numbers := [[*_number(part)] for part in parts]):
        yield [found[0] for found in numbers]
    if not _THOUSANDS.fullmatch(text):
        yield from _number(text)
    elif "," not in text or not takes(0.5):  # where fractions are allowed, 1,000 can be 1
        yield int(re.sub(r"\D", "", text))


def _as_yaml(text: str) -> Iterator[Any]:
    try:
        yield yaml.parse(text, "").content
    except ConfigError:
        return


def _number(text: str) -> Iterator[float]:
    """Yield the number of a text such as 0.5, 0,5, 1_000 or 50%; nothing if it is not a number."""
    number = text.rstrip("%").strip().replace("_", "")
    if _NUMBER.fullmatch(number):
        yield float(number.replace(",", ".")) / (100 if text.endswith("%") else 1)
