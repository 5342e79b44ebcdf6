"""The structure of the package: which package imports which, and what a light command does not load."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "dropexp"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TOP = {"__init__", "__main__", "notebook"}
# Any package may import these.
LEAVES = {
    "plurals",
    "cpu_cores",
    "errors",
    "files",
    "home_folder",
    "lock",
    "interrupts",
    "did_you_mean",
    "program",
    "terminal_encoding",
}
ARROWS = {  # package: the packages that it may import
    "config": set(),
    "data": set(),
    "nets": set(),
    "runs": {"config"},
    "training": {"config", "data", "nets", "runs"},
    "analysis": {"config", "runs"},
    "report": {"analysis", "config", "runs", "training"},  # training: only the types of its results, without torch
    "claims": {"analysis", "nets", "report", "runs"},
    "cli": {"analysis", "claims", "config", "data", "report", "runs", "training"},
}
WITHOUT_TORCH = ("config", "runs", "analysis", "report")


def package_of(module: str) -> str:
    return module.partition(".")[0]


def imports(module: str, with_types: bool = False) -> set[str]:
    """Return the modules that a module imports, also inside functions; those of this package without `dropexp.`."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    types_only = {
        node
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and ast.unparse(guard.test) == "TYPE_CHECKING" and not with_types
        for node in ast.walk(guard)
    }
    found = set()
    for node in ast.walk(tree):
        if node in types_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            known = {name for name in names if name.removeprefix("dropexp.") in MODULES}
            found |= known or {node.module}
    return {name.removeprefix("dropexp.") for name in found}


def test_packages_import_only_what_the_table_allows() -> None:
    for module in MODULES.keys() - TOP - LEAVES:
        package = package_of(module)
        imported = {package_of(name) for name in imports(module, with_types=True) if name in MODULES}
        assert imported <= ARROWS[package] | LEAVES | {package}, module


def test_leaves_import_only_leaves() -> None:
    for leaf in LEAVES:
        assert {name for name in imports(leaf) if name in MODULES} <= LEAVES


def test_every_arrow_of_the_table_exists_and_there_are_at_most_28() -> None:
    found = {
        (package_of(module), package_of(name))
        for module in MODULES.keys() - TOP - LEAVES
        for name in imports(module, with_types=True)
        if name in MODULES and package_of(name) not in LEAVES | {package_of(module)}
    }
    assert found == {(package, other) for package, others in ARROWS.items() for other in others}
    assert len(found) <= 28


def test_there_is_no_import_cycle() -> None:
    cleared: set[str] = set()  # modules from which no cycle can be reached

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a cycle: {' -> '.join([*path, module])}"
        if module not in cleared:
            for other in imports(module) & MODULES.keys() - TOP:
                visit(other, (*path, module))
            cleared.add(module)

    for module in MODULES.keys() - TOP:
        visit(module, ())


def test_packages_without_torch_do_not_import_it() -> None:
    for module in MODULES:
        if package_of(module) in WITHOUT_TORCH:
            assert not {"torch", "torchvision"} & {package_of(name) for name in imports(module)}, module


def test_the_loop_imports_no_files_and_no_config() -> None:
    packages = {package_of(name) for name in imports("training.loop") if name in MODULES}
    assert packages == {"nets"}


def test_every_package_documents_its_purpose_and_where_to_start() -> None:
    for package in [*ARROWS, "training.cluster"]:
        text = ast.get_docstring(ast.parse(MODULES[package].read_text(encoding="utf-8"))) or ""
        assert 2 <= len(text.splitlines()) <= 5, package
        assert "import" in text and "tart with `" in text, package


def test_every_folder_of_a_package_names_where_to_start() -> None:
    folders = [module for module, path in MODULES.items() if path.name == "__init__.py" and "." in module]
    assert "report.charts" in folders
    for folder in folders:
        text = ast.get_docstring(ast.parse(MODULES[folder].read_text(encoding="utf-8"))) or ""
        (start,) = re.findall(r"Start with\s`([\w./]+)`", text)
        assert (MODULES[folder].parent / start).is_file(), folder


def test_dependency_floors_are_versions_that_were_tested() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [one for extra in ("tensorboard", "mlflow", "ray") for one in project["optional-dependencies"][extra]]
    pins = (PACKAGE.parent / "constraints.txt").read_text(encoding="utf-8").lower().split()
    older = re.findall(r"(\w+)==([\d.]+\d)", (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert [name for name, _ in older] == ["torch", "torchvision"]
    tested = dict(pin.split("==") for pin in pins) | dict(older)
    for requirement in [*project["dependencies"], *extras]:
        name, floor = requirement.split(">=")
        assert f"{tested[name]}.".startswith(f"{floor}."), f"{requirement}, tested is {tested[name]}"


@pytest.mark.parametrize(
    ("arguments", "heavy"),
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
def test_a_light_command_does_not_load_heavy_packages(arguments: list[str], heavy: list[str], tmp_path: Path) -> None:
    script = (
        "import sys; from dropexp.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\nfinally: print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert not set(heavy) & set(done.stdout.splitlines()[-1].split())
