"""The page in a browser. Not part of the suite: `make test-browser` installs Chromium and runs it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.fake_runs import publish, write_arm, write_predictions, write_run
from helpers.studies import write_realistic_study
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from dropexp.analysis.comparison import compare
from dropexp.report.page.page import write
from dropexp.runs.folder import RunFolder

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDE: ViewportSize = {"width": 1280, "height": 900}
NARROW: ViewportSize = {"width": 400, "height": 800}
LONG = "from-scratch-with-a-rather-long-name,longer-than-a-phone-is-wide"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, f"none of {', '.join(BROWSERS)} is on the PATH"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every section."""
    runs_dir = tmp_path_factory.mktemp("runs")
    for lr in (0.1, 0.5):
        write_realistic_study(runs_dir, lr=lr)
    write_arm(runs_dir, "scratch", [0.8, 0.81, 0.805], arm=LONG, momentum=0.9)
    for folder in runs_dir.glob("dropout/*"):
        run = RunFolder(folder)
        if (info := run.read_info()).status == "done":
            write_predictions(run, info.epoch or 1, correct=0.8, images=500, seed=int(str(info.config["seed"])))
    write_run(runs_dir, "nn", 7, [0.1], status="diverged", why="the loss is not finite in epoch 1", lr=0.5)
    accs = [0.74, 0.79, 0.82, 0.83, 0.84]
    publish(runs_dir, arm="nn", source="a book", train_acc=accs, test_acc=accs, loss=[0.9, 0.6, 0.5, 0.45, 0.42])
    out = tmp_path_factory.mktemp("out") / "report.html"
    write(compare((), runs_dir, by="lr", published=True), out)
    return out


