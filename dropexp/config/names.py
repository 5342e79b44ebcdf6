"""Names of studies and arms: valid folder names on every system, which no command mistakes for an option."""

from __future__ import annotations

import re

MAX_BYTES = 100
RULE = f"letters, digits, '_' and, inside, ' +=,.-', at most {MAX_BYTES} bytes, no device of Windows (con, nul, …)"

_DEVICE = r"(?i:con|prn|aux|nul|(?:com|lpt)[\d¹²³]) *(?:\.|\Z)"  # with any ending, as Windows reads them
_NAME = re.compile(rf"(?!{_DEVICE})\w[\w +=,.-]*(?<![ .])\Z")


def is_name(value: object) -> bool:
    """Return whether the value is text that can name a study or an arm."""
    return isinstance(value, str) and _NAME.match(value) is not None and len(value.encode()) <= MAX_BYTES
