"""What a person does and sees in the two web pages: start a run by a form, follow it, compare its candidates."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from .checkout import Checkout, until

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium"),
]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A window of a browser that talks to nobody but the pages it is sent to."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def pipeline(machine: Checkout, page: Page) -> dict[str, Any]:
    """The run that was started by the form of the deployment pipeline/by-hand, after it has ended."""
    page.goto(machine.url("prefect", "/deployments"))
    page.get_by_role("link", name="by-hand").first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run", exact=True).click()
    _field(page, "author").locator("textarea").fill("ana")
    _field(page, "epsilon").get_by_text("float", exact=True).click()
    _field(page, "epsilon").locator("input[type=number]").fill("2")
    expect(page.get_by_text("that person may not approve them")).to_be_visible()
    page.get_by_role("button", name="Submit").click()
    until(lambda: [one for one in machine.runs("pipeline") if one["state_type"] in ("COMPLETED", "FAILED", "CRASHED")])
    return dict(machine.runs("pipeline")[0])


def test_a_run_that_was_started_by_the_form_is_seen_to_complete(
    machine: Checkout, pipeline: dict[str, Any], page: Page
) -> None:
    assert pipeline["parameters"]["author"] == "ana"
    assert pipeline["parameters"]["epsilon"] == 2
    page.goto(machine.url("prefect", f"/runs/flow-run/{pipeline['id']}"))
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    expect(page.get_by_text("recommend · ε=2").first).to_be_visible()


def test_a_training_shows_its_summary_its_gates_and_the_way_to_mlflow(
    machine: Checkout, pipeline: dict[str, Any], page: Page
) -> None:
    page.goto(machine.url("prefect", f"/runs/flow-run/{machine.runs('train')[0]['id']}"))
    page.get_by_text("Artifacts", exact=True).first.click()
    for artifact in ("training-recommend", "gates-recommend", "budget-recommend", "mlflow-recommend"):
        expect(page.get_by_text(artifact).first).to_be_visible()
    page.goto(machine.url("prefect", f"/artifacts/artifact/{_artifact(machine, 'gates-recommend')}"))
    for cell in ("epsilon", "gain_over_floor", "bundle_megabytes"):
        expect(page.get_by_text(cell).first).to_be_visible()


def test_mlflow_groups_the_candidates_below_their_training(
    machine: Checkout, pipeline: dict[str, Any], page: Page
) -> None:
    page.goto(machine.url("mlflow", "/#/experiments/1/runs?workflowType=machine_learning"))
    training = page.get_by_text(re.compile("^recommend · shop · ε=2")).first
    expect(training).to_be_visible()
    training.click()
    for candidate in ("popularity · ε=", "gram · ε=", "autoencoder · ε="):
        expect(page.get_by_role("link", name=re.compile(candidate)).first).to_be_visible()
    expect(page.get_by_text("ε = 2").first).to_be_visible()


def test_what_epsilon_has_cost_is_seen_on_the_page_that_the_training_links_to(
    machine: Checkout, pipeline: dict[str, Any], page: Page
) -> None:
    page.goto(machine.url("prefect", f"/artifacts/artifact/{_artifact(machine, 'mlflow-recommend')}"))
    link = page.get_by_role("link", name="Compare the candidates of recommend").first
    page.goto(str(link.get_attribute("href")))
    expect(page.get_by_text("Comparing 3 Runs from 1 Experiment").first).to_be_visible()
    for line in ("popularity · ε=", "gram · ε=", "autoencoder · ε=", "ndcg_at_100", "epsilon", "jali.mechanism"):
        expect(page.get_by_text(line).first).to_be_attached()


def test_mlflow_shows_the_card_of_the_version_with_its_promise(
    machine: Checkout, pipeline: dict[str, Any], page: Page
) -> None:
    page.goto(machine.url("mlflow", "/#/models/jali-recommend/versions/1"))
    expect(page.get_by_text("challenger").first).to_be_visible()
    expect(page.get_by_text("differential privacy for").first).to_be_visible()


def _field(page: Page, parameter: str) -> Locator:
    """Return the part of Prefect's form that is about one parameter; its labels are not bound to their inputs."""
    return page.locator(".schema-form-property").filter(has_text=f"{parameter} (Optional)").last


def _artifact(machine: Checkout, key: str) -> str:
    [found] = machine.prefect("/artifacts/latest/filter", artifacts={"key": {"any_": [key]}})
    return str(found["latest_id"])
