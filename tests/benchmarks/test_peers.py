"""The comparison with peers without its timings: rejected results, environments, tables and chart."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pages import peers as page
from pages import peers_chart as chart
from peers import many, whole
from peers.contenders import ALONE, CONTENDERS, Contender
from peers.process import Failed, check_learning, environment

ROOT = Path(__file__).parents[2]


def epoch(seconds: float = 1.0, train_loss: float = 0.6, test_acc: float = 0.8) -> dict[str, Any]:
    figures = {"train_seconds": 0.9 * seconds, "test_seconds": 0.1 * seconds}
    return figures | {"train_loss": train_loss, "train_acc": 0.8, "test_loss": 0.5, "test_acc": test_acc}


def results() -> dict[str, Any]:
    """Return results as if the n-th contender took n seconds, without a compiler."""
    rows: list[dict[str, Any]] = []
    for n, contender in enumerate(CONTENDERS + ALONE, start=1):
        missing = "needs a C++ compiler" if contender.needs_compiler else None
        epochs = [] if missing else [epoch(n), epoch(n + 0.5), epoch(n - 0.5)]
        if not contender.learns:
            epochs = [{key: figures[key] for key in ("train_seconds", "test_seconds")} for figures in epochs]
        rows.append({"name": contender.name, "note": contender.note, "absent": missing, "epochs": epochs})
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


def test_table_shows_medians_ranges_and_ratios() -> None:
    text = page.text(results())
    eager = next(n for n, contender in enumerate(CONTENDERS, start=1) if contender.name == "torch eager")
    matmuls = next(n for n, contender in enumerate(CONTENDERS, start=1) if contender.module == "matmuls")
    cells = row_of(text, "torch eager")
    assert cells[3:5] == [f"**{eager:.3f}**", f"{eager - 0.5:.3f}–{eager + 0.5:.3f}"]
    assert cells[5:8] == [f"{1 / eager:.2f}", f"{eager / matmuls:.2f}", "700"]
    assert row_of(text, "torch.compile")[1] == "– (needs a C++ compiler)"
    assert "(AVX-512, no AMX)" in text and "torch 2.15.0" in text and "jax None" not in text


def test_many_runs_are_compared_with_one_worker_of_one_thread() -> None:
    text = page.text(results())
    assert row_of(text, "2 jobs, one thread each")[1:5] == ["37.5", "0.250", "0.167", "400"]
    assert "with one thread each do 1.60 times the work of one in the same time, 1.80" in text
    assert "efficiency of 80% and 90%" in text


def test_the_text_has_the_epochs_that_were_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "EPOCHS", 7)
    monkeypatch.setattr(many, "EPOCHS", 10)
    text = page.text(results())
    assert "trains 7 epochs and evaluates after each" in text and "of 15 scratch runs of 10 epochs" in text


def test_section_shows_the_chart(tmp_path: Path) -> None:
    assert f"]({page.CHART})" in page.sections(results())["peers"]
    chart.draw(results(), tmp_path)
    svg = (tmp_path / page.CHART).read_text(encoding="utf-8")
    assert all(name in svg for name in ("dropexp scratch", "JAX, jit + scan"))


@pytest.mark.parametrize(
    ("epochs", "fault"),
    [
        ([epoch(train_loss=0.6), epoch(train_loss=0.6)], "learned nothing"),
        ([epoch(train_loss=1.1, test_acc=0.1), epoch(train_loss=1.0, test_acc=0.3)], "learned too little"),
        ([epoch(train_loss=1.1), epoch(train_loss=float("nan"))], "diverged"),
    ],
)
def test_a_contender_that_learned_too_little_is_rejected(epochs: list[dict[str, Any]], fault: str) -> None:
    with pytest.raises(Failed, match=fault):
        check_learning("it", epochs)
    check_learning("it", [epoch(train_loss=1.1, test_acc=0.72), epoch(train_loss=0.6, test_acc=0.69)])


def test_contenders_see_no_variable_that_configures_a_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OPENBLAS_CORETYPE", "OMP_NUM_THREADS", "MKL_CBWR", "XLA_FLAGS", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.setenv(name, "1")
    found = environment(tmp_path, tmp_path, {"VARIANT": "nn"})
    assert not {name for name in found if name.startswith(("O", "MKL", "XLA", "PYTHOND"))}
    assert found["VARIANT"] == "nn" and found["PATH"] == os.environ["PATH"]


def test_peers_do_not_import_dropexp_and_each_has_a_script() -> None:
    scripts = ROOT / "benchmarks" / "peers"
    for contender in CONTENDERS:
        source = (scripts / f"{contender.module}.py").read_text(encoding="utf-8")
        ours = contender.module in ("ours", "matmuls", "peak")
        assert ("dropexp import" in source or "from dropexp" in source) == ours
    for shared in ("data", "turns", "torch_net"):
        assert "from dropexp" not in (scripts / f"{shared}.py").read_text(encoding="utf-8")


def test_a_contender_without_its_compiler_is_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
