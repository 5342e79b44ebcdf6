"""The peers' benchmark, but for the timing: what is refused, what the page says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))  # a command's folder, not installed

from peers import chart, page  # noqa: E402 (found by sys.path.append)
from peers.contenders import ALONE, CONTENDERS, Contender  # noqa: E402 (found by sys.path.append)
from peers.process import Failed, environment, prove  # noqa: E402 (found by sys.path.append)


def epoch(seconds: float = 1.0, train_loss: float = 0.6, test_acc: float = 0.8) -> dict[str, Any]:
    figures = {"train_seconds": 0.9 * seconds, "test_seconds": 0.1 * seconds}
    return figures | {"train_loss": train_loss, "train_acc": 0.8, "test_loss": 0.5, "test_acc": test_acc}


def results() -> dict[str, Any]:
    """As if the n-th contender took n seconds, and the compiler was missing."""
    rows: list[dict[str, Any]] = []
    for n, contender in enumerate(CONTENDERS + ALONE, start=1):
        missing = "needs a C++ compiler" if contender.needs_compiler else None
        taken = [] if missing else [epoch(n), epoch(n + 0.5), epoch(n - 0.5)]
        if not contender.learns:
            taken = [{key: figures[key] for key in ("train_seconds", "test_seconds")} for figures in taken]
        rows.append({"name": contender.name, "note": contender.note, "absent": missing, "epochs": taken})
        rows[-1]["peak_mb"] = 700.0
    about = {
        "date": "2026-01-02",
        "cpu": "A, 2 cores",
        "flags": {"AVX-512": True, "AMX": False},
        "threads": 2,
        "load": 0.1,
    }
    about |= {"system": "Linux", "commit": None, "dirty": None, "versions": {"torch": "2.15.0", "jax": None}}
    whole = [{"name": row["name"], "seconds": [9.0, 8.0, 10.0], "last": epoch()} for row in rows if row["epochs"]]
    each = {"run_epochs": 150, "own_mb": 400.0, "mapped_mb": None, "mapped_shared_mb": None}
    many = [
        {"name": "1 job, one thread", "jobs": 1, "rounds": [each | {"wall": 60.0, "spent": 45.0}]},
        {"name": "2 jobs, one thread each", "jobs": 2, "rounds": [each | {"wall": 37.5, "spent": 50.0}]},
    ]
    parts = {"epochs": rows, "whole": whole, "many": many}
    return {name: {"about": about, "rows": rows} for name, rows in parts.items()}


def row_of(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_has_medians_ranges_and_ratios() -> None:
    text = page.sections(results())
    eager = next(n for n, contender in enumerate(CONTENDERS, start=1) if contender.name == "torch eager")
    products = next(n for n, contender in enumerate(CONTENDERS, start=1) if contender.module == "products")
    cells = row_of(text, "torch eager")
    assert cells[3:5] == [f"**{eager:.3f}**", f"{eager - 0.5:.3f}–{eager + 0.5:.3f}"]
    assert cells[5:8] == [f"{1 / eager:.2f}", f"{eager / products:.2f}", "700"]
    assert row_of(text, "torch.compile")[1] == "– (needs a C++ compiler)"
    assert "(AVX-512, no AMX)" in text and "torch 2.15.0" in text and "jax None" not in text


def test_many_runs_are_set_against_one_worker_of_one_thread() -> None:
    text = page.sections(results())
    assert row_of(text, "2 jobs, one thread each")[1:5] == ["37.5", "0.250", "0.167", "400"]
    assert "do 1.60 times the work of one in the same time, 1.80 times" in text
    assert "efficiency of 80% and 90%" in text


def test_only_what_stands_between_the_markers_is_made_anew(tmp_path: Path) -> None:
    kept = json.loads(json.dumps(results()))
    once = page.write(f"above\n{page.BEGIN}\nold\n{page.END}\nbelow\n", kept, "chart.svg")
    assert once.startswith("above\n") and once.endswith("\nbelow\n") and "\nold\n" not in once
    assert page.write(once, kept, "chart.svg") == once
    with pytest.raises(ValueError, match="lacks"):
        page.write("no markers", kept, "chart.svg")
    chart.draw(kept["epochs"]["rows"], tmp_path / "chart.svg")
    assert all(name in (tmp_path / "chart.svg").read_text() for name in ("dropexp scratch", "JAX, jit + scan"))


@pytest.mark.parametrize(
    ("epochs", "fault"),
    [
        ([epoch(train_loss=0.6), epoch(train_loss=0.6)], "learned nothing"),
        ([epoch(train_loss=1.1, test_acc=0.1), epoch(train_loss=1.0, test_acc=0.3)], "learned too little"),
        ([epoch(train_loss=1.1), epoch(train_loss=float("nan"))], "diverged"),
    ],
)
def test_a_contender_that_learned_nothing_is_refused(epochs: list[dict[str, Any]], fault: str) -> None:
    with pytest.raises(Failed, match=fault):
        prove("it", epochs)
    prove("it", [epoch(train_loss=1.1, test_acc=0.72), epoch(train_loss=0.6, test_acc=0.69)])


def test_no_variable_that_a_library_heeds_reaches_a_contender(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OPENBLAS_CORETYPE", "OMP_NUM_THREADS", "MKL_CBWR", "XLA_FLAGS", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.setenv(name, "1")
    found = environment(tmp_path, tmp_path, {"VARIANT": "nn"})
    assert not {name for name in found if name.startswith(("O", "MKL", "XLA", "PYTHOND"))}
    assert found["VARIANT"] == "nn" and found["PATH"] == os.environ["PATH"]


def test_peers_do_not_import_dropexp_and_each_has_a_script() -> None:
    scripts = ROOT / "benchmarks" / "peers"
    for contender in CONTENDERS:
        source = (scripts / f"{contender.module}.py").read_text(encoding="utf-8")
        ours = contender.module in ("ours", "products", "peak")
        assert ("dropexp import" in source or "from dropexp" in source) == ours
    for shared in ("data", "turns", "torch_net"):
        assert "from dropexp" not in (scripts / f"{shared}.py").read_text(encoding="utf-8")


def test_without_a_compiler_the_row_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert "C++ compiler" in (Contender("it", "torch_compiled", needs_compiler=True).absent() or "")
    assert Contender("it", "torch_eager").absent() is None


def test_pins_are_names_and_versions_only() -> None:
    lines = (ROOT / "benchmarks/peers/requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(line.partition("==")[0].strip() and "://" not in line and "@" not in line for line in pins)
    names = {line.partition("==")[0].lower() for line in pins}
    assert {"torch", "torchvision", "jax", "keras", "lightning", "scikit-learn"} <= names
