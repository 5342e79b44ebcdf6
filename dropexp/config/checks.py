"""The checks of a key and its value, wherever a file or an option has them."""

from __future__ import annotations

import math
import shlex
import textwrap
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from dropexp.config.fields import PROBABILITY, PROBES
from dropexp.config.mistyped_values import is_percentage, meant, written
from dropexp.config.other_libraries.keys import key_called, key_instead, numbered
from dropexp.config.other_libraries.values import value_instead
from dropexp.config.overrides import MAX_RUNS, meant_range, range_ends, whole_range
from dropexp.config.problems import Problems, dotted, shown
from dropexp.config.schema import GROUPS, STUDY_KEYS, Config, allowed
from dropexp.config.values import MAX_EXACT, in_words, normalised
from dropexp.config.variant_table import VARIANTS
from dropexp.config.yaml import KeyPath
from dropexp.did_you_mean import did_you_mean, nearest

FIELDS: dict[str, TypeAdapter[Any]] = {
    key: TypeAdapter(cast(Any, Annotated[info.annotation, info]), config=Config.model_config | {"defer_build": True})
    for key, info in Config.model_fields.items()
}
# Words that mean a key's default, and values that mean a default of null.
_DEFAULTS = {"none", "null", "default", "auto", "off", "no", "false", "all", "full", "max", "half"}
_NONE = {"0", "0.0", "-1", "inf", "false"}
ANCHORS = "x-"  # keys at the top that begin with it only define anchors


