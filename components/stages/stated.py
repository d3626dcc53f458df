"""The privacy statement of a candidate: everything that was charged for it, by the ledger's own records."""

from __future__ import annotations

from components.core.errors import ContractBroken
from components.core.records import Audit, Evaluation, Population, PrivacyStatement
from components.privacy.accounts import LIFETIME
from components.privacy.adaptive import stated_delta
from components.privacy.ledger import require_same_ledger
from components.privacy.release import BestOf, Event
from components.privacy.statement import Charged, Purpose, statement
from components.stages.budget import Budget
from components.stages.dataset import dataset_of
from components.stages.run import Run

_JUDGED: dict[str, Purpose] = {"validation": "choosing", "test": "judging"}


def stated(run: Run, name: str, candidate: str) -> PrivacyStatement:
    """Return the statement of `candidate`, its audit included.

    Raises:
        ContractBroken: the ledger does not hold a release that the evidence names.
        Refused: the accountants do not agree.
    """
    return statement(
        mechanism=candidate,
        charged=charged(run, name),
        budgets=_budgets(run, name),
        blocks=dataset_of(run).blocks,
        ledger=run.ledger().genesis,
        cap=run.params.privacy.cap,
        lifetime_cap=next((one.cap for one in run.ledger().accounts() if one.block == LIFETIME), None),
        audit=Audit.read(run.evidence(name, "audit") / f"{candidate}.json"),
        searches=_searches(run, name),
    )


def _searches(run: Run, name: str) -> list[Event]:
    """Return every search for parameters of the service that read train users of the dataset's blocks."""
    blocks = set(dataset_of(run).blocks)
    return [
        event
        for hold in run.ledger().holds()
        if isinstance(event := hold.charged, BestOf)
        and (hold.release.service, hold.release.split) == (name, "train")
        and blocks & set(hold.release.blocks)
    ]


def _budgets(run: Run, name: str) -> dict[str, float]:
    """Return the ε of each split, as it was fixed before the split was counted."""
    evaluation = run.params.training.epsilon_of_evaluation
    trained = Budget.read(run.evidence(name, "train") / "budget.json").epsilon
    return {"train": trained, **dict.fromkeys(_JUDGED, evaluation)}


def charged(run: Run, name: str) -> list[Charged]:
    """Return every release of a service's training: counts, floor, candidates, and the evaluations of both splits.

    Raises:
        ContractBroken: the evidence is of another ledger, or this one does not hold a release that it names.
    """
    trained = Population.read(run.evidence(name, "train") / "population.json")
    require_same_ledger(trained.ledger, run.ledger())
    floor, budget = run.service(name)[0].floor.name, Budget.read(run.evidence(name, "train") / "budget.json")
    releases = {hold.release.digest: hold.release for hold in run.ledger().holds()}

    def one(purpose: Purpose, digest: str, delta: float, parameters: dict[str, object]) -> Charged:
        if digest not in releases:
            raise ContractBroken(
                f"The ledger holds no release that the evidence of {name} names",
                value=digest[:12],
                next_step="Train again with this JALI_HOME.",
            )
        return Charged(purpose, releases[digest], delta, parameters)

    found = [one("count", budget.count.release, budget.delta, budget.count.parameters)]
    for plan in budget.plans.values():
        purpose: Purpose = "floor" if plan.mechanism == floor else "candidate"
        found.append(one(purpose, plan.release, budget.delta, plan.parameters))
    for split, judged in _JUDGED.items():
        count = Population.read(run.evidence(name, "evaluate") / f"population-{split}.json")
        delta = stated_delta(count.lower_bound, run.params.training.max_delta)
        evaluation = Evaluation.read(run.evidence(name, "evaluate") / f"{split}.json")
        found.append(one("count", count.release, delta, {}))
        found.append(one(judged, evaluation.release, delta, {}))
    return found
