"""Names of studies and arms: valid folder names on every system, and distinct from command options."""

from __future__ import annotations

import re

MAX_BYTES = 100
RULE = f"letters, digits, '_', and between them ' +=,.-'; at most {MAX_BYTES} bytes, no Windows device (con, nul, …)"

_DEVICE = r"(?i:con|prn|aux|nul|(?:com|lpt)[\d¹²³]) *(?:\.|\Z)"  # Windows ignores the file's ending
_NAME = re.compile(rf"(?!{_DEVICE})\w[\w +=,.-]*(?<![ .])\Z")


def is_name(value: object) -> bool:
    """Return whether the value is text that can name a study or an arm."""
    return isinstance(value, str) and _NAME.match(value) is not None and len(value.encode()) <= MAX_BYTES
