"""The workspace of a flow: opened for a source, filled by DVC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from components.core import digest, params, settings
from components.core.errors import ContractBroken, Refused
from components.core.params import Block
from components.core.progress import Progress, no_progress
from components.core.records import Dataset
from components.stages.dataset import dataset_of
from components.stages.planned import require_caps, require_delta
from components.stages.run import Run

_LIVE = ("files", "sql")
"""Sources that may hold other rows tomorrow: they are read again, and where nothing changed DVC goes no further."""

DATA_STAGES = ("collect", "check", "prepare", "split")


def open_workspace(
    source: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    last: Block | None = None,
    now: datetime | None = None,
) -> Run:
    """Open the source's workspace with this checkout's code and parameters.

    Args:
        source: a source of `params.yaml`, by default the one that it chooses.
        start, end: the window, by default that of `params.yaml`.
        last: the window is the last whole one of these before `now`, so that a schedule meets each once, and a late run
            a window that was processed.
        now: when the run was due.

    Raises:
        Misconfigured: there is no such source.
    """
    from components.data.blocks import last_whole

    changes: dict[str, Any] = {"source": source} if source else {}
    if last:
        start, end = last_whole(last, now or datetime.now(UTC))
    if start or end:
        changes["window"] = {"start": start and start.isoformat(), "end": end and end.isoformat()}
    return _opened(changes)


def open_training(source: str | None = None, epsilon: float | None = None) -> Run:
    """Open the source's workspace to train on the dataset that lies there.

    Args:
        source: as above.
        epsilon: the training's budget, by default that of `params.yaml`. The gate's limit stays what it is.

    Raises:
        Refused: no dataset was made from this source yet.
        ContractBroken: the one that lies there was refused.
        Misconfigured: a cap is below what the dataset's accounts have spent, or δ is above what the gate lets through.
    """
    changes: dict[str, Any] = {"source": source} if source else {}
    if epsilon is not None:
        changes["training"] = {"epsilon": epsilon}
    run = _opened(changes)
    if not (run.data / "split" / "dataset.json").exists():
        raise Refused(
            f"There is no dataset of {run.params.source} to train on",
            next_step=f"Run `jali run dataset --source {run.params.source}`, or the deployment dataset/nightly, first.",
        )
    _require_first_or_same(run, dataset_of(run))
    require_delta(run)
    require_caps(run)
    return run


@contextmanager
def alone(run: Run) -> Iterator[None]:
    """Keep the workspace as it is while a training reads and fills it: a dataset, or another training, waits.

    What it leaves (bundles, evidence) lies under the service's name, and what it reads would be another dataset's.

    Raises:
        Unavailable: another run works in it for more than ten minutes.
    """
    from components.data.turns import turn
    from components.data.versioning import REPRO

    with turn(run.root, REPRO):
        yield


def version(run: Run, progress: Progress = no_progress) -> Dataset:
    """Bring the data stages up to date by DVC and return what they made.

    A bounded window is one dataset for ever: what was trained on it was charged for it.

    Raises:
        ContractBroken: the source now gives other rows for a window that was processed before.
    """
    from components.data.versioning import reproduce

    again = "collect" if run.params.chosen_source.kind in _LIVE else None
    reproduce(run.root, "split", stages=len(DATA_STAGES), again=again, progress=progress)
    return _require_first_or_same(run, dataset_of(run))


def _require_first_or_same(run: Run, dataset: Dataset) -> Dataset:
    """Let the first dataset of a bounded window through, and after it only the same one."""
    from components.data.collect import window_key

    window = params.Window(start=dataset.start, end=dataset.end)
    if window.start is None or window.end is None:
        return dataset
    shaping = run.params.model_dump(mode="json", include={"prepare", "split", "privacy"})
    key = digest.of_json([window_key(run.params.chosen_source, window), shaping])
    known = run.records().find(Dataset, key) or run.records().keep(key, dataset)
    if known.digest_keyed != dataset.digest_keyed:
        raise ContractBroken(
            f"The window {dataset.start} to {dataset.end} of {dataset.source} was processed before with other rows",
            value=dataset.digest_keyed[:12],
            limit=known.digest_keyed[:12],
            next_step="Collect later events in a later window, or restore the rows that the source had.",
        )
    return dataset


def _opened(changes: dict[str, Any]) -> Run:
    from components.data.versioning import open_workspace

    here = settings.load()
    chosen = params.load(here.root / "params.yaml").but(**changes)
    root = open_workspace(here.root, here.var / "workspaces" / chosen.source, chosen)
    return Run(root=root, params=chosen, settings=here)
