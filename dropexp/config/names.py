"""Names of studies and arms: valid folder names on every system, and distinct from command options."""

from __future__ import annotations

import re
import unicodedata

MAX_BYTES = 100
RULE = f"letters, digits, '_', and between them ' +=,.-'; at most {MAX_BYTES} bytes, no Windows device (con, nul, …)"

_DEVICE = re.compile(r"(?i:con|prn|aux|nul|(?:com|lpt)[\d¹²³]) *(?:\.|\Z)")  # Windows ignores the file's ending


def normalised(name: str) -> str:
    """Return the name in Unicode's composed form, so that the same letters are the same folder."""
    return unicodedata.normalize("NFC", name)


def is_name(value: object) -> bool:
    """Return whether the value is text that can name a study or an arm."""
    return (
        isinstance(value, str)
        and re.match(r"\w", value) is not None
        and value[-1] not in " ."
        and all(one in " +=,.-" or is_letter(one) for one in value)
        and len(value.encode(errors="replace")) <= MAX_BYTES
        and _DEVICE.match(value) is None
    )


def is_letter(character: str) -> bool:
    """Return whether the character is a letter, a digit, '_', or part of a letter, such as a combining mark."""
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"


def safe(text: str) -> str:
    """Return a name like the text, for a folder: "dropout-1" for "dropout (1)"; "study" if nothing is left of it."""
    letters = "".join(one if one in "+=,.-" or is_letter(one) else "-" for one in normalised(text))
    name = re.sub(r"-{2,}", "-", letters).strip("+=,.-")[:MAX_BYTES]
    return name if is_name(name) else "study"
