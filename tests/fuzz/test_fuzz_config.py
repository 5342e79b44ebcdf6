"""Any config and any options: the command lists the runs, or reports what is wrong and where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.inputs import CONFIGS, HOSTILE, KEYS, changed, odd, texts, trees, words
from fuzz.sandbox import Result, sandbox

TREE: dict[str, Any] = {
    "name": "x",
    "hidden": [4],
    "drop_probs": [0.5],
    "epochs": 1,
    "arms": {"a": {"variant": "nn"}, "b": {"variant": "scratch", "lr": 0.1}},
    "matrix": {"seed": "0..2"},
    "published": {"arm": "a", "source": "a book", "loss": [0.5], "loss_scale": 2, "test_acc": [0.8], "w_norm": {}},
}


def dry_run(content: bytes | str, *words: str, target: str = "yaml") -> Result:
    """Run `train --dry-run` on a config: it must print the runs, or problems that all name the file or option."""
    with sandbox() as box:
        result = box.run(target, "train", "-c", box.write("x.yaml", content), "--dry-run", *words)
    assert result.code in (0, 2)
    if result.code:
        with_line_breaks = any(len(word.splitlines()) > 1 for word in words)  # a message repeats them
        first = Result(result.code, "", result.err.splitlines()[0]) if with_line_breaks else result
        assert first.every_problem_names("x.yaml", "--set", "--seeds") or _is_usage(result), result.err
    else:
        assert all(line.split(maxsplit=1)[0] == "new" for line in result.out.splitlines())
    return result


def _is_usage(result: Result) -> bool:
    return result.err.startswith("Usage:")


@given(st.binary(max_size=200) | st.text(max_size=200) | texts)
def test_a_config_of_any_bytes(content: bytes | str) -> None:
    dry_run(content)


@given(st.sampled_from(CONFIGS).map(lambda path: path.read_bytes()).flatmap(changed))
def test_a_shipped_config_with_a_few_changes(content: bytes) -> None:
    dry_run(content)


@given(st.dictionaries(st.sampled_from(KEYS), odd, max_size=8))
def test_any_value_of_any_key(tree: dict[str, Any]) -> None:
    dry_run(_yaml({"variant": "nn"} | tree))


@given(st.sampled_from(list(TREE)), odd, st.sampled_from(list(TREE)), odd)
def test_any_two_values_in_an_otherwise_valid_config(key: str, value: Any, other: str, another: Any) -> None:
    dry_run(_yaml(TREE | {key: value, other: another}))


@given(st.dictionaries(st.sampled_from([*TREE["published"], "x"]), odd, max_size=5))
def test_any_published_section(published: dict[str, Any]) -> None:
    dry_run(_yaml(TREE | {"published": published}), target="published")


@given(st.sampled_from([*KEYS, " lr ", "lr.x"]), words | trees.map(str).filter(lambda text: "\0" not in text))
def test_a_setting_with_any_key_and_value(key: str, value: str) -> None:
    dry_run("variant: nn", "--set", f"{key}={value}", target="--set")


@given(words)
def test_a_setting_of_any_text(text: str) -> None:
    dry_run("variant: nn", "--set", text, target="--set")


@given(words | st.lists(st.integers(-1, 100_001).map(str) | st.just("0..999"), max_size=9).map(",".join))
def test_any_seeds(seeds: str) -> None:
    dry_run("variant: nn", "--seeds", seeds, target="--seeds")


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffvariant: nn",
        "variant: nn\r\nlr: 1\r\n",
        "a: &a [x, x]\nb: &b [*a, *a]\n" + "\n".join(f"c{i}: &c{i} [*c{i - 1}, *c{i - 1}]" for i in range(1, 40)),
        "variant: nn\nlr: &a [*a]",
        "[" * 100_000,
        "- " * 50_000,
        "{a: " * 20_000,
        "variant: nn\nseed: " + "9" * 1_000_000,
        "variant: nn\nname: '" + "x" * 1_000_000 + "'",
        "x" * 5_000_000,
        "\n".join(f"key{i}: 1" for i in range(50_000)),
        "variant: nn\nmatrix: {hidden: 0..99999, drop_probs: 0..99999, lr: 0..99999}",
        "variant: nn\nmatrix: {seed: 0..99999, epochs: 1..99999, batch_size: 1..99999}",
        "variant: nn\nhidden: [" + "4, " * 50_000 + "4]",
        "arms: {" + ", ".join(f"a{i}: {{lr: x}}" for i in range(20_000)) + "}",
    ],
    ids=lambda content: content[:16],
)
def test_a_config_that_is_a_bomb(content: str) -> None:
    dry_run(content)


@given(st.sampled_from(HOSTILE) | texts, st.sampled_from(["name", "arm", "stem"]))
def test_a_name_is_rejected_or_safe(name: str, what: str) -> None:
    """Train a run: its files are in runs/, in two folders with names that are valid on Windows too."""
    tree: dict[str, Any] = {"task": "linear-regression", "train_size": 10, "validation_size": 0, "epochs": 1}
    tree |= {"arms": {name: {"variant": "nn"}}} if what == "arm" else {"variant": "nn"}
    tree |= {"name": name} if what == "name" else {}
    with sandbox() as box:
        file = "x.yaml"
        if what == "stem":
            if not name or len(name.encode("utf-8", "replace")) > 200 or any(c in name for c in "/\\\0\ud800\udcff"):
                return
            file = f"{name}.yaml"
        box.write(file, _yaml(tree))
        result = box.run("name", "train", f"--config={file}", "--jobs", "1", "--device", "cpu", "-q")
        assert result.code in (0, 2)
        made = [path.relative_to(box.runs) for path in box.runs.glob("**/run.json")]
        assert len(made) == (result.code == 0)
        for part in (part for path in made for part in path.parts):
            assert len(part.encode()) <= 255
            assert not set(part) & set('<>:"/\\|?*') and part.isprintable()
            assert part[-1] not in ". " and part[0] not in "-. "
            assert part.split(".")[0].rstrip().upper() not in ("CON", "PRN", "AUX", "NUL", "COM1", "COM¹", "LPT9")


def _yaml(tree: Any) -> str:
    """Return the tree as JSON, which is YAML except for infinity and NaN."""
    return json.dumps(tree).replace("Infinity", ".inf").replace("NaN", ".nan")
