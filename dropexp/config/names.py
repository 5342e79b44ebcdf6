"""Which names a study or an arm can have: a folder on every system that no command mistakes for an option."""

from __future__ import annotations

import re

MOST_BYTES = 100
RULE = f"letters, digits, '_' and, inside, ' +=,.-', at most {MOST_BYTES} bytes, none of Windows' devices (con, nul, …)"

_DEVICE = r"(?i:con|prn|aux|nul|(?:com|lpt)[\d¹²³]) *(?:\.|\Z)"  # with any ending, as Windows takes them
_NAME = re.compile(rf"(?!{_DEVICE})\w[\w +=,.-]*(?<![ .])\Z")


def is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.match(value) is not None and len(value.encode()) <= MOST_BYTES
