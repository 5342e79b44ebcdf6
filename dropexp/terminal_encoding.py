"""Substitutes for characters in messages, such as ± and ─, that the terminal's encoding lacks."""

from __future__ import annotations

import codecs

ERRORS = "signs"  # name of the codec error handler that writes substitutes: the `errors` of a stream
_SUBSTITUTES = {
    "±": "+-",
    "−": "-",
    "–": "-",
    "…": "...",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "×": "x",
    "·": "*",
    "→": "->",
    "←": "<-",
    "′": "'",
    "‖": "||",
    "²": "^2",
    "ⁿ": "^n",
    "√": "sqrt ",
    "∞": "inf",
    "Σ": "sum ",
    "γ": "gamma",
    "ε": "epsilon",
    "λ": "lambda",
    "ξ": "xi",
    "σ": "sigma",
    "─": "-",
    "━": "=",
    "\ufffd": "?",
} | dict(zip("▁▂▃▄▅▆▇█", "_.-:=+*#", strict=True))


def encodable(text: str, encoding: str) -> str:
    """Return the text with substitutes for what the encoding lacks; characters without one become \\u escapes."""
    return text.encode(encoding, ERRORS).decode(encoding)


def cut_excess(encoding: str | None) -> int:
    """Return how many columns a cut name may grow by when its ellipses, at most two, are substituted."""
    return 2 * (len(encodable("…", encoding or "utf-8")) - 1)


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    escaped = (one.encode("ascii", "backslashreplace").decode() for one in missing)
    return "".join(_SUBSTITUTES.get(one, code) for one, code in zip(missing, escaped, strict=True)), error.end


codecs.register_error(ERRORS, _substitute)
