"""The page on which Prefect shows how the privacy budget burns down, as a person sees it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from playwright.sync_api import expect, sync_playwright
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from components.core.settings import Settings
from components.privacy.release import Gaussian
from components.stages.run import Run
from flows import artifacts
from tests.unit.privacy.builders import CAP, open_ledger, private, release_of

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def shown(server: Settings, client: SyncPrefectClient, tmp_path: Path) -> Any:
    """The page after three releases over two blocks."""
    ledger = open_ledger(tmp_path / "home", CAP)
    for number, split in enumerate(("train", "train", "test")):
        blocks = ("2000Q4", "2001Q1")[: number + 1]
        release = release_of(Gaussian(noise_multiplier=1.2), blocks=blocks, split=split)
        with ledger.release(release, key=split + str(number), of=private(blocks=blocks, split=split)) as opened:
            opened.intend(1)
    name = tmp_path.name.replace("_", "-").lower()
    artifacts.of_budget(cast(Run, SimpleNamespace(ledger=lambda: ledger)), name)
    [page] = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[f"budget-{name}"])))
    return page


@pytest.mark.slow
def test_the_page_holds_the_plot_and_each_account(shown: Any) -> None:
    assert shown.type == "markdown"
    assert "](data:image/png;base64,iVBOR" in shown.data
    rows = [line.split("|")[1:3] for line in shown.data.splitlines() if line.startswith("| 200")]
    assert [(block.strip(), split.strip()) for block, split in rows] == [
        ("2000Q4", "train"),
        ("2001Q1", "train"),
        ("2000Q4", "test"),
        ("2001Q1", "test"),
    ]
    assert len(shown.data) < 200_000


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium")
def test_a_person_sees_the_plot_and_the_table(shown: Any, server: Settings, tmp_path: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1300, "height": 1400})
        page.goto(f"{server.prefect_url.removesuffix('/api')}/artifacts/artifact/{shown.id}")
        picture = page.get_by_alt_text("What is left of each account after every release")
        expect(picture).to_be_visible(timeout=60_000)
        assert picture.evaluate("image => image.complete && image.naturalWidth") > 500
        for cell in ("2001Q1", "account left", "█"):
            expect(page.get_by_text(cell).first).to_be_visible()
        page.screenshot(path=tmp_path / "page.png")
        browser.close()
