"""A sentence per question: the verdicts on all differences of a study, and the command that decides what is open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dropexp.analysis.plan_new_study import NewStudy
from dropexp.analysis.sentences import amount, interval, p_in_words, rounded, seeds_to_plan
from dropexp.analysis.stats import ALPHA
from dropexp.analysis.verdicts import Verdict, VerdictWord

MAX_NAMED = 4  # differences that a headline names for each verdict
AGAINST = {VerdictWord.EQUIVALENT: "to", VerdictWord.NEGLIGIBLE: "against", VerdictWord.INCONCLUSIVE: "against"}
Titles = Mapping[str, str]  # the display names of arms


@dataclass(frozen=True)
class Headline:
    """A sentence, and the command that decides what is open in it, "" if there is none; as text, both."""

    sentence: str
    command: str = ""

    def __str__(self) -> str:
        return f"{self.sentence}: {self.command}" if self.command else self.sentence


def headlines(verdicts: Sequence[Verdict], titles: Titles | None = None) -> list[Headline]:
    """Return a headline per study. Differences between arms of two studies share one, which has no command."""
    questions: dict[NewStudy | None, list[Verdict]] = {}
    for verdict in verdicts:
        questions.setdefault(verdict.pair.new_study, []).append(verdict)
    return [_headline(question, new_study, titles or {}) for new_study, question in questions.items()]


def _headline(verdicts: Sequence[Verdict], new_study: NewStudy | None, titles: Titles) -> Headline:
    found, plan = _found(verdicts, titles), _plan(verdicts, new_study)
    return replace(plan, sentence=f"{found} {plan.sentence}".rstrip())


def _found(verdicts: Sequence[Verdict], titles: Titles) -> str:
    """Return the differences by verdict: "BETTER than none in …: nn (+1.20 points); INCONCLUSIVE: …"."""
    by_word = {word: found for word in VerdictWord if (found := [one for one in verdicts if one.word is word])}
    if [*by_word] == [VerdictWord.INCONCLUSIVE] and len(verdicts) > 1:
        return _none_decided(verdicts, titles)
    bases = {_titles(one, titles)[1] for one in verdicts}
    shared = bases.pop() if len(bases) == 1 else None
    undecidable = [one for one in verdicts if _is_undecidable(one)]
    groups: list[str] = []
    question = f" in {verdicts[0].pair.what} ({_seeds(verdicts)})"  # in the first group only
    for word, own in by_word.items():
        if known := [one for one in own if not _is_undecidable(one)]:
            groups.append(f"{word}{_against(own[0], shared)}{question}: {_listed(known, shared, titles)}")
            question = ""
    if undecidable:
        against = _against(undecidable[0], shared)
        names = _joined([_name(one, shared, titles) for one in undecidable])
        groups.append(f"INCONCLUSIVE: {names}{against}{question}, because {' and '.join(_reasons(undecidable))}")
    return f"{'; '.join(groups)}."


def _is_undecidable(verdict: Verdict) -> bool:
    return bool(verdict.pair.broken) or not verdict.difference.pairs


def _none_decided(verdicts: Sequence[Verdict], titles: Titles) -> str:
    seeds, count, what = _seeds(verdicts), len(verdicts), verdicts[0].pair.what
    text = f"INCONCLUSIVE: with {seeds} none of the {count} differences in {what} can be decided"
    if all(one.family.min_p(one.index, one.difference.pairs) >= ALPHA for one in verdicts):
        are = "is" if seeds.startswith("1 ") and not seeds.endswith("s") else "are"
        text = f"INCONCLUSIVE: {seeds} {are} too few to show any of the {count} differences in {what}"
    known = [one for one in verdicts if one.difference.pairs and math.isfinite(one.difference.mean)]
    if known:
        largest = max(known, key=_size)
        text += f" (largest: {' − '.join(_titles(largest, titles))}, {_amount(largest)})"
    return "; ".join([text, *_reasons([one for one in verdicts if one.pair.broken])]) + "."


def _reasons(undecidable: Sequence[Verdict]) -> list[str]:
    """Return why these differences can have no verdict: broken runs, or that there are no pairs."""
    reasons = list(dict.fromkeys(why for one in undecidable for why in one.pair.broken or [one.pair.absent]))
    if len(reasons) > MAX_NAMED:
        reasons[MAX_NAMED - 1 :] = [f"{len(reasons) - MAX_NAMED + 1} more such notes"]
    return reasons


def _against(verdict: Verdict, baseline: str | None) -> str:
    """Return what follows the word: " than none", or " to none within ±0.3 points"."""
    against = f" {AGAINST.get(verdict.word, 'than')} {baseline}" if baseline else ""
    if verdict.word in (VerdictWord.EQUIVALENT, VerdictWord.NEGLIGIBLE):
        against += f" within ±{amount(verdict.margin, verdict.pair.unit, 'g')}"
    return against


def _listed(verdicts: Sequence[Verdict], baseline: str | None, titles: Titles) -> str:
    """Return differences, the largest first. `baseline` is the arm that all of the study are compared with."""
    by_size = sorted(verdicts, key=_size, reverse=True)
    return _joined([f"{_name(one, baseline, titles)} ({_figures(one)})" for one in by_size])


def _name(verdict: Verdict, baseline: str | None, titles: Titles) -> str:
    arm, base = _titles(verdict, titles)
    return arm if baseline else f"{arm} − {base}"


def _joined(names: list[str]) -> str:
    if len(names) > MAX_NAMED + 1:  # "1 more" is not shorter than a name
        names[MAX_NAMED:] = [f"{len(names) - MAX_NAMED} more"]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _figures(verdict: Verdict) -> str:
    """Return the difference; if it is the only one of its family, also its interval and p."""
    if verdict.difference.pairs == 1:
        return f"{_amount(verdict)}; no spread can be estimated from one pair"
    if verdict.family.size > 1:
        return _amount(verdict)
    ends = interval(verdict.difference.low, verdict.difference.high, verdict.pair.unit)
    is_equivalent = verdict.word is VerdictWord.EQUIVALENT
    p = p_in_words(verdict.p_equivalent_holm if is_equivalent else verdict.p_holm)
    return f"{_amount(verdict)}, 95 % interval {ends}, {'TOST ' if is_equivalent else ''}{p}"


def _plan(verdicts: Sequence[Verdict], new_study: NewStudy | None) -> Headline:
    """Return how to decide what is open: a study of other seeds that is judged alone, and its command."""
    open_ones = [one for one in verdicts if one.word is VerdictWord.INCONCLUSIVE]
    needed = [one.needed.pairs for one in open_ones if one.needed.pairs is not None]
    if new_study is None or not needed:
        return Headline("")
    if new_study.missing:
        return Headline(f"{new_study.missing}; train them before you plan a new study: they can change the verdicts.")
    units, shown = "repeats" if new_study.tuned else "seeds", amount(open_ones[0].margin, open_ones[0].pair.unit, "g")
    seeds = seeds_to_plan(open_ones, max(needed))
    if not new_study.has_room(seeds):
        about = f"About {rounded(max(needed)):,} {units} are needed for 80 % power to detect a true difference of "
        return Headline(f"{about}{shown}: more than one config can have.")
    study = f"a new study of {seeds:,} other {units}, judged alone"
    sentence = f"These {units} are a pilot; {study}, has 80 % power to detect a true difference of {shown}"
    if new_study.tuned:  # its plan is not a command
        return Headline(f"{sentence}: {new_study.plan(seeds)}")
    return Headline(sentence, new_study.plan(seeds))


def _seeds(verdicts: Sequence[Verdict]) -> str:
    """Return how many seeds the differences have: "8 seeds" or "7 to 8 seeds"."""
    counts = sorted({one.difference.pairs for one in verdicts})
    new_study = verdicts[0].pair.new_study
    units = "repeat" if new_study and new_study.tuned else "seed"
    return f"{' to '.join(map(str, counts[:: len(counts) - 1 or 1]))} {units}{'' if counts == [1] else 's'}"


def _size(verdict: Verdict) -> float:
    return abs(verdict.difference.mean) if verdict.difference.pairs else -1.0


def _amount(verdict: Verdict) -> str:
    return amount(verdict.difference.mean, verdict.pair.unit)


def _titles(verdict: Verdict, titles: Titles) -> tuple[str, str]:
    arm, baseline = verdict.pair.arm, verdict.pair.baseline
    return titles.get(arm, arm), titles.get(baseline, baseline)
