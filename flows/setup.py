"""What the Prefect server must hold: work pools, the deployments of `prefect.yaml`, limits and automations.

Safe to run again: everything is looked up by name and replaced or left.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.events import emit_event
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import get_current_settings
from prefect.workers.process import ProcessWorker

from flows.tasks import TRAININGS

ROOT = Path(__file__).parents[1]
POOLS = {
    "jali": "Flows on this machine: one process a run.",
    "jali-gpu": "Trainings on a machine with a GPU: start a worker there with `prefect worker start --pool jali-gpu`.",
}


def main() -> None:
    """Bring the server up to date."""
    with get_client(sync_client=True) as client:
        for name, description in POOLS.items():
            _work_pool(client, name, description)
        _limit(client, TRAININGS, 1)
        _zombies()
        _expect_heartbeats(client)
    deploy = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", "prefect.yaml"]
    subprocess.run(deploy, cwd=ROOT, check=True)


def _work_pool(client: SyncPrefectClient, name: str, description: str) -> None:
    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name=name, type="process", description=description, base_job_template=template)
    try:
        client.create_work_pool(pool)
    except ObjectAlreadyExists:
        return


def _limit(client: SyncPrefectClient, name: str, limit: int) -> None:
    try:
        client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=limit))


def _zombies() -> None:
    """A run whose process died sends no heartbeat; without this it would say "Running" for ever."""
    name = "End runs whose process died"
    heartbeat = get_current_settings().flows.heartbeat_frequency or 30
    try:
        Automation.read(name=name)
        return
    except ValueError:
        pass
    Automation(
        name=name,
        description=f"A run that was silent for {3 * heartbeat} s is marked Crashed; start it again and it resumes.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{state}" for state in _ENDED)},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=3 * heartbeat),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message="The process of this run died. Start it again: it resumes and repeats no finished step.",
            )
        ],
    ).create()


def _expect_heartbeats(client: SyncPrefectClient) -> None:
    """Have the automation wait for every run that is said to run; a killed server forgets for whom it waited."""
    running = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))
    for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(state=running)):
        resource = {"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.name": run.name}
        emit_event("prefect.flow-run.heartbeat", resource=resource)


_ENDED = ("Completed", "Failed", "Cancelled", "Crashed")


if __name__ == "__main__":
    main()
