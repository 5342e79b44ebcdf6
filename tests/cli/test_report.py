"""`dropexp report`: it writes one file."""

from __future__ import annotations

from helpers.in_process import InProcess


def test_a_report_is_one_file(study: InProcess) -> None:
    assert study("report", "-o", "page.html").stdout == "page.html\n"
    page = (study.folder / "page.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert "WORSE than none in test accuracy after 2 epochs (8 seeds): nn,drop_probs=[0.8, 0.8]" in page


def test_an_unknown_kind_of_file_is_refused_before_runs_are_read(cli: InProcess) -> None:
    message = "unknown kind of report '.pdf'; allowed: .html, .htm; a browser prints the page as PDF"
    assert cli("report", "nowhere", "-o", "r.pdf", code=2).stderr == f"dropexp: r.pdf: {message}\n"
    assert not (cli.folder / "r.pdf").exists()


def test_a_report_accepts_the_options_of_compare(study: InProcess) -> None:
    study("report", "--by", "drop_probs", "--metric", "test_loss", "--filter", "variant=nn", "-o", "sweep.html")
    page = (study.folder / "sweep.html").read_text(encoding="utf-8")
    assert "Effect of drop_probs" in page
    assert "dropexp report dropout --by=drop_probs --metric=test_loss" in page


def test_a_report_without_runs_names_the_command_that_trains_them(cli: InProcess) -> None:
    assert "dropexp train CONFIG creates some" in cli("report", code=5).stderr
    assert not (cli.folder / "report.html").exists()


def test_a_report_has_images_and_weights_of_trained_runs(cli: InProcess) -> None:
    keys = "hidden: [8]\ndrop_probs: [0.5]\ntrain_size: 100\nepochs: 1\n"
    config = cli.write("tiny.yaml", f"matrix: {{variant: [none, nn]}}\n{keys}")
    cli("train", "-q", "--jobs", "1", "-c", config)
    cli("report", "tiny")
    page = (cli.folder / "report.html").read_text(encoding="utf-8")
    assert all(f'<h2 id="{name}">' in page for name in ("samples", "mistakes", "weights"))
    done = cli("report", "tiny", "--data-dir", "nowhere")
    page = (cli.folder / "report.html").read_text(encoding="utf-8")
    assert '<h2 id="weights">' in page and '<h2 id="samples">' not in page
    assert done.stderr.startswith("note: the report has no images: ")
