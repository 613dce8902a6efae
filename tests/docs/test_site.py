"""The documentation site: built without a warning, asking no other host; its figures are those that were measured."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from written import ROOT

import bonanza

pytest.importorskip("mkdocs", reason="needs the extra docs")

RESULTS = ROOT / "benchmarks" / "RESULTS.md"
# Of evidence.md: adaptive by random at 10%, on gsm8k by words (1393 / 303), on humaneval by MiniLM (2416 / 266); 0.035
DERIVED = {"4.6", "9.1", "3.5"}
FIGURE = re.compile(r"\d+±\d+|(?<![\w.])\d+(?:,\d{3})*\.\d+|(?<![\w.,])\d{3,}(?![\w.])")
FETCHED = {"src", "href", "srcset", "poster", "data"}
ANCHORS = {"a", "area"}  # followed by people, not by the browser
CHROMIUM = Path("/usr/bin/chromium")


class Addresses(HTMLParser):
    """Collects what a browser fetches to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ANCHORS:
            self.found += [value or "" for name, value in attributes if name in FETCHED]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> tuple[Path, str]:
    """The folder of the built site, and what the build said."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout + done.stderr


def test_the_site_builds_without_a_warning(site):
    folder, told = site
    assert "WARNING" not in told
    assert (folder / "tutorial.html").is_file()
    assert not list(folder.rglob("*.py"))


def test_no_page_asks_another_host(site):
    pages, sheets = list(site[0].rglob("*.html")), list(site[0].rglob("*.css"))
    assert len(pages) > 10
    for page in pages:
        addresses = Addresses()
        addresses.feed(page.read_text(encoding="utf-8"))
        assert addresses.found
        assert not [address for address in addresses.found if re.match(r"(?i)\s*(https?:)?//", address)], page
    assert not [sheet for sheet in sheets if re.search(r"(?i)url\(\s*[\"']?(https?:)?//|@import", sheet.read_text())]


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs a browser: {CHROMIUM} is missing")
def test_a_browser_asks_no_other_host_and_fits_a_phone(site):
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 390, "height": 900})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index", "tutorial", "evidence", "commands", "python"):
            page.goto((site[0] / f"{name}.html").as_uri())
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        browser.close()
    assert asked
    assert not [address for address in asked if not address.startswith("file:")]


def test_the_python_reference_has_every_public_name(site):
    ids = set(re.findall(r'id="([\w.]+)"', (site[0] / "python.html").read_text(encoding="utf-8")))
    assert {f"bonanza.{name}" for name in bonanza.__all__ if not name.startswith("_")} <= ids


def test_each_figure_of_the_evidence_was_measured():
    told, measured = (path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "evidence.md", RESULTS))
    figures = set(FIGURE.findall(told))
    assert len(figures) > 100
    assert not figures - DERIVED - set(FIGURE.findall(measured))
