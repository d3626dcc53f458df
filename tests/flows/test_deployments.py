"""What the Prefect server is given: pools, deployments with forms, limits, and the end of zombies."""

from __future__ import annotations

import importlib
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.schemas.automations import Posture
from prefect.flows import load_flow_from_entrypoint

from components.core.settings import HEARTBEAT_SECONDS, Settings
from flows.tasks import TRAININGS
from tests.flows.setting_up import ROOT, set_up

pytestmark = pytest.mark.slow

DECLARED: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
NAMES = [one["name"] for one in DECLARED]


@pytest.fixture
def found(deployed: Settings, client: SyncPrefectClient) -> dict[str, DeploymentResponse]:
    return {one.name: one for one in client.read_deployments()}


def test_the_server_holds_what_the_file_declares(found: dict[str, DeploymentResponse]) -> None:
    assert sorted(found) == sorted(NAMES)


@pytest.mark.parametrize("declared", DECLARED, ids=NAMES)
def test_a_deployments_entrypoint_is_a_flow(declared: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    path, name = declared["entrypoint"].split(":")
    assert load_flow_from_entrypoint(declared["entrypoint"]).name == name
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    assert getattr(module, name).description


@pytest.mark.parametrize("name", NAMES)
def test_a_deployment_runs_one_at_a_time_in_a_pool_that_is_there(
    name: str, found: dict[str, DeploymentResponse], client: SyncPrefectClient
) -> None:
    pool = client.read_work_pool(found[name].work_pool_name)
    assert pool.type == "process"
    assert pool.description
    assert found[name].description
    assert found[name].global_concurrency_limit.limit == 1
    assert found[name].concurrency_options.collision_strategy == "ENQUEUE"


@pytest.mark.parametrize("name", NAMES)
def test_the_form_of_a_deployment_has_a_type_and_a_description_for_every_parameter(
    name: str, found: dict[str, DeploymentResponse]
) -> None:
    fields = found[name].parameter_openapi_schema["properties"]
    assert fields
    for field, schema in fields.items():
        assert "type" in schema or "anyOf" in schema, field
        assert schema.get("description", "").endswith("."), field


def test_the_form_refuses_an_epsilon_that_promises_nothing(found: dict[str, DeploymentResponse]) -> None:
    number = found["by-hand"].parameter_openapi_schema["properties"]["epsilon"]["anyOf"][0]
    assert (number["type"], number["exclusiveMinimum"], number["maximum"]) == ("number", 0, 100)


def test_the_dataset_is_made_every_night_and_the_training_every_week(found: dict[str, DeploymentResponse]) -> None:
    crons = {name: [(one.schedule.cron, one.active) for one in found[name].schedules] for name in NAMES}
    assert crons["nightly"] == [("0 2 * * *", True)]
    assert crons["weekly"] == [("0 4 * * 1", True)]
    assert crons["weekly-gpu"] == [("0 4 * * 1", False)]
    assert not any(crons[name] for name in ("request", "decided", "by-hand"))


def test_each_service_is_trained_every_week_by_a_deployment_of_its_own(found: dict[str, DeploymentResponse]) -> None:
    configured = yaml.safe_load((ROOT / "params.yaml").read_text())["services"]
    weekly = [one for name, one in found.items() if name.startswith("weekly") and name != "weekly-gpu"]
    assert {one.parameters["service"] for one in weekly} >= set(configured)
    assert len({one.parameters["service"] for one in weekly}) == len(weekly)
    assert all(one.schedules[0].active for one in weekly)


def test_what_is_scheduled_waits_for_its_hour_as_runs_of_the_server(
    found: dict[str, DeploymentResponse], client: SyncPrefectClient
) -> None:
    due = {one.id for one in found.values() if any(schedule.active for schedule in one.schedules)}
    deadline = time.monotonic() + 150  # the server looks every minute
    while (waiting := _waiting(client)) != due and time.monotonic() < deadline:
        time.sleep(1)
    assert waiting == due


def test_only_one_training_runs_at_a_time_however_it_was_started(deployed: Settings, client: SyncPrefectClient) -> None:
    assert client.read_global_concurrency_limit_by_name(TRAININGS).limit == 1


def test_a_run_whose_process_died_is_marked_crashed_after_three_silent_heartbeats(deployed: Settings) -> None:
    automation = Automation.read(name="End runs whose process died")
    trigger, [action] = automation.trigger, automation.actions
    assert automation.enabled
    assert trigger.posture == Posture.Proactive
    assert trigger.after == {"prefect.flow-run.heartbeat"}
    assert trigger.expect >= {"prefect.flow-run.heartbeat", "prefect.flow-run.Completed", "prefect.flow-run.Failed"}
    assert trigger.for_each == {"prefect.resource.id"}
    assert trigger.within == timedelta(seconds=3 * HEARTBEAT_SECONDS)
    assert action.state == "CRASHED"
    assert "Start it again" in action.message


def test_setting_up_again_adds_nothing(deployed: Settings, client: SyncPrefectClient) -> None:
    def held() -> tuple[int, int, int]:
        return len(client.read_deployments()), len(client.read_work_pools()), len(_automations(client))

    before = held()
    set_up(deployed)
    assert held() == before


def test_setting_up_leaves_the_checkout_as_it_is(deployed: Settings) -> None:
    assert not (ROOT / ".prefect").exists()
    assert not (ROOT / ".prefectignore").exists()


def _waiting(client: SyncPrefectClient) -> set[UUID]:
    scheduled = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])))
    return {run.deployment_id for run in client.read_flow_runs(flow_run_filter=scheduled) if run.deployment_id}


def _automations(client: SyncPrefectClient) -> list[Any]:
    found: list[Any] = client.request("POST", "/automations/filter", json={}).json()
    return found
