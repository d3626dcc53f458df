"""The case that gates judge: its records, and what makes one of them unusable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from components.core.evidence import Record
from components.core.params import Gates
from components.core.records import (
    Audit,
    DataCheck,
    Dataset,
    Evaluation,
    PrivacyStatement,
    Trained,
    TrainingRequest,
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Everything that a verdict on one candidate is made from; what could not be found is None, and refuses.

    Attributes:
        service, candidate: who is judged.
        ledger: genesis id of the ledger in force here.
        dataset, request, trained, statement, evaluation, audit: its records.
        checks: the data checks that `dataset` names.
        champion: bundle digest of the present champion, or None where there is none yet.
        megabytes: size of the bundle.
        latency: milliseconds by which 95% of calls have answered.
    """

    service: str
    candidate: str
    ledger: str
    dataset: Dataset | None
    request: TrainingRequest | None
    trained: Trained | None
    checks: tuple[DataCheck, ...]
    statement: PrivacyStatement | None
    evaluation: Evaluation | None
    audit: Audit | None
    champion: str | None
    megabytes: float | None
    latency: float | None


def unusable(name: str, record: Record | None, **expected: object) -> str | None:
    """Return why `record` proves nothing here, or None: missing, not a number, or a field that is not as `expected`."""
    if record is None:
        return f"{name} is missing"
    if not _finite(record.model_dump()):
        return f"{name} holds a value that is not a number"
    for field, wanted in expected.items():
        found = getattr(record, field)
        if found != wanted:
            return f"{name} is of another {field} ({short(found)} instead of {short(wanted)})"
    return None


def unusable_statement(case: Case) -> str | None:
    """Return why the privacy statement of `case` proves nothing about its bundle, or None."""
    problem = unusable("the privacy statement", case.statement, ledger=case.ledger)
    if not problem and case.statement and case.trained and case.trained.release not in case.statement.releases.values():
        return "the privacy statement does not cover this bundle's release"
    return problem or unusable("the trained bundle", case.trained)


def unusable_evaluation(params: Gates, case: Case) -> str | None:
    """Return why the evaluation of `case` proves nothing about its bundle, or None."""
    problem = unusable("the trained bundle", case.trained) or unusable(
        "the evaluation",
        case.evaluation,
        service=case.service,
        dataset=digest_of(case.dataset),
        ledger=case.ledger,
        split="test",
        chosen=case.candidate,
    )
    if problem or not case.evaluation or not case.trained:
        return problem
    if case.evaluation.bundles.get(case.candidate) != case.trained.bundle:
        return "the evaluation is of another bundle"
    if case.evaluation.confidence < params.confidence:
        return f"the evaluation's confidence is {case.evaluation.confidence:g}, below {params.confidence:g}"
    return None


def digest_of(record: Record | None) -> str:
    """Return the digest of a usable record, else nothing: what is not a number has no canonical form."""
    return record.digest if record is not None and _finite(record.model_dump()) else ""


def short(value: object) -> str:
    """Return the first 12 characters, which tell digests apart for a reader."""
    return "none" if value is None else str(value)[:12]


def _finite(content: Any) -> bool:
    if isinstance(content, dict):
        return all(_finite(value) for value in content.values())
    if isinstance(content, list | tuple):
        return all(_finite(value) for value in content)
    return not isinstance(content, float) or math.isfinite(content)
