"""What a training of the toy service would leave in MLflow."""

from __future__ import annotations

from components.core.records import Evaluation
from components.stages.budget import Budget
from components.stages.evaluate import evaluate
from components.stages.run import Run
from components.stages.tracking import _candidates
from components.stages.train import train


def test_every_candidate_has_every_metric_in_mlflow_and_those_of_its_own_split(divided: Run) -> None:
    train(divided, "toy")
    evaluate(divided, "toy")
    validation, test = (
        Evaluation.read(divided.evidence("toy", "evaluate") / f"{split}.json") for split in ("validation", "test")
    )
    budget = Budget.read(divided.evidence("toy", "train") / "budget.json")
    logged = _candidates(divided, "toy", budget, test)
    assert {one.split for one in logged} == {"validation", "test"}
    assert len({frozenset(one.metrics) for one in logged}) == 1
    for one in logged:
        assert dict(one.metrics) == {"test": test, "validation": validation}[one.split].metrics[one.name]
