"""The house: who may know whom, and what a light command does not import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "dropexp"
ROOMS = sorted(  # of a folder's by its name too: claims.decay
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")
)
TORCH_ROOMS = {"benchmark", "captured", "checkpoint", "claims.decay", "claims.equalities", "claims.moments",
               "claims.nets", "claims.subnets", "data", "device", "evaluation", "experiment", "fit", "fused",
               "linreg", "masks", "modules", "node", "noise", "plugins", "predictive", "probes", "products",
               "schedules", "scratch", "sgd", "stack", "stacking", "stacknoise", "streams", "trained", "trainer",
               "variants", "workers"}  # fmt: skip
PANDAS_ROOMS = {"arms", "charts", "claims.seeds", "comparison", "drawing", "report", "tables"}
FOLDERS = {"dropexp", "dropexp.claims"}
RICH_ROOMS = {"display", "progress", "cli", "reading"}
COMMANDS = {"cli", "reading"}


def imports(room: str, top_only: bool = False) -> set[str]:
    """The modules that a room imports at run time; rooms of this package by their own name."""
    tree = ast.parse((PACKAGE / f"{room.replace('.', '/')}.py").read_text(encoding="utf-8"))
    types_only = {
        node
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and ast.unparse(guard.test) == "TYPE_CHECKING"
        for node in ast.walk(guard)
    }
    found = set()
    for node in tree.body if top_only else ast.walk(tree):
        if node in types_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module in FOLDERS:
            folder = node.module.removeprefix("dropexp").removeprefix(".")
            found |= {f"{folder}.{alias.name}".removeprefix(".") for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.removeprefix("dropexp."))
    return {name if name in ROOMS else name.partition(".")[0] for name in found}


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_knows_the_command_line_and_only_it_knows_the_display(room: str) -> None:
    known = imports(room)
    if room not in ("cli", "__main__"):
        assert not known & COMMANDS
    if room not in COMMANDS:
        assert not known & {"display", "progress"}


@pytest.mark.parametrize(
    ("package", "allowed"), [("torch", TORCH_ROOMS), ("pandas", PANDAS_ROOMS), ("rich", RICH_ROOMS)]
)
def test_heavy_packages_live_in_few_rooms(package: str, allowed: set[str]) -> None:
    assert {room for room in ROOMS if package in imports(room)} <= allowed


def test_the_loop_knows_no_files_and_no_config() -> None:
    assert imports("fit") <= {
        "__future__",
        "math",
        "time",
        "collections",
        "concurrent",
        "dataclasses",
        "torch",
        "captured",
        "products",
        "schedules",
        "stack",
        "variants",
    }


def test_networks_and_noises_know_no_config() -> None:
    for room in (
        "noise",
        "masks",
        "sgd",
        "schedules",
        "linreg",
        "scratch",
        "fused",
        "stack",
        "stacknoise",
        "captured",
        "modules",
    ):
        assert not imports(room) & {"config", "study", "variants", "runs", "data"}


def test_no_version_is_allowed_that_is_older_than_the_one_that_was_tried() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [one for extra in ("tensorboard", "mlflow", "ray") for one in project["optional-dependencies"][extra]]
    pins = (PACKAGE.parent / "constraints.txt").read_text(encoding="utf-8").lower().split()
    older = re.findall(r"(\w+)==([\d.]+\d)", (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert [name for name, _ in older] == ["torch", "torchvision"]
    tried = dict(pin.split("==") for pin in pins) | dict(older)
    for requirement in [*project["dependencies"], *extras]:
        name, floor = requirement.split(">=")
        assert f"{tried[name]}.".startswith(f"{floor}."), f"{requirement}, tried is {tried[name]}"


def test_every_error_that_the_command_explains_exists() -> None:
    source = (PACKAGE / "answers.py").read_text(encoding="utf-8")
    named = re.findall(r'\("dropexp\.(\w+)", "(\w+)"\): ', source)
    assert len(named) == 12
    for room, error in named:
        assert f"class {error}(" in (PACKAGE / f"{room}.py").read_text(encoding="utf-8")


def test_imports_run_one_way() -> None:
    cleared: set[str] = set()  # from which no circle can be reached

    def reach(room: str, path: tuple[str, ...]) -> None:
        assert room not in path, f"a circle: {' -> '.join([*path, room])}"
        if room not in cleared:
            for other in imports(room) & set(ROOMS) - {"__init__"}:
                reach(other, (*path, room))
            cleared.add(room)

    for room in ROOMS:
        if room != "__init__":
            reach(room, ())


@pytest.mark.parametrize(
    ("arguments", "light"),
    [
        (["--help"], ["torch", "pandas", "numpy", "pydantic", "scipy"]),
        (["compare", "--help"], ["torch", "pandas", "numpy"]),
        (["evaluate", "--help"], ["torch", "pandas", "numpy"]),
        (["claims", "--help"], ["torch", "pandas", "numpy"]),
        (["compare"], ["torch", "torchvision"]),
        (["runs"], ["torch", "torchvision"]),
        (["train", "-c", "nowhere.yaml"], ["torch", "pandas", "rich.progress"]),
        (["data", "path"], ["torch", "pandas", "numpy"]),
    ],
)
def test_a_light_command_does_not_load_heavy_packages(arguments: list[str], light: list[str], tmp_path: Path) -> None:
    script = (
        "import sys; from dropexp.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\nfinally: print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert not set(light) & set(done.stdout.splitlines()[-1].split())


def test_the_parent_of_workers_imports_no_torch(tmp_path: Path, real_root: Path) -> None:
    config = tmp_path / "tiny.yaml"
    config.write_text("train_size: 100\nepochs: 1\nmatrix: {variant: [none, nn]}\n")
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from dropexp.__main__ import main\n"
        "if __name__ == '__main__':\n"
        "    try: main()\n"
        "    finally: print('torch' in sys.modules)\n"
    )
    arguments = ["train", "-c", str(config), "--jobs", "2", "--data-dir", str(real_root.resolve()), "-q"]
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.strip() == "False"
    assert len(list(tmp_path.glob("runs/tiny/*/epochs.csv"))) == 2
