"""How long the steps of flow runs took, as the Prefect server knows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterStartTime
from prefect.client.schemas.sorting import TaskRunSort


def step_seconds(since: datetime) -> dict[str, float]:
    """Return the seconds of every step of the runs that started at or after `since`, in the order of their start."""
    started: Any = FlowRunFilter(start_time=FlowRunFilterStartTime(after_=since))
    with get_client(sync_client=True) as client:
        tasks = client.read_task_runs(flow_run_filter=started, sort=TaskRunSort.EXPECTED_START_TIME_DESC, limit=200)
    ended = [task for task in tasks if task.start_time and task.end_time]
    return {
        task.name.rsplit("-", 1)[0]: task.total_run_time.total_seconds()
        for task in sorted(ended, key=lambda task: task.start_time)
    }
