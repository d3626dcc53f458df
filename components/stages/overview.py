"""The overview: what every service of a workspace came to, read from evidence alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.privacy.accounts import LIFETIME
from components.stages.evaluate import ceilings_of, evaluation_of
from components.stages.gate import statement_of, verdict_of
from components.stages.run import Run

if TYPE_CHECKING:
    from components.evaluation.overview import Left, Line


def lines(run: Run) -> list[Line]:
    """Return one line for each service of the parameters; one that has no verdict here says so.

    Raises:
        ContractBroken: evidence of a verdict was changed after it was written.
    """
    from components.evaluation.overview import Line

    found = []
    for name in run.params.services:
        service, _ = run.service(name)
        line = {"service": name, "metric": service.metrics[0].name, "floor": service.floor.name}
        if not run.evidence(name, "gate").exists():
            found.append(Line(**line))
            continue
        verdict = verdict_of(run, name)
        metric = service.metrics[0].name
        found.append(
            Line(
                **line,
                verdict=verdict,
                evaluation=evaluation_of(run, name, verdict.candidate),
                statement=statement_of(run, name),
                ceilings={key: figures[metric] for key, figures in ceilings_of(run, name).items() if metric in figures},
            )
        )
    return found


def left(run: Run) -> list[Left]:
    """Return what is left of each account that a training on the dataset is charged to, as the ledger has it now."""
    from components.evaluation.overview import Left
    from components.stages.dataset import dataset_of

    blocks = {*dataset_of(run).blocks, LIFETIME}
    return [
        Left(account.block, account.split, max(0.0, account.rdp_left / account.rdp_cap))
        for account in run.ledger().accounts()
        if account.block in blocks
    ]
