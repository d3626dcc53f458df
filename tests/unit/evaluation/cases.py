"""A case that passes every gate, and changes to it."""

from dataclasses import replace

from components.core.records import (
    Audit,
    DataCheck,
    Dataset,
    Evaluation,
    Interval,
    PrivacyStatement,
    Trained,
    TrainingRequest,
)
from components.evaluation.case import Case

LEDGER = "genesis"
BUNDLE, FLOOR, CHAMPION = "b" * 64, "f" * 64, "c" * 64
CHECKS = (
    DataCheck(table="events", suite="s" * 64, passed=True),
    DataCheck(table="interactions", suite="t" * 64, passed=True),
)
DATASET = Dataset(
    source="shop",
    public=True,
    start=None,
    end=None,
    blocks=("2000Q4",),
    digest_keyed="k" * 64,
    checks=tuple(check.digest for check in CHECKS),
)
REQUEST = TrainingRequest(service="toy", dataset=DATASET.digest, epsilon=3, author="key-of-ana")
TRAINED = Trained(
    service="toy",
    candidate="deep",
    personal=True,
    bundle=BUNDLE,
    release="r" * 64,
    key="key",
    dataset=DATASET.digest,
    ledger=LEDGER,
    steps=300,
)
STATEMENT = PrivacyStatement(
    unit="user",
    neighbours="add or remove one user",
    epsilon=2.9,
    delta=1e-6,
    blocks=("2000Q4",),
    lifetime="unbounded",
    mechanism="dp_sgd",
    releases={"dp_sgd": TRAINED.release, "dp_popularity": "p" * 64},
    accountants={"pld": 2.9},
    audit="",
    not_covered=(),
    ledger=LEDGER,
)
EVALUATION = Evaluation(
    service="toy",
    dataset=DATASET.digest,
    split="test",
    bundles={"deep": BUNDLE, "common": FLOOR, "champion": CHAMPION},
    metrics={"deep": {"ndcg": Interval(value=0.12, low=0.11, high=0.13)}},
    paired={
        "floor": Interval(value=0.03, low=0.02, high=0.04),
        "champion": Interval(value=0.01, low=-0.005, high=0.025),
        "floor/champion": Interval(value=-0.002, low=-0.008, high=0.004),
    },
    chosen="deep",
    confidence=0.95,
    release="e" * 64,
    ledger=LEDGER,
)
CANARIES = {
    "epsilon_claimed": 2.0,
    "delta": 1e-6,
    "epsilon_lower_bound": 1.6,
    "epsilon_ceiling": 1.7,
    "one_run_lower_bound": 0.2,
    "one_run_ceiling": 0.3,
    "confidence": 0.999,
    "canaries": 1000,
    "inserted": 511,
    "estimator": "gaussian",
}
AUDIT = Audit(
    service="toy", bundle=BUNDLE, steps_in_ledger=300, steps_in_optimizer=300, destroyed_by_noise=True, **CANARIES
)
GOOD = Case(
    service="toy",
    candidate="deep",
    ledger=LEDGER,
    dataset=DATASET,
    request=REQUEST,
    trained=TRAINED,
    checks=CHECKS,
    statement=STATEMENT,
    evaluation=EVALUATION,
    audit=AUDIT,
    champion=CHAMPION,
    megabytes=12.0,
    latency=8.0,
)


def changed(case: Case, part: str, **fields) -> Case:
    """The case with some fields of one of its records changed."""
    return replace(case, **{part: getattr(case, part).model_copy(update=fields)})


def with_gain(case: Case, opponent: str, value: float, low: float, high: float) -> Case:
    """The case with another paired difference to `opponent`."""
    found = Interval.model_construct(value=value, low=low, high=high)
    return changed(case, "evaluation", paired={**case.evaluation.paired, opponent: found})


def floor_case() -> Case:
    """The floor's own case from the same training."""
    trained = TRAINED.model_copy(
        update={"candidate": "common", "personal": False, "bundle": FLOOR, "release": "p" * 64, "steps": None}
    )
    audit = AUDIT.model_copy(update={"bundle": FLOOR, "steps_in_ledger": None, "steps_in_optimizer": None})
    turned = EVALUATION.model_copy(
        update={"chosen": "common", "paired": {"champion": EVALUATION.paired["floor/champion"]}}
    )
    return replace(GOOD, candidate="common", trained=trained, audit=audit, evaluation=turned)
