"""A step is one plain function: retried where that helps, a verdict where it does not."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging.handlers import APILogHandler

from components.core.errors import BudgetExhausted, Misconfigured, Unavailable
from components.core.progress import Progress, no_progress
from flows.tasks import step, verdicts
from flows.times import step_seconds

FLOWS = Path(__file__).parents[2] / "flows"


def outcome(function: Callable[[], Any], client: SyncPrefectClient) -> tuple[State[Any], TaskRun]:
    """Run a flow of the one step `function`; return the flow's state and the step's run."""
    body = flow(name="one-step")(verdicts(lambda: step(function)()))
    state = body(return_state=True)
    run_id = state.state_details.flow_run_id
    [run] = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run_id])))
    return state, run


def logs(client: SyncPrefectClient, run_id: UUID) -> list[str]:
    APILogHandler().flush()
    return [one.message for one in client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])))]


@pytest.mark.slow
def test_what_was_unavailable_once_is_tried_again_and_done(client: SyncPrefectClient) -> None:
    calls: list[int] = []

    def fetch() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise Unavailable("The warehouse does not answer", next_step="Wait.")
        return 7

    state, run = outcome(fetch, client)
    assert state.result() == 7
    assert (len(calls), run.run_count) == (2, 2)


@pytest.mark.slow
def test_tries_are_three_more_with_growing_pauses(client: SyncPrefectClient) -> None:
    _, run = outcome(lambda: 1, client)
    assert run.empirical_policy.retries == 3
    assert run.empirical_policy.retry_delay == [2, 4, 8]
    assert run.empirical_policy.retry_jitter_factor > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [
        BudgetExhausted("The release does not fit", value=3, limit=1, next_step="Wait for a new block."),
        Misconfigured("params.yaml has the unknown key pirvacy", limit="privacy", next_step="Rename it."),
    ],
)
def test_a_verdict_is_tried_once_and_is_the_message_of_the_failed_run(
    error: Exception, client: SyncPrefectClient, capfd: pytest.CaptureFixture[str]
) -> None:
    calls: list[int] = []

    def judge() -> None:
        calls.append(1)
        raise error

    state, run = outcome(judge, client)
    assert len(calls) == 1
    assert state.is_failed()
    assert state.message == run.state.message == str(error)
    with pytest.raises(type(error), match="^" + str(error)[:20]):
        state.result()
    told = "\n".join([*logs(client, state.state_details.flow_run_id), capfd.readouterr().err])
    assert str(error) in told
    assert "Traceback" not in told


@pytest.mark.slow
def test_a_fault_of_the_program_is_not_tried_again_and_keeps_its_stack(client: SyncPrefectClient) -> None:
    calls: list[int] = []

    def divide() -> float:
        calls.append(1)
        return 1 / 0

    state, _ = outcome(divide, client)
    assert state.is_failed()
    assert len(calls) == 1
    assert "Traceback" in "\n".join(logs(client, state.state_details.flow_run_id))


@pytest.mark.slow
def test_a_verdict_in_a_flow_within_a_flow_is_the_message_of_both(client: SyncPrefectClient) -> None:
    refusal = BudgetExhausted("The release does not fit", value=3, limit=1, next_step="Wait for a new block.")

    def judge() -> None:
        raise refusal

    inner = flow(name="inner")(verdicts(step(judge)))
    outer = flow(name="outer")(verdicts(lambda: inner()))
    state = outer(return_state=True)
    assert state.message == str(refusal)


@pytest.mark.slow
def test_a_long_step_is_given_a_progress_to_report_to(client: SyncPrefectClient) -> None:
    given: list[Progress] = []

    def count(progress: Progress = no_progress) -> None:
        given.append(progress)

    outcome(count, client)
    assert given != [no_progress]


@pytest.mark.slow
def test_a_step_is_called_what_its_function_is_called_and_its_seconds_are_known(client: SyncPrefectClient) -> None:
    def weigh_the_evidence() -> None:
        """Weigh it."""

    started = datetime.now(UTC)
    _, run = outcome(weigh_the_evidence, client)
    assert run.name == "weigh the evidence"
    assert ("one-step", "weigh the evidence") in [(name, title) for name, title, _ in step_seconds(started)]


def test_every_step_of_every_flow_is_one_function_of_a_stage() -> None:
    steps = 0
    for path in sorted(FLOWS.glob("*.py")):
        tree = ast.parse(path.read_text())
        for call in ast.walk(tree):
            if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "step"):
                continue
            [named] = call.args
            assert isinstance(named, ast.Attribute), f"{path.name}:{call.lineno} is no function of a module"
            stage = importlib.import_module(f"components.stages.{named.value.id}")
            assert callable(getattr(stage, named.attr)), f"{path.name}:{call.lineno}"
            steps += 1
    assert steps > 10
