"""Fuzz the parsers and readers with atheris, which follows the branches that an input takes:

    python tests/fuzz/atheris_targets.py TARGET [SECONDS]      yaml, set, require, run.json, epochs.csv, idx, or all

Each must return or raise an error that the command reports. Anything else is a crash; its input is written to the
current folder. Prints how many inputs were tried. A target that tries no input counts as failed.
"""

from __future__ import annotations

import atexit
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("atheris is not installed; pip install 'dropexp[fuzz]' (Linux and macOS)")

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["dropexp", "yaml"]):
    from helpers.fake_runs import publish, write_run

    from dropexp.analysis.comparison import compare
    from dropexp.analysis.requirement import require
    from dropexp.config import yaml
    from dropexp.config.file import Options, parse_config
    from dropexp.config.study import load_config
    from dropexp.data import dataset_files
    from dropexp.data.dataset_files import CHECKSUMS
    from dropexp.errors import ComparisonError, ConfigError, DataError, NoRuns, RunError
    from dropexp.files import sha256
    from dropexp.runs.folder import EPOCHS, RUN
    from dropexp.runs.record import read_runs

FOLDER = Path(tempfile.mkdtemp(prefix="dropexp-atheris-"))
atexit.register(shutil.rmtree, FOLDER)
FUZZED = write_run(FOLDER / "runs", "nn", 0, 0.8)
write_run(FOLDER / "runs", "none", 0, 0.8)
publish(FOLDER / "runs", arm="nn", test_acc=[0.8])
RAW = dataset_files.raw_dir(FOLDER)
RAW.mkdir(parents=True)
COMPARISON = compare(runs_dir=FOLDER / "runs")
CONFIG = b"name: x\nvariant: nn\nhidden: [8]\ndrop_probs: [.5]\narms: {a: {lr: 1e-3}}\nmatrix: {seed: 0..2}\n"


def yaml_(content: bytes) -> None:
    file = FOLDER / "x.yaml"
    file.write_bytes(content)
    with suppress(ConfigError):
        load_config(file)


def set_(content: bytes) -> None:
    text = content.decode("utf-8", "surrogateescape")
    with suppress(ConfigError):
        parse_config("variant: nn", "x.yaml", "x", Options((text,), (text,), text))
    with suppress(ConfigError):
        yaml.parse(text, "--filter")


def require_(content: bytes) -> None:
    with suppress(ComparisonError):
        require(COMPARISON, content.decode("utf-8", "surrogateescape"))


def run_json(content: bytes) -> None:
    start, digits, rest = content[:12], content[12:76], content[76:]
    if rest[:3] == b'",\n':  # recompute the checksum; otherwise no changed content is accepted
        content = start + sha256(rest[3:]).encode() + rest if len(digits) == 64 else content
    (FUZZED.path / RUN).write_bytes(content)
    with suppress(NoRuns, ComparisonError):
        read_runs((), FOLDER / "runs")
        compare(runs_dir=FOLDER / "runs")


def epochs_csv(content: bytes) -> None:
    (FUZZED.path / EPOCHS).write_bytes(content)
    with suppress(RunError):
        FUZZED.read_table()


def idx(content: bytes) -> None:
    name = next(iter(CHECKSUMS))
    for file in (RAW / name, RAW / f"{name}.gz"):
        file.write_bytes(content)
        assert dataset_files.source(FOLDER, name) == file
        with suppress(DataError):
            dataset_files.read(FOLDER, {name: CHECKSUMS[name]})
            raise AssertionError("accepted as Fashion-MNIST")
        file.unlink()


Target = Callable[[bytes], None]
TARGETS: dict[str, tuple[Target, bytes]] = {  # and its first input
    "yaml": (yaml_, CONFIG),
    "set": (set_, b"lr=1e-3"),
    "require": (require_, b"nn.test_acc >= 0.5"),
    "run.json": (run_json, (FUZZED.path / RUN).read_bytes()),
    "epochs.csv": (epochs_csv, (FUZZED.path / EPOCHS).read_bytes()),
    "idx": (idx, gzip.compress(b"\0\0\x08\x01\0\0\0\x02\0\1", mtime=0)),
}


def fuzz(target: str, seconds: str) -> None:
    """Fuzz one target. Does not return, since libFuzzer exits the process."""
    test, seed = TARGETS[target]
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    (corpus / "seed").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        "-timeout=60",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], str(corpus), *options], test)
    atheris.Fuzz()


def main() -> None:
    target, seconds, *child = [*sys.argv[1:], "30"] if len(sys.argv) == 2 else sys.argv[1:] or ["", ""]
    if target not in (*TARGETS, "all") or not seconds.isdecimal():
        sys.exit(__doc__)
    if child:
        fuzz(target, seconds)
    failed = []
    for one in TARGETS if target == "all" else [target]:
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, __file__, one, seconds, "child"]
            done = subprocess.run(words, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": folder})
        (tried,) = re.findall(r"number_of_executed_units: (\d+)", done.stderr) or ["0"]
        print(f"atheris {one}: {int(tried):,} inputs tried in {seconds} s", flush=True)
        if done.returncode or tried == "0":
            failed.append(one)
            print(done.stderr[-4000:])
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
