"""A search for a service's parameters: each trial a task on a public source, the whole one task on people's rows."""

from time import monotonic
from typing import Annotated

from prefect import flow
from prefect.concurrency.sync import concurrency
from prefect.states import State
from pydantic import Field

from components.core.errors import JaliError
from components.core.progress import bar
from components.stages import searching, tuning, workspace
from components.stages.tuning import Tuned
from flows.names import run_name
from flows.tasks import LEASE_SECONDS, TRAININGS, step, verdicts
from flows.train import Epsilon


@flow(
    name="tune",
    flow_run_name=run_name,
    description="Search for a service's parameters: free on a public source, charged as a whole on people's rows.",
)
@verdicts
def tune(
    service: str = "recommend",
    source: str | None = None,
    epsilon: Epsilon | None = None,
    trials: Annotated[float, Field(ge=1, le=1000)] | None = None,
    seconds: Annotated[float, Field(gt=0)] | None = None,
) -> Tuned | State[Tuned]:
    """Return what was found. On people's rows the same search is done once: asked again, it costs nothing.

    Args:
        service: A service of params.yaml.
        source: The source whose dataset is searched on; None takes the one that params.yaml chooses.
        epsilon: What a training, and a search on people's rows, may spend; None takes that of params.yaml.
        trials: How many; on people's rows their expected number. None takes that of params.yaml.
        seconds: After so many no further trial begins; public sources only.
    """
    run = step(workspace.open_training)(source, epsilon)
    with concurrency(TRAININGS, strict=True, lease_duration=LEASE_SECONDS), workspace.alone(run):
        search = step(tuning.open_search)(run, service, trials, seconds)
        found = _freely(run, search, seconds) if search.public else step(searching.search)(run, search)
        step(tuning.finish_search)(run, search, found)
    return found


def _freely(run: tuning.Run, search: tuning.Search, seconds: float | None) -> Tuned:
    floor, proposals = step(tuning.fit_floor)(run, search.service), tuning.proposals(search)
    started, tried = monotonic(), list[tuple[tuning.Choice, float]]()
    with bar(f"tune {search.service}") as progress:
        for number in range(1, round(search.trials) + 1):
            if seconds is not None and monotonic() - started > seconds:
                break
            choice, score = proposals.ask(), None
            try:
                score = step(tuning.try_one)(run, search, number, choice, floor)
                tried.append((choice, score))
            except JaliError:  # it stands in Prefect as a failed step; other choices go on
                pass
            proposals.tell(score)
            progress(number, round(search.trials))
    return tuning.best_of(run, search, tried)
