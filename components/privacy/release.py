"""What a release is: one record for counts, selections, training, metrics, audits and aggregates alike."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from components.core import digest
from components.core.errors import ContractBroken
from components.core.evidence import Record


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Gaussian(_Event):
    """`count` draws of the Gaussian mechanism on the whole split; `noise_multiplier` is σ ÷ L2 sensitivity."""

    type: Literal["gaussian"] = "gaussian"
    noise_multiplier: float = Field(gt=0)
    count: int = Field(1, ge=0)


class SampledGaussian(_Event):
    """`steps` draws of the Gaussian mechanism, each on a Poisson sample of the users (Abadi et al. 2016, section 3)."""

    type: Literal["sampled_gaussian"] = "sampled_gaussian"
    noise_multiplier: float = Field(gt=0)
    sample_rate: float = Field(gt=0, le=1)
    steps: int = Field(ge=0)


Noised = Gaussian | SampledGaussian
"""What one mechanism costs; a search runs mechanisms of these."""
_Part = Annotated[Noised, Field(discriminator="type")]


class Trials(_Event):
    """The law of how many trials a search makes; it reads no data, and its draw is told to nobody.

    `negative_binomial` is truncated at 1 (Papernot & Steinke 2022, definition 1): `shape` is its η, 1 for the geometric
    law, 0 for the logarithmic one.
    """

    law: Literal["negative_binomial", "poisson"] = "negative_binomial"
    expected: float = Field(ge=1, le=10_000)
    shape: float = Field(1.0, gt=-1, le=100)


class BestOf(_Event):
    """The best of a random number of trials by their own noised scores, and nothing of the others (`tuning`).

    Attributes:
        choices: what a trial may be, each one a composition; which of them it is follows from a public draw.
        trials: the law of their number.
        count: 1 for a search, 0 for one that never began.
    """

    type: Literal["best_of"] = "best_of"
    choices: tuple[tuple[_Part, ...], ...] = Field(min_length=1)
    trials: Trials
    count: int = Field(1, ge=0)


Event = Annotated[Gaussian | SampledGaussian | BestOf, Field(discriminator="type")]


def noised(event: Event) -> Noised:
    """Return `event` as that of one mechanism.

    Raises:
        ContractBroken: it is a search, which has no noise multiplier of its own.
    """
    if isinstance(event, BestOf):
        raise ContractBroken("A search is no single mechanism", value=event.type, limit="gaussian, sampled_gaussian")
    return event


class Release(Record):
    """One thing that leaves the trusted zone, and what it costs.

    Attributes:
        mechanism: what runs, in the field's words (`dp_count`, `dp_popularity`, `gram`, `dp_sgd`, `metrics`).
        service: for whom.
        sensitivity: L2 distance by which one user, added or removed, can move the un-noised answer.
        event: what the accountants compose.
        blocks: the calendar blocks whose rows are read; each is charged.
        split: train, validation or test.
    """

    kind: ClassVar[str] = "release"
    mechanism: str
    service: str
    sensitivity: float = Field(gt=0)
    event: Event
    blocks: tuple[str, ...] = Field(min_length=1)
    split: Literal["train", "validation", "test"]


def content_key(*, service: str, dataset: str, plan: BaseModel, mechanism_digest: str) -> str:
    """Return the key of a release: equal work on equal data under an equal plan has an equal key, and is done once.

    Args:
        service: the service's name.
        dataset: the digest of the private value (`Private.digest`).
        plan: everything that shapes the answer: events, hyperparameters, inputs' digests.
        mechanism_digest: `digest.of_modules` of the code that runs.
    """
    return digest.of_json(
        {
            "service": service,
            "dataset": dataset,
            "plan": {"type": type(plan).__name__, **plan.model_dump(mode="json")},
            "mechanism": mechanism_digest,
        }
    )
