"""Facts about the pages in a real browser: they are quiet, they work by hand and by keyboard, they fit a phone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_comparison_page import content

from bonanza.cli.report import page_of
from bonanza.journal import Journal
from bonanza.records import Pair, Reading, Usage
from bonanza.report.live import LivePage, LiveServer
from bonanza.report.page import write_page

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDTHS, SCHEMES = (1440, 390), ("light", "dark")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs a browser: {CHROMIUM} is missing"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator:
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """One page in a window of its own, and all that it said and asked for."""

    def __init__(self, browser, address: str, width: int = 1440, scheme: str = "light") -> None:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type != "log" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", lambda dialog: self.errors.append(dialog.message))
        self.page.goto(address)
        self.page.wait_for_function("() => document.querySelectorAll('.bk-Figure').length > 0")
        self.page.wait_for_timeout(300)

    def column(self, table: str, number: int) -> list[str]:
        return self.page.locator(f"#{table} tbody tr > :nth-child({number})").all_inner_texts()


@pytest.fixture(scope="module")
def pages(run_folder, hostile_folder, tmp_path_factory) -> dict[str, Path]:
    comparison = tmp_path_factory.mktemp("comparison")
    (comparison / "compare.json").write_text(json.dumps(content()))
    folders = {"run": run_folder, "hostile": hostile_folder, "comparison": comparison}
    out = tmp_path_factory.mktemp("pages")
    return {name: write_page(out / f"{name}.html", page_of(folder, None)) for name, folder in folders.items()}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["run", "hostile", "comparison"])
def test_a_page_is_quiet_and_fits(browser, pages, name, width, scheme):
    visit = Visit(browser, pages[name].as_uri(), width, scheme)
    for _ in range(3):
        if visit.page.locator("#more").count() and visit.page.locator("#more").is_visible():
            visit.page.click("#more")
    for closed in visit.page.locator("#found summary").all()[:12]:
        closed.click()
    assert visit.errors == []
    assert [url for url in visit.requests if not url.startswith(("data:", "blob:"))] == [pages[name].as_uri()]
    assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert visit.page.evaluate("window.caught") is None
    assert visit.page.locator("main a:not([href^='#']), main img, main script").count() == 0


def test_tables_sort_by_click_and_by_keyboard(browser, pages):
    visit = Visit(browser, pages["run"].as_uri())
    heads = visit.page.locator("#cluster th")
    visit.page.click("#cluster-2")
    read = [int(text) for text in visit.column("cluster", 3)]
    assert read == sorted(read, reverse=True) and heads.nth(2).get_attribute("aria-sort") == "descending"
    visit.page.focus("#cluster-2")
    visit.page.keyboard.press("Enter")
    assert [int(text) for text in visit.column("cluster", 3)] == sorted(read)
    assert heads.nth(2).get_attribute("aria-sort") == "ascending"
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.press("Space")
    assert [head.get_attribute("aria-sort") for head in heads.all()].count("none") == heads.count() - 1


def test_what_is_not_known_sorts_last_in_both_directions(browser, pages):
    visit = Visit(browser, pages["comparison"].as_uri())
    for _ in range(2):
        visit.page.click("#level-0-2")
        assert visit.column("level-0", 3)[-1] == "-"


def test_search_finds_all_words_anywhere_in_a_pair(browser, pages):
    visit = Visit(browser, pages["run"].as_uri())
    everything = visit.page.inner_text("#matches")
    visit.page.fill("#words", "LAKE swim")
    found = visit.page.locator("#found li").all_inner_texts()
    assert found and all("lake" in text.lower() and "swim" in text.lower() for text in found)
    visit.page.fill("#words", "no such words")
    assert visit.page.inner_text("#matches").startswith("0 match")
    visit.page.fill("#words", "")
    assert visit.page.inner_text("#matches") == everything
    visit.page.select_option("#order", "most")
    worth = visit.page.evaluate("[...document.querySelectorAll('#found .facts')].map((facts) => facts.innerText)")
    values = [float(text.split("utility")[1].split()[0]) for text in worth if "utility" in text]
    assert values == sorted(values, reverse=True)


def test_the_evidence_is_marked_in_its_context(browser, pages):
    visit = Visit(browser, pages["run"].as_uri())
    visit.page.focus("#found li:nth-child(2) summary")
    visit.page.keyboard.press("Enter")
    quote, mark = (visit.page.locator(f"#found li:nth-child(2) {name}").inner_text() for name in ("blockquote", "mark"))
    assert mark and mark in quote and len(quote) > len(mark)


def test_pointing_at_a_chart_shows_its_figures_as_text(browser, pages):
    for name in ("run", "hostile"):
        visit = Visit(browser, pages[name].as_uri())
        visit.page.locator("#chart-map").scroll_into_view_if_needed()
        visit.page.wait_for_timeout(800)  # it scrolls smoothly
        x, y = visit.page.evaluate(POINT)
        visit.page.mouse.move(x - 3, y - 3)
        visit.page.mouse.move(x, y)
        visit.page.wait_for_timeout(400)
        tip = visit.page.locator(".bk-Tooltip:visible").first.evaluate("(tip) => tip.shadowRoot.textContent")
        assert "document" in tip and "begins" in tip
        assert visit.errors == [] and visit.page.evaluate("window.caught") is None


POINT = """() => {
  const chart = document.getElementById("chart-map").getBoundingClientRect();
  const view = Object.values(Bokeh.index).find((root) => root.model.document.get_model_by_name("read"));
  const source = view.model.document.get_model_by_name("read");
  const frame = view.frame;
  return [
    chart.left + frame.bbox.left + frame.x_scale.compute(source.data.x[0]) - frame.bbox.left,
    chart.top + frame.bbox.top + frame.y_scale.compute(source.data.y[0]) - frame.bbox.top,
  ];
}"""


def test_the_map_is_coloured_by_choice(browser, pages):
    visit = Visit(browser, pages["run"].as_uri())
    colours = "() => Object.values(Bokeh.index).map((view) => view.model.document.get_model_by_name('unread'))"
    colours += ".filter((source) => source)[0].data.colour"
    assert len(set(visit.page.evaluate(colours))) == 1
    visit.page.check("input[value=cluster]")
    assert len(set(visit.page.evaluate(colours))) == 2


def test_axes_are_lighter_in_the_dark(browser, pages):
    colour = "() => Object.values(Bokeh.index)[0].model.below[0].axis_label_text_color"
    light, dark = (
        Visit(browser, pages["run"].as_uri(), scheme=scheme).page.evaluate(f"({colour})()") for scheme in SCHEMES
    )
    assert str(light) != str(dark)


def test_a_chart_can_be_saved(browser, pages):
    visit = Visit(browser, pages["run"].as_uri())
    with visit.page.expect_download() as download:
        visit.page.locator("#chart-pairs .bk-tool-icon-save").first.click()
    assert download.value.suggested_filename.endswith(".png")


def test_everything_can_be_reached_by_keyboard(browser, pages):
    visit = Visit(browser, pages["run"].as_uri())
    reached = set()
    for _ in range(60):
        visit.page.keyboard.press("Tab")
        reached.add(visit.page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        if "order" in reached:
            break
    assert {"A", "cluster-0", "gone-0", "words", "status", "order"} <= reached


def test_a_live_page_changes_without_loading_again(browser, unfinished_folder):
    live = LivePage(unfinished_folder, lambda: page_of(unfinished_folder, None))
    with LiveServer(live, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        visit = Visit(browser, server.address)
        visit.page.fill("#words", "brand")
        visit.page.evaluate("window.same = true")
        with Journal(unfinished_folder) as journal:
            journal.add([Reading("new", "ok", (Pair("Is it brand new?", "<b>Yes</b>.", "new"),), Usage(9, 1))])
            visit.page.wait_for_function("() => document.querySelectorAll('#found li').length === 1", timeout=20_000)
        assert "<b>Yes</b>." in visit.page.inner_text("#found")
        assert visit.page.evaluate("window.same") and visit.page.input_value("#words") == "brand"
        assert visit.page.evaluate("document.activeElement.id") == "words"
        assert visit.errors == []
        assert {url.split("?")[0] for url in visit.requests if not url.startswith("data:")} == {
            server.address, f"{server.address}fragment"
        }  # fmt: skip
        server.shutdown()
        thread.join()