class Checks:
    """Checks keys and values; each check adds the problem that it finds."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.layers = len(Config.model_fields["hidden"].default)

    def normal(self, key: str, value: Any) -> Any:
        """Return a value as a run has it: null for the word "all" or "none" of a default, 10 for 1e1."""
        return normalised(key, value, self.takes) if key in FIELDS else value

    def takes(self, key: str, value: Any) -> bool:
        """Return whether a key allows this value; a problem is not added."""
        try:
            FIELDS[key].validate_python(value)
        except ValidationError:
            return False
        return True

    def _takes_converted(self, key: str, value: Any) -> bool:
        """Return whether a message can suggest this value; a share is converted as if there were no train_size."""
        sections = [*self.problems.lines, *((option,) for option in self.problems.options)]
        is_share = key == "validation_size" and any("train_size" in path for path in sections)
        return not is_share and self.takes(key, value)

    def is_known(self, key: str, value: Any, path: KeyPath) -> bool:
        """Return whether the key exists at `path`."""
        if key in Config.model_fields:
            return True
        last = key.rpartition(".")[2]
        nested = isinstance(value, dict) and len(path) == 1
        keys = [*Config.model_fields, *(STUDY_KEYS if len(path) == 1 else ())]
        if key == "<<" and key not in self.problems.options:
            remedy = "; to merge the keys of an anchor, write << without quotes"
        elif key in STUDY_KEYS:
            remedy = f"; {key!r} is a key of the top of a file"
        elif last != key and last in Config.model_fields:
            remedy = f"; keys cannot be nested: it is {last!r} alone"
        elif self._is_group(key, value, path):
            remedy = f"; keys cannot be nested: write them {_above(path)}"
        elif instead := key_instead(key, value, self.layers, path, self._takes_converted):
            remedy = instead
        elif similar := did_you_mean(key, STUDY_KEYS if nested else keys):
            remedy = similar
        elif nested:
            remedy = f"; keys cannot be nested: write them {_above(path)}"
        else:
            remedy = ", which is not one of the keys listed below"
            self.problems.footer = listed_keys()
        self.problems.add(path, f"unknown key {key!r}{remedy}")
        return False

    def _is_group(self, key: str, value: Any, path: KeyPath) -> bool:
        """Return whether a mapping groups keys of runs under another name, as in model: {hidden: [64]}."""
        if not isinstance(value, dict) or path[0] == "tune":
            return False
        own = {name: self.normal(name, one) for name, one in value.items() if name in Config.model_fields}
        called = key_called(key)
        if called in Config.model_fields or called == "name":  # not dropout: {hidden: 0.5}, where 0.5 is no width
            several = path[0] == "matrix"
            return bool(own) and all(
                self.takes(name, one) or (several and isinstance(one, list) and all(self.takes(name, v) for v in one))
                for name, one in own.items()
            )
        if not own or len(own) < len(value):
            return False
        if called in ("matrix", "tune"):  # grid: {lr: [0.1, 0.5]} is a matrix, and params: {lr: 0.1} a group
            return all(self.takes(name, one) and not isinstance(one, list) for name, one in own.items())
        return called is not None or nearest(key, STUDY_KEYS) is None

    def without_numbered(self, keys: dict[str, Any]) -> dict[str, Any]:
        """Return keys of the top without those that are entries of one list, such as dropout1 and dropout2."""
        found = numbered(keys)
        for key, names in found.items():
            values = [keys[name] for name in names]
            example = f": {key} = {values}" if self.takes(key, values) else ""
            named = " and ".join(map(repr, names))
            self.problems.add((names[0],), f"unknown keys {named} (did you mean {key!r}?); they are one list{example}")
        gone = [name for names in found.values() for name in names]
        return {key: value for key, value in keys.items() if key not in gone}

    def is_valid(self, key: str, value: Any, path: KeyPath) -> bool:
        """Return whether the key allows the value."""
        try:
            FIELDS[key].validate_python(value)
        except ValidationError as error:
            for one in error.errors():
                index = [part for part in one["loc"] if isinstance(part, int)][:1]
                title = self.title(path) + "".join(f"[{i}]" for i in index)
                what = self._allowed(key, one["input"], path, bool(index)) + self._largest(
                    key, one["input"], bool(index)
                )
                what += self._several_values(key, value, path) or self._meant(key, one["input"], bool(index))
                self.problems.add((*path, *index), f"{title} = {shown(one['input'])} is not {what}")
            return False
        return True

    def axis(self, key: str, value: Any) -> str:
        """Return what an axis of the matrix allows, and what to write instead of this value if that is known."""

        def takes(values: Any) -> bool:
            is_list = isinstance(values, list) and bool(values)
            return is_list and all(self.takes(key, self.normal(key, v)) and values.count(v) == 1 for v in values)

        if (ends := range_ends(value)) and whole_range(value) is None and self.takes(key, ends[0]):
            return f"a range of 1 to {MAX_RUNS:,} values"
        text, listed = self._range(key, value), meant(value, takes)
        remedy = f" (did you mean {text}?)" if text else "" if listed is None else f"; write {written(listed)}"
        return f"a list of values, or a range like 0..4{remedy}"

    def range_in_list(self, key: str, values: Any) -> str:
        """Return the range that is the only value of an axis, such as 0..4 for ["0..4"]; "" for any other axis."""
        is_allowed = self._takes_ranges(key, ("matrix", key, 0))
        return self._range(key, values) if isinstance(values, list) and not is_allowed else ""

    def sweep_of_layers(self, key: str, values: list[Any]) -> str:
        """Return the `--sweep` of lists that one of numbers means, each repeated for every layer; or ""."""
        is_sweep = self.problems.options.get(key, "").startswith("--sweep")
        if key not in ("hidden", "drop_probs") or not is_sweep or not 1 < self.layers <= 10:
            return ""
        lists = [[value] * self.layers for value in values]
        setting = f"{key}={','.join(map(written, lists))}"
        is_meant = not any(self.takes(key, value) for value in values) and all(self.takes(key, one) for one in lists)
        return f"--sweep {shlex.quote(setting)}" if is_meant else ""

    def check_duplicates(self, key: str, values: list[Any], path: KeyPath) -> None:
        """Add a problem if values of an axis are equal: they would be one run, where several were requested."""
        seen: set[str] = set()
        twice: dict[str, int] = {}
        for i, value in enumerate(values):
            normal = repr(FIELDS[key].validate_python(value))  # 1 and 1.0 are one value of a key with fractions
            if normal in seen:
                twice.setdefault(in_words(key, value), i)
            seen.add(normal)
        if twice:
            named = ", ".join([*list(twice)[:3], *("…" for _ in list(twice)[3:4])])
            what = f"{named} {'is' if len(twice) == 1 else 'are'} given twice; give each value once"
            self.problems.add((*path, min(twice.values())), f"{self.title(path)}: {what}")

    def _allowed(self, key: str, value: Any, path: KeyPath, in_list: bool) -> str:
        """Return what a key, or an entry of its list, allows; an option with seeds allows ranges of them too."""
        what = allowed(Config, key, item=in_list) or allowed(Config, key)
        if not self._takes_ranges(key, path):
            return what
        if text := self._range(key, value):
            return f"{what}, or a range like 0..4 (did you mean {text}?)"
        return f"a range of 1 to {MAX_RUNS:,} seeds" if range_ends(value) else f"{what}, or a range like 0..4"

    def _takes_ranges(self, key: str, path: KeyPath) -> bool:
        """Return whether the value at `path` can be a range: that of `--set seed`, and each one of `--seeds`."""
        option = self.problems.options.get(key, "")
        return key == "seed" and bool(option) and (len(path) == 1 or option.startswith("--seeds"))

    def _range(self, key: str, value: Any) -> str:
        """Return the range that a value was meant to be, such as 0..4, if the key takes its numbers; "" otherwise."""
        text = meant_range(value)
        numbers = whole_range(text) or []
        return text if all(self.takes(key, number) for number in (*numbers[:1], *numbers[-1:])) else ""

    def _largest(self, key: str, value: Any, in_list: bool) -> str:
        """Return why a whole number is too large, such as "; the largest is 1,000", and "" for any other value."""
        if type(value) not in (int, float) or value in (math.inf, -math.inf) or value != value // 1:
            return ""
        try:
            FIELDS[key].validate_python([int(value)] if in_list else int(value))
        except ValidationError as error:
            limits: dict[str, Any] = error.errors()[0].get("ctx", {})
            largest = limits.get("le", limits.get("lt", 0) - 1)
            is_known = largest < 2 or str(largest) in allowed(Config, key, item=in_list)
            return "" if is_known else f"; the largest is {largest:,}"
        return f"; use digits only: with a point or an exponent, numbers are exact only up to {MAX_EXACT:,}"

    def _several_values(self, key: str, value: Any, path: KeyPath) -> str:
        """Return the remedy for several values of a key that takes one, outside the matrix."""
        if path[0] in ("matrix", "tune"):
            return ""
        if self._takes_ranges(key, path):
            parts = [part.strip() for part in str(value).split(",")]
            are_seeds = len(parts) > 1 and all(part.isdecimal() or whole_range(part) for part in parts)
            return f"; for several values use --seeds {','.join(parts)}" if are_seeds else ""
        text, several = self._range(key, value), value
        if isinstance(value, str) and "," in value and "(" not in value:
            several = [part.strip() for part in value.split(",")]
        in_list = bool(allowed(Config, key, item=True))
        is_list = isinstance(several, list) and bool(several) and "" not in several
        if not text and (not is_list or (in_list and not all(isinstance(one, list) for one in several))):
            return ""
        number = meant(value, lambda one: self.takes(key, one))  # with a decimal comma
        fix = "" if number is None else f"write {written(number)}, or "
        if key not in self.problems.options:
            example = f": matrix: {{{key}: {text}}}" if text else ""
            return f"; {fix}list several values in the matrix{example}"
        setting = f"{key}={text or ','.join(str(one).replace(' ', '') for one in several)}"
        return f"; {fix}for several values use --sweep{f' {setting}' if len(setting) < 60 else ''}"

    def _meant(self, key: str, value: Any, in_list: bool) -> str:
        """Return what to write instead of a value, or of an entry of a list; "" if unknown."""
        if (in_list or key != "probes") and (remedy := value_instead(key, value, choices(key))):
            return remedy
        if key == "probes" and not in_list and value in PROBES:
            return f"; write [{value}]"
        if in_list:
            found = meant(value, lambda one: self.takes(key, one if isinstance(one, list) else [one]))
        else:
            found = meant(value, lambda one: self.takes(key, one))
        if found is not None:
            text = written(found)
            return f"; write {text[1:-1] if in_list and isinstance(found, list) else text}"
        if is_percentage(value) and allowed(Config, key, item=in_list) == PROBABILITY:
            return f"; {value:g} % is {value / 100:g}"
        if in_list:
            return ""
        if key in ("hidden", "drop_probs") and self.layers <= 10:
            one = meant(str(value), lambda one: self.takes(key, [one] * self.layers))
            if one is not None:
                return f"; the same for each layer is {[one] * self.layers}"
        default = Config.model_fields[key].default
        means_none = default is None and str(value).lower() in _NONE
        if means_none or (isinstance(value, str) and value.lower() in _DEFAULTS and not choices(key)):
            return f"; its default is {in_words(key, default)}"
        return ""

    def title(self, path: KeyPath) -> str:
        """Return how a message names the key at `path`: alone if an option set it, else with its sections."""
        key = path[1] if path[0] == "matrix" else path[-1]
        return str(key) if key in self.problems.options else dotted(path)


def _above(path: KeyPath) -> str:
    """Return where to write the keys of an unknown key's mapping."""
    if len(path) > 1:
        return f"in {dotted(path[:-1])} itself"
    return f"at the top level; a key for anchors starts with {ANCHORS}"


def choices(key: str) -> tuple[str, ...]:
    """Return the words that a key, or an entry of `probes`, takes; none if it takes numbers."""
    annotation = Config.model_fields[key].annotation
    if key == "variant":
        return tuple(VARIANTS)
    if key == "probes":
        return PROBES
    if annotation is bool:
        return "true", "false"
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def listed_keys() -> str:
    """Return all keys of a file, a line or two per group."""
    lines = [
        textwrap.fill(f"{group}: {', '.join(keys)}", 96, initial_indent="  ", subsequent_indent="    ")
        for group, keys in GROUPS.items()
    ]
    return "\n".join(["the keys, which `dropexp config keys` explains:", *lines])
