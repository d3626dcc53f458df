"""How long the steps of flow runs took, as the Prefect server knows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterStartTime


def step_seconds(since: datetime) -> list[tuple[str, str, float]]:
    """Return (flow, step, seconds) of the runs that started at or after `since`, in the order of their start."""
    started: Any = FlowRunFilter(start_time=FlowRunFilterStartTime(after_=since))
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=started, limit=200)
        flows = {run.id: client.read_flow(run.flow_id).name for run in runs}
        tasks = client.read_task_runs(flow_run_filter=started, limit=200)
    # A flow that is called by another appears there as a step of its own; its steps are listed, it is not.
    ended = [task for task in tasks if task.end_time and not task.state.state_details.child_flow_run_id]
    return [
        (flows[task.flow_run_id], task.name, task.total_run_time.total_seconds())
        for task in sorted(ended, key=lambda task: task.start_time)
    ]
