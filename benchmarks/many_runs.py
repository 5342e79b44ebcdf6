"""Time and peak memory of `compare` and `runs` over many finished runs.

    python benchmarks/many_runs.py [--runs 10000] [--epochs 5 100]

Generated runs of none, nn and scratch with several drop probabilities and 5 or 100 seeds are written to a temporary
folder in the format of `train`; one of them is corrupted. Each command is a new process. Peak memory is not measured on
Windows.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dropexp.config.digests import digest
from dropexp.config.schema import Config
from dropexp.runs.epochs_table import Columns, add_row, last_figures, to_csv
from dropexp.runs.folder import CONFIG, EPOCHS, RunFolder, config_yaml
from dropexp.runs.run_json import RunInfo
from dropexp.runs.state_names import Status


def write_runs(runs_dir: Path, count: int, seeds: int, epochs: int = 5) -> None:
    """Write `count` finished runs of one study, in arms of `seeds` runs."""
    draw = random.Random(0)
    arms = [("none", 0.0)] + [(variant, i / count) for i in range(count) for variant in ("nn", "scratch")]
    for i in range(count):
        variant, p = arms[i // seeds]
        keys = {"variant": variant, "drop_probs": [0.2, 0.2 + p], "seed": i % seeds, "epochs": epochs}
        _write(runs_dir, Config.model_validate(keys), draw)


def _write(runs_dir: Path, config: Config, draw: random.Random) -> None:
    columns: Columns = {}
    for epoch in range(1, config.epochs + 1):
        acc = 0.85 - 0.1 / epoch + draw.gauss(0, 0.01)
        losses = {"train_loss": 2 - 2 * acc, "train_acc": acc, "clean_train_loss": 1.9 - 2 * acc}
        tested = {"clean_train_acc": acc + 0.02, "test_loss": 2.1 - 2 * acc, "test_acc": acc}
        add_row(columns, {"epoch": epoch, **losses, **tested, "lr": 0.5, "seconds": 0.5})
    settings = config.settings("cpu")
    cell = f"variant={config.variant},seed={config.seed}"
    run = RunFolder(runs_dir / "many" / f"{cell}-{digest(settings)}")
    run.path.mkdir(parents=True)
    info = RunInfo(
        status=Status.DONE,
        name="many",
        arm=None,
        cell=cell,
        hash=digest(settings),
        config=config.model_dump(),
        settings=settings,
        epoch=config.epochs,
        last={**last_figures(columns)},
        provenance={f"package-{i}": "1.2.3" for i in range(20)},  # as many as in a real run
        table=columns,
    )
    run.write_info(info)
    (run.path / EPOCHS).write_bytes(to_csv(columns))
    (run.path / CONFIG).write_bytes(config_yaml(info))


def timed(*arguments: str) -> tuple[float, float, subprocess.CompletedProcess[str]]:
    """Return seconds and peak memory (MB, NaN on Windows) of the command, and its result."""
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
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    seconds = time.perf_counter() - start
    return seconds, float(done.stderr.split()[-1]), done


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, nargs="+", default=[5, 100])
    options = parser.parse_args()
    reported = True
    for epochs in options.epochs:
        for seeds in (5, 100):
            with tempfile.TemporaryDirectory() as folder:
                reported &= measure(Path(folder), options.runs, seeds, epochs)
    if not reported:
        sys.exit("a command did not report the corrupted run")


def measure(runs_dir: Path, count: int, seeds: int, epochs: int) -> bool:
    """Time both commands in two formats. Return whether all of them report the corrupted run, as they must."""
    write_runs(runs_dir, count, seeds, epochs)
    corrupted = next(runs_dir.glob("many/*nn,seed=3-*"))
    (corrupted / "run.json").write_text("{")
    all_report = True
    for command in ("compare", "runs"):
        for form in ("table", "json"):
            seconds, peak, done = timed(command, "--runs-dir", str(runs_dir), "--format", form)
            reports = corrupted.name in done.stdout
            all_report &= reports
            reported = "reported" if reports else "NOT reported"
            print(
                f"{command:<8} --format {form:<6} {count} runs of {epochs} epochs, {seeds:>3} seeds each: "
                f"{seconds:5.2f} s  {peak:4.0f} MB  exit {done.returncode}, the corrupted run is {reported}"
            )
            if form == "json":
                json.loads(done.stdout)
    return all_report


if __name__ == "__main__":
    main()
