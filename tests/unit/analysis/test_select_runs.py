"""The runs that a config defines are compared exactly, and runs of other configs are noted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers.comparisons import mentions
from helpers.fake_runs import publish, write_arm
from helpers.in_process import InProcess
from helpers.studies import write_runs_of

from dropexp import compare, load_config
from dropexp.analysis.comparison import Comparison
from dropexp.errors import ComparisonError, NoRuns
from dropexp.report.page.page import page
from dropexp.runs.study_file import write_study

TEXT = "name: study\ntrain_size: 100\nmatrix: {variant: [none, nn], seed: 0..1}\n"
FIGURES = "published: {source: a book, test_acc: [0.8]}\n"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config in the current folder, whose runs are in the folder `runs` there."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "study.yaml")
    write_runs_of(Path("study.yaml"), Path("runs"))
    return Path("study.yaml")


def write(path: Path, text: str = TEXT) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def arms(comparison: Comparison) -> dict[str, int]:
    return dict(zip(comparison.arms["arm"], comparison.arms["n"], strict=True))


# Exactly the runs of a config


def test_the_runs_that_a_config_defines_are_compared_whatever_else_is_in_its_folder(config: Path) -> None:
    write_runs_of(config, Path("runs"), "0", "lr=0.1")
    write_runs_of(config, Path("runs"), "7..8")
    assert arms(compare()) == {"none,lr=0.1": 1, "none,lr=0.5": 4, "nn,lr=0.1": 1, "nn,lr=0.5": 4}
    found = compare(config=config)
    assert arms(found) == {"none": 2, "nn": 2}
    assert not mentions(found.notes, "defined by") and not mentions(found.notes, "missing")


def test_settings_and_seeds_define_other_runs(config: Path) -> None:
    write_runs_of(config, Path("runs"), "0", "lr=0.1")
    write_runs_of(config, Path("runs"), "7..8")
    assert arms(compare(config=load_config(config, ["lr=0.1"], "0"))) == {"none": 1, "nn": 1}
    assert arms(compare(config=load_config(config, seeds="0..1,7..8"))) == {"none": 4, "nn": 4}


def test_several_configs_are_compared_together(config: Path) -> None:
    other = write(Path("other.yaml"), "variant: scratch\ntrain_size: 100\n")
    write_runs_of(other, Path("runs"))
    write_runs_of(other, Path("runs"), "5")
    found = compare(config=[load_config(config), load_config(other)])
    assert arms(found) == {"other/scratch": 1, "study/none": 2, "study/nn": 2}


def test_missing_runs_are_counted_with_the_command_that_trains_them(config: Path) -> None:
    found = compare(config=load_config(config, seeds="0..4"))
    assert arms(found) == {"none": 2, "nn": 2}
    note = "study: 6 of 10 runs are missing; `dropexp train -c study.yaml --seeds 0..4` trains the missing runs"
    assert found.notes[0] == note and json.loads(found.to_json())["notes"][0] == note
    shutil.move("runs", "elsewhere")
    found = compare(config=load_config(config, seeds="0..4"), runs_dir="elsewhere")
    assert mentions(found.notes, "`dropexp train -c study.yaml --seeds 0..4 --runs-dir elsewhere`")


def test_runs_on_every_kind_of_device_are_compared_and_counted(config: Path) -> None:
    write_runs_of(config, Path("runs"), "1", device="cuda")
    found = compare(config=config)
    assert arms(found) == {f"{arm},device={kind}": n for arm in ("none", "nn") for kind, n in (("cpu", 2), ("cuda", 1))}
    assert mentions(found.notes, "study: 2 of 4 runs on cuda are missing; ")
    lines = write(Path("lines.yaml"), "task: linear-regression\nvariant: nn\nmatrix: {seed: 0..2}\n")
    write_runs_of(lines, Path("runs"), "0", device="cuda")
    assert mentions(compare(config=lines).notes, "lines: 2 of 3 runs are missing")


def test_a_run_that_cannot_be_read_is_named_and_not_missing(config: Path) -> None:
    write_runs_of(config, Path("runs"), "7")
    for seed in (1, 7):
        next(Path("runs").glob(f"study/variant=nn,seed={seed}-*/run.json")).write_bytes(b"{")
    found = compare(config=config)
    assert arms(found) == {"none": 2, "nn": 1}
    assert mentions(found.notes, "left out", "seed=1-", "is corrupted")
    assert not mentions(found.notes, "seed=7-") and not mentions(found.notes, "missing")


OTHERS = "; 4 other runs of study exist: to compare them, repeat the options of their training, such as --set"


@pytest.mark.parametrize("settings", [["lr=3"], ["name=other"]])
def test_a_config_without_any_run_is_an_error_that_names_the_command(settings: list[str], config: Path) -> None:
    study = load_config(config, settings)
    command = f"`dropexp train -c study.yaml --set {settings[0]}` trains the missing runs"
    with pytest.raises(
        NoRuns, match=f"^{study.name}: 4 of 4 runs are missing; {command}{OTHERS if study.name == 'study' else ''}$"
    ):
        compare(config=study)


def test_names_and_a_config_are_not_given_together(config: Path) -> None:
    with pytest.raises(ComparisonError, match="not both"):
        compare("study", config=config)


# Runs that the config of a study does not define


def test_runs_of_options_are_noted_in_a_comparison_by_name(config: Path) -> None:
    write_runs_of(config, Path("runs"), "0", "lr=0.1")
    note = (
        "study: 2 of 6 runs are not defined by study.yaml (arms nn,lr=0.1, none,lr=0.1); -c study.yaml instead of "
        "the name leaves them out; `train --set name=NAME` keeps such runs apart"
    )
    found = compare("study")
    assert note in found.notes and note in page(found)
    assert not mentions(compare("study", filter={"lr": 0.5}).notes, "defined by")


def test_further_seeds_are_noted_in_a_comparison_by_name(config: Path) -> None:
    write_runs_of(config, Path("runs"), "1..9")
    assert mentions(
        compare("study").notes,
        "study: 16 of 20 runs are not defined by study.yaml (seeds 2, 3, 4, 5, 6 and 3 more); -c study.yaml instead "
        "of the name leaves them out",
    )
    assert not mentions(compare("study").notes, "name=NAME")


def test_the_runs_of_an_edited_config_are_noted(config: Path) -> None:
    assert not mentions(compare().notes, "defined by")
    write(config, f"{TEXT}lr: 0.1\n")
    write_runs_of(config, Path("runs"))
    found = compare()
    assert len(arms(found)) == 4
    assert mentions(found.notes, "4 of 8 runs are not defined by study.yaml (arms nn,lr=0.5, none,lr=0.5)")
    assert arms(compare(config=config)) == {"none": 2, "nn": 2}


def test_two_files_of_one_name_are_noted_and_each_is_compared_alone(tmp_path: Path, config: Path) -> None:
    shutil.rmtree("runs")
    text = "train_size: 100\nmatrix: {variant: [none, nn]}\n"
    a = write(Path("a/config.yaml"), text + FIGURES)
    b = write(Path("b/config.yaml"), f"{text}lr: 0.1\n")
    for one in (a, b):
        write_runs_of(one, Path("runs"))
    found = compare("config")
    assert mentions(
        found.notes, "config has the runs of a/config.yaml and b/config.yaml; -c FILE compares those of one"
    )
    assert not mentions(found.notes, "defined by")
    assert set(found.published["arm"]) == {"none,lr=0.5", "nn,lr=0.5"}
    assert set(compare(config=a).published["arm"]) == {"none", "nn"}
    assert arms(compare(config=b)) == {"none": 1, "nn": 1} and compare(config=b).published.empty


def test_the_runs_of_a_config_without_a_file_are_noted_and_counted(config: Path) -> None:
    write_runs_of(write(config, f"{TEXT}lr: 0.1\n"), Path("runs"))
    other = write(Path("other/study.yaml"), f"{TEXT}lr: 0.3\n")
    write_runs_of(other, Path("runs"))
    other.unlink()
    mapping = {"name": "study", "train_size": 100, "lr": 0.3, "matrix": {"variant": ["none", "nn"], "seed": "0..1"}}
    write_study(Path("runs"), load_config(mapping))
    for _ in ("written", "kept when the file is trained again"):
        found = compare("study")
        assert mentions(found.notes, "study has the runs of study.yaml and a config without a file; -c FILE compares")
        assert mentions(found.notes, "4 of 12 runs are not defined by study.yaml or a config without a file (arms ")
        assert mentions(found.notes, "; -c FILE instead of the name leaves them out")
        (note,) = write_study(Path("runs"), load_config(config))
        assert "runs/study has the runs of a config without a file too; a line `name: …`" in note
        write(config, f"{TEXT}lr: 0.1\nlabels: {{nn: dropout}}\n")
    shutil.rmtree("runs/study")
    write_runs_of(config, Path("runs"))
    assert not mentions(compare().notes, "without a file")


@pytest.mark.parametrize("why", ["no study.json", "an earlier version"])
def test_nothing_is_noted_of_a_study_whose_config_is_not_known(why: str, tmp_path: Path) -> None:
    write_arm(tmp_path, "nn", [0.8, 0.9])
    if why == "an earlier version":
        publish(tmp_path, source="a book", test_acc=[0.8])
    found = compare(runs_dir=tmp_path)
    assert not mentions(found.notes, "defined by")
    assert len(found.published) == (1 if why == "an earlier version" else 0)


def test_notes_do_not_name_a_config_that_was_removed(config: Path) -> None:
    write_runs_of(config, Path("runs"), "5")
    config.unlink()
    assert mentions(compare().notes, "not defined by its config (seed 5); -c FILE instead of the name")


# Published figures


def test_published_figures_belong_to_the_arms_that_their_file_defines(config: Path) -> None:
    write(config, TEXT + FIGURES)
    write_runs_of(config, Path("runs"), "0..9")
    write_runs_of(config, Path("runs"), "0..1", "lr=0.1")
    by_name = compare().published
    assert set(by_name["arm"]) == {"none,lr=0.5", "nn,lr=0.5"} and set(by_name["n"]) == {10}
    assert set(compare(config=config).published["n"]) == {2}
    assert compare(config=load_config(config, ["lr=0.1"])).published.empty
    assert "a book" in page(compare())


def test_two_sources_of_the_same_runs_are_both_shown(tmp_path: Path, config: Path) -> None:
    for name, source in (("a", "a book"), ("b", "a blog")):
        file = write(Path(name) / "config.yaml", f"variant: nn\nepochs: 1\n{FIGURES.replace('a book', source)}")
        write_runs_of(file, Path("runs"))
        assert list(compare(config=file).published["source"]) == [source]
    assert list(compare("config").published["source"]) == ["a book", "a blog"]


# The commands


def test_the_commands_compare_the_runs_of_a_config(cli: InProcess) -> None:
    cli.write("study.yaml", TEXT)
    for settings in ([], ["lr=0.1"]):
        write_runs_of(cli.folder / "study.yaml", cli.folder / "runs", None, *settings)
    require = ("--require", "nn.test_acc >= 0.5")
    assert "nn" in cli("compare", "-c", "study.yaml", *require).stdout
    unknown = cli("compare", "study", *require, code=2).stderr
    assert unknown.endswith("nn,lr=0.5, nn,lr=0.1; -c FILE compares only the arms of a config\n")
    options = ("-c", "study.yaml", "--set", "lr=0.1", "--seeds", "1..2")
    done = cli("compare", *options, "--format", "csv")
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["arm", "none", "nn"]
    training = "dropexp train -c study.yaml --set lr=0.1 --seeds 1..2"
    missing = f"study: 2 of 4 runs are missing; `{training}` trains the missing runs"
    assert f"note: {missing}" in done.stderr
    markdown = cli("compare", *options, "--format", "md").stdout
    assert missing in markdown.replace("\\`", "`")
    cli("report", *options, "-o", "one.html")
    assert "2 of 4 runs are missing" in (cli.folder / "one.html").read_text(encoding="utf-8")
    cli("compare", "-c", "study.yaml", "--set", "lr=9", code=5)
    cli("report", "-c", "study.yaml", "--set", "lr=9", code=5)


@pytest.mark.parametrize("command", ["compare", "report"])
@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["study", "-c", "study.yaml"], "--config: give either names or --config"),
        (["b.yaml", "-c", "study.yaml"], "either names or --config; several configs are -c study.yaml -c b.yaml"),
        (["x" * 300, "-c", "study.yaml"], "--config: give either names or --config\n"),  # too long for a file's name
        (["--set", "lr=1"], "--set: requires --config"),
        (["study", "--seeds", "0"], "--seeds: requires --config"),
        (["-c", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["-c", "study.yaml", "--set", "lrr=1"], "--set lrr=1: unknown key 'lrr' (did you mean 'lr'?)"),
    ],
)
def test_options_of_a_config_need_one(command: str, options: list[str], what: str, cli: InProcess) -> None:
    for file in ("study.yaml", "b.yaml"):
        cli.write(file, TEXT)
    assert what in cli(command, *options, code=2).stderr


def test_training_with_options_warns_that_the_runs_share_the_study(cli: InProcess) -> None:
    lines = "task: linear-regression\nvariant: nn\nepochs: 1\n"
    train: tuple[str, ...] = ("train", "-c", cli.write("lines.yaml", lines), "--jobs", "1")
    note = (
        "note: the study 'lines' gets 1 run that lines.yaml does not define, because of --set lr=0.1; "
        "`--set name=NAME` trains them in another study\n"
    )
    assert cli(*train, "--set", "lr=0.1", "--dry-run").stderr == f"1 run: 1 new\n{note}"
    done = cli(*train, "--set", "lr=0.1")
    assert done.stderr.startswith(note)
    assert done.stderr.endswith("next: dropexp compare -c lines.yaml --set lr=0.1\n")
    for options in (["--seeds", "3"], ["--set", "lr=0.5"], ["--set", "lr=0.1", "--set", "name=other"]):
        done = cli(*train, *options)
        assert "does not define" not in done.stderr
        assert done.stderr.splitlines()[-1] == f"next: dropexp compare {'other' if len(options) == 4 else 'lines'}"


def test_training_two_files_of_one_name_prints_a_note(cli: InProcess) -> None:
    files = ("a/config.yaml", "b/config.yaml")
    for config, variant in zip(files, ("nn", "scratch"), strict=True):
        (cli.folder / config).parent.mkdir()
        cli.write(config, f"task: linear-regression\nvariant: {variant}\nepochs: 1\n")
    together = cli("train", *files, "--dry-run").stderr
    for config in files:
        planned = cli("train", "-c", config, "--dry-run").stderr
        stderr = cli("train", "-c", config, "--jobs", "1", "-q").stderr
    assert stderr == (
        "note: runs/config has the runs of a/config.yaml too; a line `name: …` in one of the configs keeps their "
        "runs apart\n"
    )
    assert planned == f"1 run: 1 new\n{stderr}" and together == f"2 runs: 2 new\n{stderr}"
    assert cli("train", "-c", config, "--dry-run").stderr == f"1 run: 1 done\n{stderr}"


@pytest.mark.parametrize("order", ["abc", "bac", "cba"])
def test_a_dry_run_prints_the_notes_on_other_files_that_training_prints(order: str, cli: InProcess) -> None:
    """What a defines covers b."""
    lines = "name: s\ntask: linear-regression\nepochs: 1\n"
    for name, keys in (("a", "matrix: {variant: [nn, scratch]}"), ("b", "variant: nn"), ("c", "variant: nn\nlr: 0.1")):
        cli.write(f"{name}.yaml", f"{lines}{keys}\n")
    files = [f"{name}.yaml" for name in order]

    def notes(*options: str) -> list[str]:
        return [line for line in cli("train", *files, *options).stderr.splitlines() if line.startswith("note: runs/s")]

    planned = notes("--dry-run")
    assert planned == notes("--jobs", "1") and planned
