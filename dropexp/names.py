"""What may name a study or an arm: a folder on every system, and no word that a command takes for an option.

And how text is shown that anyone may have written, the name of a folder say.
"""

from __future__ import annotations

import re

MOST_BYTES = 100
RULE = f"letters, digits, '_' and, inside, ' +=,.-', at most {MOST_BYTES} bytes, none of Windows' devices (con, nul, …)"

_DEVICE = r"(?i:con|prn|aux|nul|(?:com|lpt)[\d¹²³]) *(?:\.|\Z)"  # with any ending, as Windows takes them
_NAME = re.compile(rf"(?!{_DEVICE})\w[\w +=,.-]*(?<![ .])\Z")
_UNSHOWN = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # what a terminal obeys, half a character


def shown(text: str) -> str:
    """The text without anything that a terminal would obey."""
    return _UNSHOWN.sub("\ufffd", text)


def is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.match(value) is not None and len(value.encode()) <= MOST_BYTES


def quoted(name: str) -> str:
    """The name, as Python writes it where a terminal would obey what is in it."""
    return name if name.isprintable() else repr(name)
