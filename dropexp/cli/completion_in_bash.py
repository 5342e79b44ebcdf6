"""Bash splits words such as KEY=VALUE at = and :. Join them, and print only what follows the last = or :."""

from __future__ import annotations

import io
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

_BREAK = re.compile("[=:]+")


@contextmanager
def bash_words() -> Iterator[None]:
    """Complete whole words instead of the parts that bash has split them into, if bash requests completions."""
    if os.environ.get("_DROPEXP_COMPLETE") != "complete_bash":
        yield
        return
    words, at = os.environ.get("COMP_WORDS", "").split("\n"), int(os.environ.get("COMP_CWORD", "0"))
    whole, kept = _whole_words(words[: at + 1])
    if len(whole) <= at < len(words):
        os.environ |= {"COMP_WORDS": "\n".join(whole), "COMP_CWORD": str(len(whole) - 1)}
    is_quoted = "".join(words[at : at + 1]).startswith(("'", '"'))
    found = io.StringIO()
    try:
        with redirect_stdout(found):
            yield
    finally:
        for line in found.getvalue().splitlines():
            one = line.removeprefix(kept)
            print(shlex.quote(one) if " " in one and not is_quoted else one)


def _whole_words(words: list[str]) -> tuple[list[str], str]:
    """Return the words as they were before bash split them, and the part of the last one that bash has split off."""
    whole: list[str] = []
    kept = ""
    for i, word in enumerate(words):
        if i and (_BREAK.fullmatch(word) or _BREAK.fullmatch(words[i - 1])):
            kept = whole[-1] + (word if _BREAK.fullmatch(word) else "")
            whole[-1] += word
        else:
            kept = ""
            whole.append(word)
    return whole, kept
