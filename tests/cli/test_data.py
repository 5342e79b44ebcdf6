"""`dropexp data`, and commands that find no data or no runs."""

from __future__ import annotations

from pathlib import Path

from helpers.in_process import InProcess


def test_data_prints_where_the_files_are_and_that_they_are_correct(cli: InProcess, real_root: Path) -> None:
    assert cli("data", "path").stdout.strip() == str(real_root.resolve())
    assert "all four files" in cli("data", "verify").stdout


def test_without_data_and_network_the_message_names_the_options(cli: InProcess, tmp_path: Path) -> None:
    config = cli.write("tiny.yaml", "variant: none\ntrain_size: 100\nepochs: 1\n")
    cli.environment |= {"XDG_CACHE_HOME": str(tmp_path / "empty"), "http_proxy": "http://127.0.0.1:9"}
    named = cli("train", "-c", config, "--data-dir", str(tmp_path), code=3)
    assert str(tmp_path) in named.stderr
    cli.environment = {name: value for name, value in cli.environment.items() if name != "DROPEXP_DATA"}
    nothing = cli("train", "-c", config, code=3)
    for option in ("--data-dir", "--data-url", "dropexp data fetch"):
        assert option in nothing.stderr
    cli("data", "path", code=3)


def test_data_is_downloaded_to_where_training_looks_for_it(cli: InProcess, real_root: Path, tmp_path: Path) -> None:
    mirror = ("--data-url", (real_root / "FashionMNIST" / "raw").resolve().as_uri(), "-q")
    cli.environment["DROPEXP_DATA"] = str(tmp_path / "variable")
    assert "`dropexp data fetch` downloads them there" in cli("data", "path", code=3).stderr
    for folder, option in (("variable", ()), ("option", ("--data-dir", str(tmp_path / "option")))):
        assert cli("data", "fetch", *option, *mirror).stdout == f"{tmp_path / folder}\n"
        assert cli("data", "path", *option).stdout == f"{tmp_path / folder}\n"


def test_without_runs_the_exit_code_is_5(cli: InProcess) -> None:
    assert "dropexp train CONFIG" in cli("compare", code=5).stderr
    assert "nothing" in cli("compare", "nothing", code=5).stderr
    cli("runs", code=5)
