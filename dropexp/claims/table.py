"""Evidence as tables of text, and as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence

from dropexp.claims.claim import Evidence
from dropexp.tables import Table

LEGEND = (
    "depends: it holds in one setting and fails in another. open: these runs cannot tell. "
    "By computation: equal within 1e-12, or a z-test at 0.1 %. From runs: a claimed difference holds where its 95 % "
    "t-interval leaves out 0 on the claimed side and the sign-flip p, after Holm over the study's settings, is below "
    "5 %; it fails where they say the opposite, or where two one-sided t-tests find it within the margin. A claimed "
    "equality holds where these do."
)
COLUMNS = ("number", "name", "claim", "source", "test", "verdict", "setting", "word", "evidence")


def tables(checked: Sequence[Evidence]) -> list[Table]:
    """The claims with their verdicts, and what each rests on."""
    claims = [
        [f"{e.claim.number} {e.claim.name}", e.claim.claim, e.claim.source, e.claim.test, e.verdict] for e in checked
    ]
    findings = [
        [f"{e.claim.number} {e.claim.name}" if i == 0 else "", finding.what, finding.word, finding.words]
        for e in checked
        for i, finding in enumerate(e.findings)
    ]
    return [
        Table("Claims", ["", "claim", "source", "test", "verdict"], claims, range(5), range(5), LEGEND),
        Table("Evidence", ["", "setting", "verdict", "evidence"], findings, fold=(1, 3), left=range(4)),
    ]


def to_csv(checked: Sequence[Evidence]) -> str:
    """A row per finding."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for e in checked:
        c = e.claim
        told = (c.number, c.name, c.claim, c.source, c.test, e.verdict)
        writer.writerows((*told, finding.what, finding.word, finding.words) for finding in e.findings)
    return text.getvalue()


def to_json(checked: Sequence[Evidence]) -> str:
    """A record per claim, with its findings and their figures in full precision; what is not known is null."""
    claims = [
        {
            **{key: getattr(e.claim, key) for key in ("number", "name", "claim", "source", "test")},
            **{"verdict": e.word, "in_words": e.verdict},
            "findings": [
                {"setting": f.what, "verdict": f.word, "evidence": f.words, "figures": _known(f.figures)}
                for f in e.findings
            ],
        }
        for e in checked
    ]
    return json.dumps({"schema": 1, "claims": claims}, indent=2, ensure_ascii=False, allow_nan=False)


def _known(figures: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}
