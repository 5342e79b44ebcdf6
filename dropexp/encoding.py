"""Our own signs, such as ± and ─, where the terminal's encoding lacks them."""

from __future__ import annotations

import codecs

ERRORS = "signs"  # the `errors` of a stream that writes substitutes
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
    """Return the text with substitutes for what the encoding lacks; letters of names become \\u escapes."""
    return text.encode(encoding, ERRORS).decode(encoding)


def cut_excess(encoding: str | None) -> int:
    """Return how many columns substitutes take more than the ellipses of a cut name, which has two at most."""
    return 2 * (len(encodable("…", encoding or "utf-8")) - 1)


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    escaped = (one.encode("ascii", "backslashreplace").decode() for one in missing)
    return "".join(_SUBSTITUTES.get(one, code) for one, code in zip(missing, escaped, strict=True)), error.end


codecs.register_error(ERRORS, _substitute)
