"""The records that cross rooms, in the order in which a version collects them.

They are released: none holds an un-noised figure of private rows, and a digest of private data is the keyed one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from components.core.evidence import Record
from components.core.params import Cap

SPLITS = ("train", "validation", "test")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(_Part):
    """A noised estimate and the bounds that hold it with the stated confidence, noise included."""

    value: float
    low: float
    high: float


class DataCheck(Record):
    """A suite ran on a table and its table-level expectations held; rows that failed are in quarantine."""

    kind: ClassVar[str] = "data-check"
    table: str
    suite: str
    """Digest of the suite's JSON, so that a loosened suite is a different check."""
    passed: bool
    failed: tuple[str, ...] = ()
    """Names of the table-level expectations that did not hold."""


class Dataset(Record):
    """A versioned dataset: what every later step names when it says what it ran on."""

    kind: ClassVar[str] = "dataset"
    source: str
    public: bool
    start: datetime | None
    end: datetime | None
    blocks: tuple[str, ...]
    digest_keyed: str
    """HMAC of the content digest of the prepared and split tables."""
    checks: tuple[str, ...]
    """Digests of the data checks that passed."""
    simulator: int | None = None
    """Version of the simulator that made the events; None where it did not."""

    def body(self) -> dict[str, Any]:
        """Return the JSON-ready content; of real people's events it says nothing about a simulator."""
        return self.model_dump(mode="json", exclude={"simulator"} if self.simulator is None else None)


class TrainingRequest(Record):
    """Who asked for which training. The author is the key that signed it."""

    kind: ClassVar[str] = "training-request"
    service: str
    dataset: str
    """`Dataset.digest`"""
    epsilon: float
    author: str
    signature: str = ""


class Population(Record):
    """A DP count of the users of one split, and the lower bound that everything public is computed from."""

    kind: ClassVar[str] = "population"
    split: str
    noised: float
    lower_bound: int = Field(ge=1)
    """Holds with probability 1 - 1e-3 or better over the noise."""
    release: str
    ledger: str


class Trained(Record):
    """A candidate's bundle: what made it, from what, at what cost."""

    kind: ClassVar[str] = "trained"
    service: str
    candidate: str
    personal: bool
    """False for the floor: the same answer for everyone."""
    bundle: str
    """Digest of the bundle's folder (`digest.of_path`)."""
    release: str
    """Digest of the `Release` that was settled."""
    key: str
    dataset: str
    ledger: str
    """Genesis id of the ledger that was charged."""
    steps: int | None = None
    """Optimizer steps that drew noise, for DP-SGD."""


class Evaluation(Record):
    """Noised metrics of bundles on one split, with intervals that include sampling and noise."""

    kind: ClassVar[str] = "evaluation"
    service: str
    dataset: str = ""
    """`Dataset.digest`; without it no gate accepts the evaluation."""
    split: Literal["validation", "test"]
    bundles: dict[str, str]
    """Bundle digest by candidate."""
    metrics: dict[str, dict[str, Interval]]
    """`metrics[candidate][metric]`."""
    paired: dict[str, Interval]
    """Mean paired per-user difference in the first metric: of the chosen one by its opponent (`floor`, and `champion`
    where there is one), of another one as `other/opponent` (`gram/floor`, `floor/champion`)."""
    chosen: str
    """The candidate with the best noised score (validation), or the one that is evaluated (test)."""
    confidence: float
    release: str
    ledger: str


class AuditFigures(_Part):
    """What an audit found, as figures."""

    destroyed_by_noise: bool
    """On simulated data the mechanism at σ = 1000 learns nothing: its noise takes effect."""
    steps_in_ledger: int | None = None
    steps_in_optimizer: int | None = None
    epsilon_claimed: float | None = None
    """ε of the audited release alone at `delta`, by its event; what the bounds below try to exceed. None without
    canaries."""
    delta: float | None = None
    epsilon_lower_bound: float | None = None
    """ε that the canaries prove at `confidence`, by the Gaussian estimator; above the claim it refutes it."""
    epsilon_ceiling: float | None = None
    """What the same estimator reports in the median were the claim exactly tight: how far it can see."""
    one_run_lower_bound: float | None = None
    """ε that the canaries prove by Steinke, Nasr & Jagielski (2023), which assumes nothing about the noise."""
    one_run_ceiling: float | None = None
    confidence: float | None = None
    """With which each lower bound holds."""
    canaries: int = 0
    """Canary users for whom coins were flipped, and of these the ones that took part."""
    inserted: int = 0
    estimator: str = ""


