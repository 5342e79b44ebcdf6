"""The weight decay study: `dropexp train` on linear regression, which needs no images."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest
from helpers.command import TIMEOUT, Command
from helpers.in_process import InProcess

from dropexp.config.schema import Config

CONFIG = """\
task: linear-regression
lr: 0.003
batch_size: 1
epochs: 3
matrix: {variant: [scratch, nn], weight_decay: [0.005, 4.0], seed: 0..1}
"""
TRAIN = ("train", "--jobs", "1", "-q", "-c")


def test_a_table_has_losses_and_the_norm_and_scratch_equals_nn(cli: InProcess) -> None:
    cli(*TRAIN, cli.write("wd.yaml", CONFIG))
    tables = {path.parent.name: pd.read_csv(path) for path in cli.folder.glob("runs/wd/*/epochs.csv")}
    assert len(tables) == 8
    for name, table in tables.items():
        assert list(table.columns) == ["epoch", "train_loss", "test_loss", "w_norm", "lr", "seconds"]
        assert list(table["epoch"]) == [1, 2, 3]
        if "scratch" in name:
            cell = name.rpartition("-")[0].replace("scratch", "nn")
            (nn,) = (other for key, other in tables.items() if key.startswith(cell))
            pd.testing.assert_frame_equal(table.drop(columns="seconds"), nn.drop(columns="seconds"), rtol=1e-4)


def test_a_regression_needs_no_data(cli: InProcess) -> None:
    cli.environment["DROPEXP_DATA"] = str(cli.folder / "nowhere")
    cli.environment["XDG_CACHE_HOME"] = str(cli.folder / "empty")
    cli(*TRAIN, cli.write("wd.yaml", CONFIG), "--data-url", "http://127.0.0.1:9/")
    assert len(cli.tables()) == 8


def test_a_regression_trains_beside_a_study_of_images_in_workers_whose_parent_imports_no_torch(
    command: Command,
) -> None:
    script = command.write(
        "run.py",
        "import sys\n"
        "from dropexp.cli.main import main\n"
        "if __name__ == '__main__':\n"
        "    try: main()\n"
        "    finally: print('torch' in sys.modules)\n",
    )
    images = command.write("images.yaml", "variant: none\ntrain_size: 100\nepochs: 1\n")
    words = (script, "train", "-c", images, "-c", command.write("wd.yaml", CONFIG), "--jobs", "2", "-q")
    process = command.launch(sys.executable, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stdout, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, stderr
    assert stdout == "False\n"  # torch is not imported
    for path in command.folder.glob("runs/*/*/epochs.csv"):
        assert ("w_norm" in pd.read_csv(path)) == (path.parent.parent.name == "wd")
    assert len(command.tables()) == 9


def test_an_interrupted_regression_resumes_to_the_same_tables(command: Command, cli: InProcess) -> None:
    long = CONFIG.replace("epochs: 3", "epochs: 120").replace("batch_size: 1", "batch_size: 5")
    config = command.write("wd.yaml", long)
    process = command.start("train", "-c", config, "--jobs", "1")
    command.wait_for_rows(3, process)
    process.terminate()
    process.communicate()
    cli(*TRAIN, config)
    resumed = command.tables()
    cli(*TRAIN, config, "--force")
    assert resumed == command.tables()


@pytest.mark.parametrize("variant", ["none", "gaussian"])
def test_a_variant_of_another_task_is_refused(cli: InProcess, variant: str) -> None:
    config = cli.write("wd.yaml", f"task: linear-regression\nvariant: {variant}\n")
    stderr = cli("train", "-c", config, code=2).stderr
    assert f"wd.yaml:2: variant = {variant} is not supported by linear-regression; use scratch or nn" in stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("momentum: 0.9", "wd.yaml:3: momentum cannot be set for linear-regression, which uses batch_size, epochs"),
        ("train_size: 20000", "wd.yaml:3: linear-regression has at most 10000 rows, not 20000"),
    ],
)
def test_a_key_without_effect_is_refused(cli: InProcess, line: str, message: str) -> None:
    config = cli.write("wd.yaml", f"task: linear-regression\nvariant: scratch\n{line}\n")
    assert message in cli("train", "-c", config, code=2).stderr


def test_a_regression_is_a_run_of_the_cpu_on_any_device() -> None:
    settings = Config(task="linear-regression", variant="scratch").settings("cuda")
    assert settings == {"task": "linear-regression", "variant": "scratch", "device": "cpu"}


def test_a_loss_of_a_study_that_almost_diverges_can_be_compared(cli: InProcess) -> None:
    matrix = "{variant: [scratch], weight_decay: [0.0, 0.1], seed: 0..2}"
    text = f"task: linear-regression\nlr: 3\nepochs: 2\nmatrix: {matrix}\n"
    cli(*TRAIN, cli.write("wd.yaml", text))
    assert "more than 10⁹ seeds detect a true difference of 0.003." in cli("compare", "--format", "json").stdout
    rows = json.loads(cli("compare", "--format", "json", "--plot", "losses.svg").stdout)["differences"]
    assert [row["pairs_needed"] for row in rows] == [None]
    assert abs(rows[0]["difference"]) > 1e6


def test_validation_rows_add_a_column_and_l1_shrinks_the_weights(cli: InProcess) -> None:
    text = CONFIG.replace("weight_decay: [0.005, 4.0]", "l1: [0.0, 10.0], validation_size: [20]")
    cli(*TRAIN, cli.write("wd.yaml", text))
    for variant in ("scratch", "nn"):
        norms = {}
        for l1 in ("0.0", "10.0"):
            (path,) = cli.folder.glob(f"runs/wd/*{variant},l1={l1}*seed=0*/epochs.csv")
            table = pd.read_csv(path)
            assert "val_loss" in table and table["val_loss"].notna().all()
            norms[l1] = table["w_norm"].iloc[-1]
        assert norms["10.0"] < norms["0.0"] / 2
