"""How a plain function becomes a Prefect task, and a verdict a failed run without a stack.

A task is one line that calls a function of `components/`: it passes paths and small records, never frames or models,
and Prefect caches nothing, because what exists by content key is not made again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from inspect import signature
from traceback import format_exception
from typing import Any, ParamSpec, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Failed
from prefect.tasks import exponential_backoff

from components.core.errors import JaliError, Unavailable
from components.core.files import write_bytes
from components.core.progress import bar
from components.stages.run import Run

TRAININGS = "jali-training"
"""A global limit of one: two trainings at once would only wait for the same ledger and workspace."""
LEASE_SECONDS = 60
"""How long that place is kept for a training that was killed; a living one renews it."""

P = ParamSpec("P")
R = TypeVar("R")


def step(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` as a task that is retried, with back-off, on `Unavailable` only.

    Any other error of Jali's ends the task as Failed, with its sentence as the message, and is raised in the flow.
    A function that takes `progress` draws a bar where somebody looks.
    """
    title = function.__name__.replace("_", " ")
    long = "progress" in signature(function).parameters

    @task(
        name=title,
        task_run_name=title,
        description=(function.__doc__ or "").split("\n\n")[0],
        cache_policy=NO_CACHE,
        retries=3,
        retry_delay_seconds=exponential_backoff(backoff_factor=2),
        retry_jitter_factor=0.5,
        retry_condition_fn=_is_unavailable,
    )
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            if not long:
                return function(*args, **kwargs)
            with bar(title) as progress:
                return function(*args, **{**kwargs, "progress": progress})
        except JaliError as error:
            if isinstance(error, Unavailable):
                raise
            return cast(R, Failed(message=str(error), data=error))
        except Exception as fault:
            hidden = _without_rows(fault, title, args)
            if hidden is None:
                raise
            return cast(R, Failed(message=str(hidden), data=hidden))

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        state: State[R] = run(*args, **kwargs, return_state=True)  # type: ignore[call-overload]
        return state.result()  # raises what the task ended with

    return call


def verdicts(body: Callable[P, R]) -> Callable[P, R]:
    """Return the body of a flow so that an error of Jali's is the run's message, not a stack in its log."""

    @wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return body(*args, **kwargs)
        except JaliError as error:
            return cast(R, Failed(message=str(error), data=error))

    return run


def _without_rows(fault: Exception, title: str, given: tuple[Any, ...]) -> JaliError | None:
    """Return what may be said of a fault of the program on private rows; None where it need not be kept from anybody.

    Its text and stack may quote a row, and Prefect's log is outside of the trusted zone: they go to a file inside it.
    """
    run = next((one for one in given if isinstance(one, Run)), None)
    if run is None or run.params.chosen_source.public:
        return None
    page = run.reports / "faults" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}.txt"
    write_bytes(page, "".join(format_exception(fault)).encode())
    return JaliError(
        f"{title} failed by a fault of the program",
        value=type(fault).__name__,
        next_step=f"Read {page}, in the trusted zone.",
    )


def _is_unavailable(task: Any, run: Any, state: State[Any]) -> bool:
    try:
        state.result()
    except Unavailable:
        return True
    except BaseException:
        return False
    return False