@contextmanager
def opened(
    browser: Browser, report: Path, size: ViewportSize = WIDE, *, dark: bool = False, script: bool = True
) -> Generator[Page]:
    """Open the page and wait for its charts; at the end, assert that it logged nothing and requested no other URL."""
    context = browser.new_context(viewport=size, color_scheme="dark" if dark else "light", java_script_enabled=script)
    page = context.new_page()
    logged: list[str] = []
    requested: list[str] = []
    page.on("console", lambda message: logged.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: logged.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(report.as_uri())
    if script:
        wait_for_charts(page)
    yield page
    assert logged == []
    assert [url for url in requested if not url.startswith("data:")] == [report.as_uri()]
    context.close()


def wait_for_charts(page: Page) -> None:
    page.wait_for_function("[...document.querySelectorAll('.chart')].every(chart => chart.querySelector('svg'))")
    page.wait_for_timeout(200)


def overflow(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width


def test_every_chart_is_drawn_within_its_figure(browser: Browser, report: Path) -> None:
    with opened(browser, report) as page:
        figures = page.locator("figure")
        assert figures.count() == 11
        for figure in figures.all():
            assert figure.locator("svg [class*='mark-'] path, svg [class*='mark-'] line").count() >= 3
            assert len(figure.locator("> .scroll > [role=img]").get_attribute("aria-label") or "") > 40
            box, outer = figure.locator("svg").bounding_box(), figure.bounding_box()
            assert box and outer and box["x"] + box["width"] <= outer["x"] + outer["width"] + 1


def test_a_tooltip_names_the_run_under_the_pointer(browser: Browser, report: Path) -> None:
    with opened(browser, report) as page:
        page.locator("#chart-arms svg .mark-symbol path").first.hover()
        tooltip = page.locator("#vg-tooltip-element.visible")
        tooltip.wait_for()
        assert re.search(r"seed\s*\d", tooltip.inner_text())


def test_a_click_dims_the_other_arms(browser: Browser, report: Path) -> None:
    with opened(browser, report) as page:
        marks = page.locator("#chart-arms svg .mark-symbol path")

        def opacities() -> list[str]:
            found: list[str] = marks.evaluate_all("all => all.map(mark => getComputedStyle(mark).opacity)")
            return found

        before = opacities()
        marks.first.click()
        page.wait_for_timeout(200)
        after = opacities()
        assert len(set(before)) == 1 and len(set(after)) == 2
        assert after[0] == before[0] and float(min(after)) < float(before[0])


def test_the_keyboard_reaches_every_scrollable_region(browser: Browser, report: Path) -> None:
    with opened(browser, report, NARROW) as page:
        regions = page.locator("[role=region]:not(details *)").evaluate_all("all => all.map(e => e.ariaLabel)")
        reached: list[str] = []
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.innerText"))
        assert reached[0] == "Skip to the content"
        assert len(regions) >= 12 and set(regions) <= set(reached)
        assert "Every setting of none,lr=0.1" in reached


def test_focus_is_visible_and_a_link_skips_to_the_content(browser: Browser, report: Path) -> None:
    with opened(browser, report) as page:
        page.keyboard.press("Tab")
        link = page.locator(".skip")
        box = link.bounding_box()
        assert box and box["x"] >= 0
        assert link.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"


def test_the_page_follows_the_preferred_colour_scheme(browser: Browser, report: Path) -> None:
    with opened(browser, report) as page:

        def colours() -> tuple[str, str]:
            body: str = page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
            label: str = page.locator("#chart-learning svg .role-axis-label text").first.evaluate(
                "e => getComputedStyle(e).fill"
            )
            return body, label

        light = colours()
        page.emulate_media(color_scheme="dark")
        page.wait_for_timeout(1000)
        wait_for_charts(page)
        dark = colours()
        assert light[0] != dark[0] and light[1] != dark[1]
        page.emulate_media(color_scheme="light")
        page.wait_for_timeout(1000)
        wait_for_charts(page)
        assert colours() == light
    with opened(browser, report, dark=True) as page:
        assert colours() == dark


CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const e of document.querySelectorAll("main *, header *, footer *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const style = getComputedStyle(e);
    const [a, b] = [luminance(parse(e.closest("svg") ? style.fill : style.color)), luminance(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${e.tagName} ${e.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_enough_contrast(browser: Browser, report: Path, dark: bool) -> None:
    with opened(browser, report, dark=dark) as page:
        assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("size", [WIDE, NARROW, {"width": 320, "height": 600}])
def test_the_page_never_scrolls_sideways(browser: Browser, report: Path, size: ViewportSize) -> None:
    with opened(browser, report, size) as page:
        for details in page.locator("summary").all():
            details.click()
        assert overflow(page) <= 0


def test_text_in_charts_is_readable_on_a_phone(browser: Browser, report: Path) -> None:
    with opened(browser, report, NARROW) as page:
        heights = page.locator(".chart svg text").evaluate_all(
            "all => all.map(e => e.getBoundingClientRect().height).filter(h => h > 0)"
        )
        assert min(heights) >= 8


def test_panels_with_long_names_are_narrower_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    for i in range(3):
        write_arm(tmp_path / "runs", "nn" if i else "none", [0.8, 0.81], arm=f"{i} {LONG}")
    write(compare((), tmp_path / "runs"), tmp_path / "report.html")
    with opened(browser, tmp_path / "report.html", NARROW) as page:
        hidden = "e => e.scrollWidth - e.clientWidth"
        assert page.locator("#chart-loss").locator("xpath=../..").evaluate(hidden) <= 0


def test_print_is_complete_and_black_on_white(browser: Browser, report: Path) -> None:
    with opened(browser, report, dark=True) as page:
        page.emulate_media(media="print")
        page.wait_for_timeout(1000)
        wait_for_charts(page)
        assert page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate(CONTRAST) == []
        assert all(not details.is_visible() for details in page.locator("details:not([open])").all())
        cut = "all => all.filter(e => getComputedStyle(e).overflowX !== 'visible').length"
        assert page.locator(".scroll").evaluate_all(cut) == 0
        page.emulate_media(media="screen")
        page.wait_for_timeout(1000)
        assert page.pdf().startswith(b"%PDF")


def test_a_table_of_differences_fits_a_small_window_and_its_rules_are_straight(browser: Browser, report: Path) -> None:
    with opened(browser, report, {"width": 1200, "height": 900}) as page:
        hidden = "e => e.scrollWidth - e.clientWidth"
        assert page.get_by_role("region", name="Differences: test accuracy").evaluate(hidden) <= 0
        heights = page.locator("tr").evaluate_all("all => all.map(e => e.getBoundingClientRect().height)")
        assert all(height == int(height) for height in heights)  # sticky cells are drawn at whole pixels


def test_print_keeps_a_heading_and_its_legend_with_what_follows(browser: Browser, report: Path) -> None:
    with opened(browser, report) as page:
        page.emulate_media(media="print")
        kept = "all => all.every(e => getComputedStyle(e).breakAfter === 'avoid')"
        assert page.locator("h2, h3, h2 + p, h3 + p").evaluate_all(kept)


def test_without_scripts_charts_are_replaced_by_their_descriptions(browser: Browser, report: Path) -> None:
    with opened(browser, report, script=False) as page:
        assert page.locator(".chart svg").count() == 0
        descriptions = page.locator(".chart p")
        assert descriptions.count() == 11
        assert all(description.is_visible() for description in descriptions.all())
        page.locator("summary", has_text="Every setting").first.click()
        assert page.locator("details pre").first.is_visible()


def test_names_of_runs_never_become_markup(browser: Browser, tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path / "runs", "none", seed, 0.8, arm="<img src=x onerror=alert(1)>")
        write_run(tmp_path / "runs", "nn", seed, 0.81, arm="</script><script>alert(1)</script>")
    write(compare((), tmp_path / "runs"), tmp_path / "report.html")
    with opened(browser, tmp_path / "report.html") as page:
        assert page.locator("img").count() == 0 and page.locator("script").count() == 3
        assert (
            "</script><script>alert(1)</script>" in page.locator("#arms").locator("..").locator("th").all_inner_texts()
        )
        page.locator("#chart-arms svg .mark-symbol path").first.hover()
        page.locator("#vg-tooltip-element.visible").wait_for()
        assert page.locator("#vg-tooltip-element img, #vg-tooltip-element script").count() == 0


def column(page: Page, index: int) -> list[str]:
    """Return the visible cells of a column of the table of runs."""
    cells = page.locator(f".sortable tbody tr:not([hidden]) > :nth-child({index})")
    texts: list[str] = cells.all_inner_texts()
    return texts


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_the_table_of_runs_is_sorted_with_the_keyboard(browser: Browser, report: Path, size: ViewportSize) -> None:
    with opened(browser, report, size) as page:
        header = page.locator(".sortable thead th").nth(3)
        written = column(page, 4)
        assert header.get_attribute("aria-sort") == "none" and header.inner_text().startswith("test accuracy, %")
        header.locator("button").focus()
        page.keyboard.press("Enter")
        assert header.get_attribute("aria-sort") == "ascending"
        assert column(page, 4) == sorted(written, key=float) != written
        page.keyboard.press("Space")
        assert header.get_attribute("aria-sort") == "descending"
        assert column(page, 4) == sorted(written, key=float, reverse=True)
        assert page.locator(".sortable [aria-sort=none]").count() == len(page.locator(".sortable thead th").all()) - 1
        page.locator(".sortable thead button").first.click()
        assert column(page, 1)[0] == LONG and header.get_attribute("aria-sort") == "none"
        assert overflow(page) <= 0


def test_the_table_of_runs_is_filtered_by_words_and_reports_how_many_are_left(browser: Browser, report: Path) -> None:
    with opened(browser, report) as page:
        count = page.locator("[role=status]")
        every = len(column(page, 1))
        assert count.inner_text() == f"{every} of {every} runs"
        page.get_by_label("Filter runs").fill("LR=0.5 scratch")
        assert set(column(page, 1)) == {"scratch,lr=0.5"}
        assert count.inner_text() == f"5 of {every} runs"
        page.locator(".sortable thead button").nth(1).click()
        assert column(page, 2) == ["0", "1", "2", "3", "4"]
        page.get_by_label("Filter runs").fill("no such run")
        assert column(page, 1) == [] and count.inner_text() == f"0 of {every} runs"
        page.emulate_media(media="print")
        assert len(column(page, 1)) == 0 and page.locator(".sortable tbody tr").last.is_visible()
        assert not page.locator(".controls").is_visible()


@pytest.mark.parametrize(("arms", "most"), [(2, 2), (12, 4), (40, 4)])
def test_pages_before_the_appendix_are_few_in_print(browser: Browser, tmp_path: Path, arms: int, most: int) -> None:
    for i in range(arms):
        accs = [0.8 + 0.001 * (i % 7) + 0.002 * seed for seed in range(5)]
        name = f"arm-{i:02}-with-a-name-of-forty-characters--"
        for run in write_arm(tmp_path / "runs", "nn" if i else "none", accs, arm=name, momentum=0.01 * i):
            write_predictions(run, 2)
    write(compare((), tmp_path / "runs"), tmp_path / "report.html")
    with opened(browser, tmp_path / "report.html") as page:
        page.locator(".appendix").evaluate("e => { e.style.display = 'none' }")
        pages = page.pdf(format="A4").count(b"/Type /Page\n")
        assert 1 <= pages <= most
