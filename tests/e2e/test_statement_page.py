"""The statement's page in a browser: it asks nobody for anything, and fits a window, a telephone and paper."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from components.privacy.statement_page import as_html
from tests.unit.privacy.stated import document

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "statement.html"
    file.write_text(as_html(document()))
    return file


@pytest.mark.parametrize("width", [1000, 390], ids=["window", "telephone"])
def test_nothing_sticks_out_of_it_and_nothing_is_fetched(browser: Browser, page_file: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())
    assert asked == [page_file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("section h2").count() == 10
    bars = page.locator(".bar i").evaluate_all("found => found.map(one => one.getBoundingClientRect().width)")
    assert len(bars) == 8
    assert all(width > 0 for width in bars)
    page.close()


def test_on_paper_its_bars_keep_their_colours_and_no_line_is_cut(browser: Browser, page_file: Path) -> None:
    page = browser.new_page(viewport={"width": 660, "height": 900})  # A4 within its margins, at 96 dots an inch
    page.goto(page_file.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 660
    kept = page.locator(".bar i").first.evaluate("one => getComputedStyle(one).printColorAdjust")
    assert kept == "exact"
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()
