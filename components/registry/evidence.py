"""All the evidence of one version: from the dataset to the verdict, each record naming the one before by its digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from components.core.errors import ContractBroken
from components.core.evidence import Record, RecordStore
from components.core.records import Dataset, Evaluation, PrivacyStatement, TrainingRequest, Verdict

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class VersionEvidence:
    """The records behind one version. They are one chain, or the object cannot be made.

    Raises:
        ContractBroken: the verdict names another record than the one given.
    """

    dataset: Dataset
    training: TrainingRequest
    statement: PrivacyStatement
    evaluation: Evaluation
    verdict: Verdict

    def __post_init__(self) -> None:
        named = {
            "dataset": (self.verdict.dataset, self.dataset),
            "training request": (self.verdict.request, self.training),
            "privacy statement": (self.verdict.statement, self.statement),
            "evaluation": (self.verdict.evaluation, self.evaluation),
        }
        for what, (digest, record) in named.items():
            if digest != record.digest:
                raise ContractBroken(
                    f"The verdict of {self.verdict.service} was given on another {what}",
                    value=record.digest[:12],
                    limit=digest[:12],
                    next_step="Give the records of one run of the gate.",
                )

    def keep(self, home: Path) -> None:
        """Keep every record in the home's store, where whoever verifies the version finds it by digest."""
        store = RecordStore(home / "records")
        for record in (self.dataset, self.training, self.statement, self.evaluation, self.verdict):
            store.keep(record.digest, record)

    @classmethod
    def find(cls, home: Path, verdict: str) -> Self:
        """Read back what `keep` kept, by the digest of the verdict.

        Raises:
            ContractBroken: a record is missing, or is not the one that its name says.
        """
        found = _find(home, Verdict, verdict)
        return cls(
            dataset=_find(home, Dataset, found.dataset),
            training=_find(home, TrainingRequest, found.request),
            statement=_find(home, PrivacyStatement, found.statement),
            evaluation=_find(home, Evaluation, found.evaluation),
            verdict=found,
        )


def _find(home: Path, kind: type[R], digest: str) -> R:
    store = RecordStore(home / "records")
    record = store.find(kind, digest)
    if record is None or record.digest != digest:
        raise ContractBroken(
            f"The {kind.kind} record {digest[:12]} is not in {store.folder}",
            value="nothing" if record is None else record.digest[:12],
            next_step="Restore the records folder from its backup, or register the version again.",
        )
    return record
