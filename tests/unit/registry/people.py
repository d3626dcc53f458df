"""People, records and requests for the registry's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from components.core import digest
from components.core.records import (
    Dataset,
    Evaluation,
    GateResult,
    Interval,
    PrivacyStatement,
    TrainingRequest,
    Verdict,
)
from components.core.service import Service
from components.core.settings import Settings
from components.registry import identities, models
from components.registry.approvals import Decision, PromotionRequest
from components.registry.evidence import VersionEvidence
from components.registry.store import experiment, prepare_store

from .echo import bundle

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DATA = {"data/split/train.parquet": "1f", "data/split/items.parquet": "2e"}
"""DVC's hashes of what a version was trained on."""


def people(home: Path, *names: str) -> dict[str, bytes]:
    """Make a key for each name, list it in home/identities.yaml and return what that file says."""
    for name in names:
        identities.add(home / "identities.yaml", name, identities.new_key(home, name))
    return dict(identities.load(home / "identities.yaml"))


def evidence(
    home: Path,
    *,
    author: str = "ana",
    bundle: str = "b" * 64,
    passed: bool = True,
    candidate: str = "gram",
    service: str = "echo",
) -> VersionEvidence:
    """Return the evidence of a version of the service, its training signed by `author`."""
    dataset = Dataset(
        source="shop",
        public=True,
        start=None,
        end=None,
        blocks=("2000Q4",),
        digest_keyed="d" * 64,
        checks=(),
    )
    training = TrainingRequest(service=service, dataset=dataset.digest, epsilon=3.0, author=author)
    training = identities.sign(training, home, author)
    statement = PrivacyStatement(
        unit="user",
        neighbours="add or remove one user",
        epsilon=2.9,
        delta=1e-6,
        blocks=("2000Q4",),
        lifetime="unbounded",
        mechanism="gram",
        releases={"gram": "r" * 64},
        accountants={"pld": 2.9},
        audit="steps agree",
        not_covered=("the catalogue",),
        ledger="genesis",
    )
    measured = Evaluation(
        service=service,
        split="test",
        bundles={candidate: bundle},
        metrics={candidate: {"ndcg_at_100": Interval(value=0.2, low=0.18, high=0.22)}},
        paired={"floor": Interval(value=0.02, low=0.01, high=0.03)},
        chosen=candidate,
        confidence=0.95,
        release="e" * 64,
        ledger="genesis",
    )
    verdict = Verdict(
        service=service,
        candidate=candidate,
        personal=True,
        bundle=bundle,
        dataset=dataset.digest,
        request=training.digest,
        statement=statement.digest,
        evaluation=measured.digest,
        audit="a" * 64,
        gates=(GateResult(gate="epsilon", value="2.9", limit="3", passed=passed, evidence=statement.digest),),
        passed=passed,
        ledger="genesis",
    )
    return VersionEvidence(
        dataset=dataset, training=training, statement=statement, evaluation=measured, verdict=verdict
    )


def request(
    home: Path,
    of: VersionEvidence,
    *,
    by: str = "ana",
    version: int = 1,
    sequence: int = 1,
    previous: int | None = None,
) -> PromotionRequest:
    """Return a signed request for the version with this evidence."""
    asked = PromotionRequest(
        service="echo",
        version=version,
        sequence=sequence,
        previous_champion=previous,
        model=of.verdict.bundle,
        evidence=of.verdict.digest,
        author=of.training.author,
        requested_by=by,
        requested_at=NOW,
    )
    return identities.sign(asked, home, by)


def decision(
    home: Path, over: PromotionRequest, *, by: str = "ben", outcome: str = "approve", **changes: object
) -> Decision:
    """Return a decision over `over`, signed by `by` with any field replaced before signing."""
    fields = {
        "outcome": outcome,
        "request": over.digest,
        **{field: getattr(over, field) for field in ("service", "version", "sequence", "previous_champion")},
        "model": over.model,
        "evidence": over.evidence,
        "reason": "the gain holds",
        "expires_at": NOW + timedelta(days=14),
        "approver": by,
        "decided_at": NOW,
        **changes,
    }
    return identities.sign(Decision.model_validate(fields), home, by)


def versioned(
    settings: Settings, service: Service, *, times: int = 1, **changes: object
) -> tuple[int, VersionEvidence]:
    """Register a version of the fake service and return its number and evidence."""
    folder = bundle(settings.root / "models" / f"echo-{times}", times)
    of = evidence(settings.home, bundle=digest.of_path(folder), **changes)
    client, where = prepare_store(settings), experiment(settings, "echo")
    run = client.create_run(where, tags={"jali.kind": "candidate"})
    return models.register(settings, service, of, folder, run.info.run_id, DATA), of
