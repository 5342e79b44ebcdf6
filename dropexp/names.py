"""What may name a study or an arm: a folder on every system, and no word that a command takes for an option.

And how a folder's name is shown that somebody else gave it.
"""

from __future__ import annotations

import re

MOST_BYTES = 100
RULE = f"letters, digits, '_' and, inside, ' +=,.-', at most {MOST_BYTES} bytes, none of Windows' devices (con, nul, …)"

_DEVICE = r"(?i:con|prn|aux|nul|(?:com|lpt)[\d¹²³]) *(?:\.|\Z)"  # with any ending, as Windows takes them
_NAME = re.compile(rf"(?!{_DEVICE})\w[\w +=,.-]*(?<![ .])\Z")


def is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.match(value) is not None and len(value.encode()) <= MOST_BYTES


def shown(name: str) -> str:
    """The name, as Python writes it where a terminal would obey what is in it."""
    return name if name.isprintable() else repr(name)
