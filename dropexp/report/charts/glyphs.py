"""Which characters of a chart no installed font can draw: PNG and PDF show a box in their place."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import vl_convert

UNASSIGNED = "\U0010fffd"  # for private use: no font has it, so it is drawn as missing characters are
MAX_TRIED = 500  # characters that are tried, at two milliseconds each at most
DRAWN = (".png", ".pdf")  # kinds of files that are drawn here; elsewhere the reader's fonts count
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24">
<text y="18" font-family="sans-serif">{}</text></svg>"""


def missing_glyphs(spec: dict[str, Any]) -> list[str]:
    """Return the characters of a chart's texts that no installed font has."""
    characters = dict.fromkeys(json.dumps(spec, ensure_ascii=False))
    return list(_missing(character for character in characters if not character.isascii() and character.isprintable()))


def _missing(characters: Iterable[str]) -> Iterable[str]:
    box = _drawn(UNASSIGNED)
    return (one for one in list(characters)[:MAX_TRIED] if _drawn(one) == box)


def _drawn(character: str) -> bytes:
    return vl_convert.svg_to_png(_SVG.format(character))


def note_on_glyphs(spec: dict[str, Any], path: Path) -> str | None:
    """Return a note if the chart in this file has boxes instead of characters."""
    missing = missing_glyphs(spec) if path.suffix.lower() in DRAWN else []
    if not missing:
        return None
    shown = " ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
    return f"no installed font has {shown}: boxes in {path}; install a font that has them, such as Noto Sans CJK"
