"""How long comparing and listing take over many runs, and how much memory: made-up runs, the real commands.

    python benchmarks/many_runs.py [10000]

Runs of 5 or 100 seeds and 5 epochs each, of none, nn and scratch at several drop probabilities, are written as `train`
writes them, into a temporary folder; one of them is broken. Each command is a process of its own. Peak memory is not
measured on Windows.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dropexp.config.schema import Config, digest
from dropexp.runs.folder import EPOCHS, RunFolder

EPOCHS_EACH = 5


def write_runs(runs_dir: Path, count: int, seeds: int) -> None:
    """`count` finished runs of one study, in arms of `seeds` runs."""
    draw = random.Random(0)
    arms = [("none", 0.0)] + [(variant, i / count) for i in range(count) for variant in ("nn", "scratch")]
    for i in range(count):
        variant, p = arms[i // seeds]
        _write(
            runs_dir, Config.model_validate({"variant": variant, "drop_probs": [0.2, 0.2 + p], "seed": i % seeds}), draw
        )


def _write(runs_dir: Path, config: Config, draw: random.Random) -> None:
    rows = []
    for epoch in range(1, EPOCHS_EACH + 1):
        acc = 0.75 + 0.02 * epoch + draw.gauss(0, 0.01)
        losses = {"train_loss": 2 - 2 * acc, "train_acc": acc, "clean_train_loss": 1.9 - 2 * acc}
        tested = {"clean_train_acc": acc + 0.02, "test_loss": 2.1 - 2 * acc, "test_acc": acc}
        rows.append({"epoch": epoch, **losses, **tested, "lr": 0.5, "seconds": 0.5})
    settings = config.settings("cpu")
    cell = f"variant={config.variant},seed={config.seed}"
    run = RunFolder(runs_dir / "many" / f"{cell}-{digest(settings)}")
    run.path.mkdir(parents=True)
    info: dict[str, Any] = {"status": "done", "why": None, "name": "many", "arm": None, "cell": cell}
    info |= {"hash": digest(settings), "config": config.model_dump(), "settings": settings}
    packages = {f"package-{i}": "1.2.3" for i in range(20)}  # as much as a real one says
    run.write_info({**info, "rows": len(rows), "last": rows[-1], "provenance": packages})
    table = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    (run.path / EPOCHS).write_text("\n".join(table) + "\n")


def timed(*arguments: str) -> tuple[float, float, subprocess.CompletedProcess[str]]:
    """Seconds and peak memory (MB, NaN on Windows) of the command, and what it printed."""
    script = (
        "import sys\nfrom dropexp.cli.main import main\n"
        "try: main()\n"
        "finally:\n"
        "    try:\n"
        "        import resource\n"
        "        unit = 1e6 if sys.platform == 'darwin' else 1e3\n"
        "        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit\n"
        "    except ImportError: peak = float('nan')\n"
        "    print('peak', peak, file=sys.stderr)\n"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    seconds = time.perf_counter() - began
    return seconds, float(done.stderr.split()[-1]), done


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for seeds in (5, 100):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), count, seeds)


def measure(runs_dir: Path, count: int, seeds: int) -> None:
    """Time both commands in two formats; a broken run among them is to be named and skipped."""
    write_runs(runs_dir, count, seeds)
    broken = next(runs_dir.glob("many/*nn,seed=3-*"))
    (broken / "run.json").write_text("{")
    for command in ("compare", "runs"):
        for form in ("table", "json"):
            seconds, peak, done = timed(command, "--runs-dir", str(runs_dir), "--format", form)
            named = "named" if broken.name in done.stdout else "NOT named"
            print(
                f"{command:<8} --format {form:<6} {count} runs, {seeds:>3} seeds each: {seconds:5.2f} s  {peak:4.0f} MB"
                f"  exit {done.returncode}, the broken run is {named}"
            )
            if form == "json":
                json.loads(done.stdout)


if __name__ == "__main__":
    main()