class Audit(AuditFigures, Record):
    """What tried to refute the claim, and did not."""

    kind: ClassVar[str] = "audit"
    service: str
    bundle: str
    steps_in_ledger: int | None
    steps_in_optimizer: int | None
    details: dict[str, float] = Field(default_factory=dict)

    _LATER: ClassVar = (
        *("epsilon_claimed", "delta", "epsilon_lower_bound", "epsilon_ceiling", "one_run_lower_bound"),
        *("one_run_ceiling", "confidence", "canaries", "inserted", "estimator"),
    )

    def body(self) -> dict[str, Any]:
        """Return the content; an audit without canaries, as all once were, keeps its digest."""
        return self.model_dump(mode="json", exclude=set() if self.canaries else set(self._LATER))


class Charge(_Part):
    """One release that a version is made of: what ran with which noise, whose rows it read, and what it cost them."""

    mechanism: str
    purpose: Literal["count", "floor", "candidate", "choosing", "judging"]
    split: Literal["train", "validation", "test"]
    release: str
    """Digest of the `Release`."""
    sensitivity: float
    """L2 distance by which one user, added or removed, can move the un-noised answer."""
    noise_multiplier: float
    """σ in units of the sensitivity."""
    draws: int
    """How often noise is drawn and an answer put out."""
    sample_rate: float | None = None
    """Chance of each user to be in one draw, where users are Poisson sampled."""
    epsilon: float
    """Of this release alone, at `delta`, by its privacy loss distribution."""
    delta: float
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Everything else that shaped the answer."""


class SplitCost(_Part):
    """What all releases of a version cost a user of one split. Nobody is in two splits."""

    split: Literal["train", "validation", "test"]
    epsilon: float
    delta: float


class PrivacyStatement(Record):
    """What is promised about one version, in the words of NIST SP 800-226."""

    kind: ClassVar[str] = "privacy-statement"
    unit: str
    neighbours: str
    epsilon: float
    delta: float
    blocks: tuple[str, ...]
    lifetime: str
    mechanism: str
    releases: dict[str, str]
    """Digest of every release of the training by its mechanism."""
    accountants: dict[str, float]
    audit: str
    not_covered: tuple[str, ...]
    ledger: str
    charged: tuple[Charge, ...] = ()
    """Every release of the version: counts, losing candidates and evaluations too."""
    splits: tuple[SplitCost, ...] = ()
    cap: Cap | None = None
    """What all releases together may cost a user in one block, when this was stated."""
    lifetime_cap: Cap | None = None
    audited: AuditFigures | None = None
    joint: str = ""
    """What a user is shown, and what that says of others: joint differential privacy."""
    trusted_zone: str = ""
    """Who sees people's data as it is."""

    _LATER: ClassVar = ("charged", "splits", "cap", "lifetime_cap", "audited", "joint", "trusted_zone")

    def body(self) -> dict[str, Any]:
        """Return the content; a statement of before a field was there keeps its digest."""
        return self.model_dump(mode="json", exclude={name for name in self._LATER if not getattr(self, name)})


class GateResult(_Part):
    """One gate: the value, the limit it met or missed, and the evidence it read."""

    gate: str
    value: str
    limit: str
    passed: bool
    evidence: str


class Verdict(Record):
    """All gates of one version. It passed only if every gate did; a gate without evidence fails."""

    kind: ClassVar[str] = "verdict"
    service: str
    candidate: str
    personal: bool
    bundle: str
    dataset: str
    request: str
    statement: str
    evaluation: str
    audit: str
    gates: tuple[GateResult, ...]
    passed: bool
    ledger: str
    details: dict[str, Any] = Field(default_factory=dict)
