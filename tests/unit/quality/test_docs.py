"""Data Docs are self-contained, harmless and complete; Great Expectations leaves nothing else behind."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from components.core.params import Window
from components.quality.stage import check_raw

from .tables import END, EXPECTATIONS, NOW, START, ads, events, items, messages, plant, write

BROWSER = Path("/usr/bin/chromium")


def _site(folder: Path, table: pa.Table) -> Path:
    raw = write(folder / "raw", events=table, items=items(), ads=ads(), messages=messages())
    window = Window(start=START, end=END)
    check_raw(raw, folder / "checked", folder / "reports", EXPECTATIONS, window=window, now=NOW)
    return folder / "reports" / "raw"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    table = plant(events(), "currency", "<script>alert(1)</script>", None)
    return _site(tmp_path, plant(table, "quantity", 1, 1, 0))


def test_the_index_links_every_page_with_its_counts(site: Path) -> None:
    index = (site / "index.html").read_text()
    assert set(re.findall(r'href="([^"]+)"', index)) == {"items.html", "ads_table.html", "messages.html", "events.html"}
    assert "<td>40</td><td>3</td>" in index
    assert "volume" in index  # left out of a run without a previous window


def test_a_page_says_what_goes_to_quarantine_and_why(site: Path) -> None:
    page = (site / "events.html").read_text()
    assert "<strong>quantity</strong>: 1 of 40 rows go to quarantine. A quantity is positive" in page
    assert 'href="index.html"' in page


def test_what_people_typed_is_text_and_no_markup(site: Path) -> None:
    page = (site / "events.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page


def test_a_page_loads_nothing_and_its_policy_forbids_it(site: Path) -> None:
    for page in site.glob("*.html"):
        text = page.read_text()
        assert not re.search(r'(src|href)="(https?:)?//', text), page.name
        assert "default-src 'none'" in text


def test_another_run_replaces_the_pages_of_the_one_before(tmp_path: Path) -> None:
    (_site(tmp_path, events()) / "of-an-earlier-run.html").write_text("")
    assert sorted(path.name for path in _site(tmp_path, events()).iterdir()) == [
        "ads_table.html",
        "events.html",
        "index.html",
        "items.html",
        "messages.html",
    ]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked: list[Any] = []

    def refuse(*target: Any, **_: Any) -> None:
        asked.append(target)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return asked


def test_a_check_calls_nobody_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[Any]
) -> None:
    monkeypatch.setenv("GX_ANALYTICS_ENABLED", "true")
    _site(tmp_path, events())
    assert no_network == []


def test_a_check_writes_only_where_it_was_told_and_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    for name in ("home", "work", "temporary"):
        (elsewhere / name).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(elsewhere / "home"))
    monkeypatch.setenv("TMPDIR", str(elsewhere / "temporary"))
    monkeypatch.chdir(elsewhere / "work")
    _site(tmp_path, events())
    assert [path for path in elsewhere.rglob("*") if path.is_file() or path.name == "gx"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checked", "elsewhere", "raw", "reports"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(not BROWSER.exists(), reason="needs Debian's package chromium")
def test_a_browser_shows_the_pages_and_asks_for_nothing_but_them(site: Path) -> None:
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=str(BROWSER), args=quiet)
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.get_by_role("link", name="events").click()
        assert page.get_by_text("must be greater than or equal to").first.is_visible()
        browser.close()
    assert asked == [(site / name).as_uri() for name in ("index.html", "events.html")]
